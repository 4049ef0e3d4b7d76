"""The model double and the tampering of files, for all tests."""

import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from foundation import registry
from foundation.adapter import Placement
from foundation.model import Model
from foundation.testing import double as doubles
from foundation.trust.verify import verify

settings.register_profile("ours", deadline=None, max_examples=50)
settings.load_profile("ours")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The double's domain, known here and in the processes that take over `sys.path`."""
    folder = tmp_path_factory.mktemp("double")
    doubles.install(folder)
    sys.path.insert(0, str(folder))
    registry.domains.cache_clear()
    yield folder
    sys.path.remove(str(folder))
    registry.domains.cache_clear()


@pytest.fixture
def double(installed: Path) -> Callable[..., Model]:
    """`double("Stepped", delay=0.1)`: a Model of the double with those options."""

    def make(model: str = "Whole", **options: Any) -> Model:
        return Model(doubles.spec(installed / "weights", model, **options), Placement())

    return make


@pytest.fixture
def told_apart(tmp_path: Path) -> Callable[..., None]:
    """`told_apart(run, "*.png")`: the untouched passes, also copied; one byte altered is found.

    Every file of the run is looked at in its folder, and those of the patterns also by themselves.
    """

    def check(run: Path, *sealed: str) -> None:
        whole = shutil.copytree(run, tmp_path / "copied", dirs_exist_ok=True)
        names = [finding.name for finding in verify(whole)]
        assert {finding.state for finding in verify(whole)} == {"unaltered"}
        assert "record.json" in names
        for pattern in sealed:
            assert any(Path(name).match(pattern) for name in names), (pattern, names)
        for name in names:
            path = whole / name
            before = path.read_bytes()
            alone = [pattern for pattern in sealed if Path(name).match(pattern)]
            away = tmp_path / f"away{path.suffix}"
            if alone:
                shutil.copy(path, away)
                assert verify(away)[0].state == "unaltered", name
            for place in _places(name, len(before)):
                changed = bytearray(before)
                changed[place] ^= 1
                path.write_bytes(changed)
                states = {found.name: found.state for found in verify(whole)}
                assert states[name] == "altered", (name, place)
                assert verify(path)[0].state == "altered", (name, place)
                if alone:
                    away.write_bytes(changed)
                    assert verify(away)[0].state == "altered", (name, place)
            path.write_bytes(before)

    return check


def _places(name: str, size: int) -> list[int]:
    """The first, the middle and the last byte, and two others."""
    others = [random.Random(name).randrange(size) for _ in range(2)] if size else []
    return sorted({0, size // 2, size - 1, *others}) if size else []
