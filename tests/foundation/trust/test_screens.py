"""Screens are off unless chosen, mark rows with their reason, and say what they lack."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from foundation import registry
from foundation.cli import main
from foundation.errors import InputError, RunFolderError, UnknownName
from foundation.results import Result
from foundation.spec import Domain
from foundation.trust.screens import Screening, chosen


class Letters:
    """Screens out what has a letter of some."""

    def __init__(self, letters: str = "e", least: int = 1) -> None:
        self.letters, self.least = letters, least

    def __call__(self, result: Result) -> str | None:
        found = sum(letter in self.letters for letter in str(result.output))
        return f"{found} of {self.letters}" if found >= self.least else None


class Needs:
    """Cannot be made without its word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, result: Result) -> str | None:
        return "the word" if self.word in str(result.output) else None


HERE = "test_screens_of_trust"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """This module under a name that can be resolved."""
    import sys

    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])


def domain(**screens: str) -> Domain:
    return Domain("d", "d/m", {}, screens={k: f"{HERE}:{v}" for k, v in screens.items()})


def test_the_first_screen_that_finds_something_gives_the_reason() -> None:
    both = domain(letters="Letters", needs="Needs")
    names = chosen(both, {"settings": {"letters": {"letters": "z"}, "needs": {"word": "cat"}}})
    screen = Screening(both, names)
    assert screen(Result(0, None, "a dog", True)).valid
    found = screen(Result(0, None, "a cat", True))
    assert (found.valid, found.output) == (False, "a cat"), "what was made stays in the table"
    assert found.reason == "screened by needs: the word"
    assert found.usage["screened"] == 1
    assert screen(Result(0, None, "zz cat", True)).reason == "screened by letters: 2 of z"
    invalid = Result(0, None, "zz", False, "why")
    assert screen(invalid) is invalid, "a row that is invalid keeps its reason"


def test_all_screens_are_those_that_lack_nothing() -> None:
    both = domain(letters="Letters", needs="Needs")
    assert set(chosen(both, {"name": "screens"})) == {"letters"}
    assert set(chosen(both, {"settings": {"needs": {"word": "x"}}})) == {"letters", "needs"}
    assert chosen(both, {}) == {}


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({"screens": ["leters"]}, "did you mean 'letters'"),
        ({"screens": ["needs"]}, r"needs trust\.settings\.needs\.word"),
        ({"sceens": ["letters"]}, r"did you mean 'trust\.screens'"),
        (
            {"settings": {"letters": {"lest": 2}}},
            r"did you mean 'trust\.settings\.letters\.least'|",
        ),
        ({"settings": {"other": {}}}, "unknown screen 'other'"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(wanted: Mapping[str, Any], line: str) -> None:
    with pytest.raises((InputError, UnknownName), match=line):
        chosen(domain(letters="Letters", needs="Needs"), wanted)
    with pytest.raises(InputError, match="d has no screen"):
        chosen(domain(), {"name": "screens"})


def test_screens_are_part_of_what_a_run_is(double, tmp_path: Path, monkeypatch) -> None:
    model = double()
    screened = {"letters": f"{HERE}:Letters"}
    monkeypatch.setattr(
        model, "domain", type(model.domain)(**{**vars(model.domain), "screens": screened})
    )
    plain = model.generate(count=5, letters=6).to_pandas()
    trust = {"settings": {"letters": {"letters": "aeiou"}}}
    rows = model.generate(count=5, letters=6, trust=trust, folder=tmp_path / "run").to_pandas()
    assert plain["valid"].all()
    assert list(rows["output"]) == list(plain["output"])
    with_vowel = plain["output"].str.contains("[aeiou]")
    assert with_vowel.any()
    assert list(~rows["valid"]) == list(with_vowel)
    assert rows["reason"][with_vowel].str.startswith("screened by letters: ").all()
    with pytest.raises(RunFolderError, match="screens"):
        model.generate(count=5, letters=6, folder=tmp_path / "run")


def test_trust_is_for_what_a_model_makes(toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model=toy/words", "task=fetch", "trust=screens"]) == 2
    assert "trust=... is for what a model makes" in capsys.readouterr().err
    assert main(["model=toy/words", "trust=screens"]) == 2
    assert "toy has no screen" in capsys.readouterr().err
    assert main(["model=toy/words", "trust=sceens"]) == 2
    assert "did you mean 'screens'" in capsys.readouterr().err


def test_every_screen_of_our_domains_can_be_made() -> None:
    for name in ("molecule", "language", "code"):
        found = registry.domain(name)
        assert Screening(found, chosen(found, {"name": "screens"}))
