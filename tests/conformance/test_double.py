"""The model double keeps the contract, in whole batches and in steps."""

from dataclasses import replace
from pathlib import Path

import pytest

from foundation.requests import Item
from foundation.spec import ModelSpec
from foundation.testing import double
from foundation.testing.contract import AdapterContract


class TestWhole(AdapterContract):
    task = "generate"
    given = {"starts": ["x", "yy", "z", "x", "w"], "letters": 6, "count": 2}
    wrong = ({"count": 0}, {"letters": 0}, {"leters": 5}, {"columns": ["tial"]}, {"starts": []})
    unreadable = "?"
    drawn = True

    @pytest.fixture
    def spec(self, installed: Path) -> ModelSpec:
        return double.spec(installed / "weights")


class TestEcho(TestWhole):
    task = "echo"
    wrong = ({"columns": ["tail"]},)


class TestStepped(TestWhole):
    @pytest.fixture
    def spec(self, installed: Path) -> ModelSpec:
        return double.spec(installed / "weights", "Stepped")

    def requests(self, spec: ModelSpec) -> list[Item]:
        items = super().requests(spec)
        lengths = [1, 9, 3, 20, 5, 2, 7, 1, 1, 30]
        return [
            replace(item, request=replace(item.request, letters=n, group=n % 2))
            for item, n in zip(items, lengths, strict=True)
        ]
