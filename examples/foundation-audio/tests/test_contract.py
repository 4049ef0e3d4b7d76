"""The detector keeps the contract that every adapter of foundation keeps."""

import pytest

from foundation.spec import ModelSpec
from foundation.testing.contract import AdapterContract


class TestDetect(AdapterContract):
    task = "detect"
    wrong = ({"threshold": 2}, {"gap": -1}, {"treshold": 0.5}, {"audios": []}, {"count": 0})
    unreadable = "no-such-file.wav"

    @pytest.fixture
    def spec(self, tiny: ModelSpec) -> ModelSpec:
        return tiny

    @pytest.fixture(autouse=True)
    def _recordings(self, recordings: list[str]) -> None:
        self.given = {"audios": recordings}
