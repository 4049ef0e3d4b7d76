"""Secrets, dangerous calls and copies are found in what was written, not in what was given."""

from pathlib import Path

import pytest

from foundation.domains.code.dangerous import Dangerous
from foundation.domains.code.secrets import Secrets
from foundation.domains.code.verbatim import Verbatim
from foundation.errors import InputError
from foundation.results import Result


def of(output: str, **checks: str) -> Result:
    return Result(0, None, output, True, checks=checks)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("key = 'AKIA" + "IOSFODNN7EXAMPLE'", "AWS Access Key"),
        ("-----BEGIN RSA PRIVATE KEY-----", "Private Key"),
        ("url = 'https://me:" + "hunter2@example.org'", "Basic Auth Credentials"),
        ("t = 'ghp_" + "a" * 36 + "'", "GitHub Token"),
    ],
)
def test_keys_of_known_forms_are_found(line: str, kind: str) -> None:
    assert Secrets()(of(f"x = 1\n{line}\n")) == kind


def test_code_without_keys_is_let_through() -> None:
    assert Secrets()(of("password = input()\nfor i in range(10): print(i)")) is None


def test_dangerous_calls_are_those_of_the_completion() -> None:
    screen = Dangerous()
    assert "B602" in str(screen(of("    subprocess.call(x, shell=True)\n",
                                   prefix="import subprocess\ndef f(x):\n")))  # fmt: skip
    given = "import subprocess\nsubprocess.call(y, shell=True)\n"
    assert screen(of("z = 1\n", prefix=given)) is None
    assert screen(of("z = 1\n", suffix="eval(z)\n")) is None
    assert "B307" in str(screen(of("eval(x)  # nosec\n")))
    assert screen(of("eval(x)", language="javascript")) is None
    assert screen(of("def (", prefix="")) is None, "what does not parse is not looked at"
    assert "B307" in str(screen(of("eval(x)", prefix="def broken(:\n")))
    with pytest.raises(InputError, match="severity"):
        Dangerous("huge")


def test_thirteen_words_of_a_corpus_in_a_row_are_a_copy(tmp_path: Path) -> None:
    words = [f"w{n}" for n in range(40)]
    (tmp_path / "a.py").write_text(" ".join(words[:20]))
    (tmp_path / "b.py").write_text("\n\t".join(words[20:]))
    (tmp_path / "c.bin").write_bytes(b"\0" * 100)
    screen = Verbatim(str(tmp_path))
    assert screen(of(" ".join(words[3:15]))) is None, "twelve are none"
    assert screen(of("x " + " ".join(words[3:16]) + " y")) == "13 words as in a.py"
    assert screen(of("  \n".join(words[22:40]))) == "18 words as in b.py"
    assert screen(of("")) is None
    assert Verbatim(str(tmp_path), words=3)(of("w1 w2 w3")) == "3 words as in a.py"


@pytest.mark.parametrize("given", [{"corpus": "nowhere"}, {"corpus": ".", "words": 1}])
def test_a_corpus_that_is_none_is_refused(given, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        Verbatim(**given)
    with pytest.raises(InputError, match="holds no text"):
        Verbatim(str(tmp_path))
