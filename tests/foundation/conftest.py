"""A toy domain, installed as somebody else's package would be, and the command as users run it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foundation import registry

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The toy domain is installed, and an empty working directory."""
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.chdir(tmp_path)
    # The processes that check results look for the toy domain, too.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(TOY)]))
    registry.domains.cache_clear()
    yield tmp_path
    registry.domains.cache_clear()


@pytest.fixture
def start(toy: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start `foundation <words>` as a process of its own."""

    def begin(*words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "foundation", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return begin
