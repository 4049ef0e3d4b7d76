"""Completion: what is proposed, and that shells take the scripts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.cli import main
from foundation.completion import SHELLS, candidates, script
from foundation.errors import UnknownName


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model=toy"], ["model=toy/words"]),
        (["-m", "model=molecule/starter,to"], ["model=molecule/starter,toy/words"]),
        (["task=gen"], ["task=generate"]),
        (["placement.de"], ["placement.device="]),
        (["model=toy/words", "task.let"], ["task.letters="]),
        (["model=nonsense", "task.let"], []),
        (["--h"], ["--help"]),
        (["task.input=some"], []),
        (["nonsense=x"], []),
    ],
)
def test_candidates(toy: Path, words: list[str], expected: list[str]) -> None:
    found = [c for c in candidates(words) if c != "--hydra-help"]
    assert found == expected


def test_an_empty_word_offers_every_group(toy: Path) -> None:
    assert {"model=", "task=", "seed=", "suite="} <= set(candidates([""]))


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_can_read_their_script(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script(shell))
    subprocess.run([program, "-n", str(path)], check=True)


def test_bash_completes_after_the_equals_sign_and_after_a_comma(toy: Path) -> None:
    assert _bash(toy, ["foundation", "model", "=", "toy"]) == ["toy/words"]
    line = ["foundation", "-m", "model", "=", "molecule/starter,to"]
    assert _bash(toy, line) == ["molecule/starter,toy/words"]
    assert _bash(toy, ["foundation", "task.inp"]) == ["task.input="]
    assert _bash(toy, ["foundation", "task.input", "=", "x"]) == []


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "bahs"]) == 2
    assert capsys.readouterr().err == "unknown shell 'bahs': did you mean 'bash'?\n"
    with pytest.raises(UnknownName):
        script("")


def _bash(folder: Path, words: list[str]) -> list[str]:
    """What bash would propose for a line that its `=` splits into words."""
    command = folder / "bin" / "foundation"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m foundation "$@"\n')
    command.chmod(0o755)
    line = " ".join(words).replace(" = ", "=")
    quoted = " ".join(f"'{word}'" for word in words)
    code = (
        f"{script('bash')}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        f"COMP_LINE='{line}'; COMP_POINT={len(line)}\n"
        'compopt() { :; }\n_foundation; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    env = {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, check=True, env=env
    )
    return done.stdout.split()
