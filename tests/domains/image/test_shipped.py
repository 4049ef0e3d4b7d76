"""The starter that is shipped draws what is asked, and opens without code of ours."""

import numpy as np
import pytest
from PIL import Image

import foundation as fm
from foundation import registry
from foundation.domains.image.asking import ask
from foundation.domains.image.judge import right
from foundation.hub import fetch
from foundation.sources import model_source

FOLDER = fetch([model_source(registry.spec("image/starter"))])[0].path


@pytest.mark.parametrize(("split", "least"), [("train", 6), ("held_out", 4)])
def test_it_draws_what_is_asked(split, least, tmp_path):
    asked = [ask(split, skill, n, 7) for n in range(3) for skill in ("single", "two", "position")]
    model = fm.load("image/starter", placement="cpu")
    rows = model.generate(prompts=[each.prompt for each in asked], folder=tmp_path / "run").table()
    found = [
        right(np.asarray(Image.open(tmp_path / "run" / row["output"])), each.expected)[0]
        for row, each in zip(rows.to_pylist(), asked, strict=True)
    ]
    assert sum(found) >= least


def test_diffusers_opens_it_alone():
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(FOLDER)
    parts = [pipe.transformer, pipe.text_encoder]
    assert sum(each.numel() for part in parts for each in part.parameters()) <= 6_000_000
    size = sum(path.stat().st_size for path in FOLDER.rglob("*.safetensors"))
    assert size <= 12 * 2**20
