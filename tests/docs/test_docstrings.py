"""The examples in docstrings do what they show."""

import doctest
from importlib import import_module

import pytest

MODULES = ("adapter", "draws", "errors", "model", "registry", "results")


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name: str) -> None:
    tried = doctest.testmod(import_module(f"foundation.{name}"), optionflags=doctest.ELLIPSIS)
    assert tried.attempted > 0
    assert tried.failed == 0
