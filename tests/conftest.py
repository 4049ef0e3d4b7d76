"""The model double, for all tests."""

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
