"""A text-to-image pipeline keeps the contract."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from foundation.domains.image.training import PictureTraining
from foundation.spec import ModelSpec
from foundation.testing.contract import AdapterContract

SHAPE = {
    "patch": 16, "width": 64, "depth": 2, "heads": 2, "ratio": 2.0,
    "text_width": 32, "text_depth": 1, "text_heads": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("pipeline")
    made = PictureTraining.begin([], dict(SHAPE), 0)
    torch.manual_seed(1)
    for weight in made.learner.parts["transformer"].parameters():
        torch.nn.init.normal_(weight, std=0.2)
    made.save(folder)
    return folder, sum(weight.numel() for weight in made.learner.parts.parameters())


@pytest.fixture(scope="session")
def dual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    from transformers import CLIPModel

    place = Path(__file__).parents[1] / "domains" / "image" / "conftest.py"
    named = importlib.util.spec_from_file_location("image_conftest", place)
    made = importlib.util.module_from_spec(named)
    named.loader.exec_module(made)
    folder = tmp_path_factory.mktemp("dual") / "clip"
    made.dual_encoder(folder, "clip")
    return folder, sum(w.numel() for w in CLIPModel.from_pretrained(folder).parameters())


class TestGenerate(AdapterContract):
    task = "generate"
    given = {"prompts": ["a red circle", "a star", "two rings", "a blue cross"], "steps": 2}
    wrong = ({"count": 0}, {"steps": 0}, {"scheduler": "no"}, {"width": 1})
    unreadable = " "
    drawn = True

    @pytest.fixture
    def spec(self, pipeline: tuple[Path, int]) -> ModelSpec:
        return ModelSpec(
            name="image/tiny",
            domain="image",
            adapter="foundation.domains.image.adapter:TextToImage",
            source=f"path:{pipeline[0]}",
            tasks=("generate",),
            parameters=pipeline[1],
            options={"call": {"use_resolution_binning": False}, "guidance": 2.0},
        )

    def _same_cell(self, one, other):
        # A resumed run cuts its batches elsewhere, and a picture's last bit may differ.
        if isinstance(one, bytes) and isinstance(other, bytes):
            return True
        return super()._same_cell(one, other)


class _Looking(AdapterContract):
    """A tiny CLIP over four pictures."""

    @pytest.fixture(autouse=True)
    def pictures(self, tmp_path):
        folder = tmp_path / "pictures"
        folder.mkdir()
        random = np.random.default_rng(0)
        paths = []
        for number in range(4):
            path = folder / f"{number}.png"
            Image.fromarray(random.integers(0, 255, (40, 48, 3)).astype(np.uint8)).save(path)
            paths.append(str(path))
        self.given = {"images": paths, **self.more}

    @pytest.fixture
    def spec(self, dual: tuple[Path, int]) -> ModelSpec:
        return ModelSpec(
            name="image/tiny-clip",
            domain="image",
            adapter="foundation.domains.image.matching:PicturesAndTexts",
            source=f"path:{dual[0]}",
            tasks=("embed", "score", "classify"),
            parameters=dual[1],
        )


class TestEmbed(_Looking):
    task, more, unreadable = "embed", {}, "no/such.png"


class TestScore(_Looking):
    task, more, unreadable = "score", {"text": "a cat"}, "no/such.png"
    wrong = ({"count": 0}, {"text": " "})


class TestClassify(_Looking):
    task, more, unreadable = "classify", {"labels": ["cat", "dog", "b"]}, "no/such.png"
    wrong = ({"count": 0}, {"threshold": 2}, {"labels": ["one"]})
