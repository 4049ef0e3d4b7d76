"""The starter learns, is resumed exactly, and is saved as a folder that diffusers opens alone."""

from dataclasses import asdict, replace

import pyarrow.parquet as pq
import pytest
import torch
from diffusers import DiffusionPipeline
from diffusers.models.transformers.transformer_prx import PRXAttnProcessor2_0

from foundation.cli import main
from foundation.domains.image.quiet import quiet
from foundation.domains.image.scenes import SKILLS
from foundation.domains.image.training import PictureTraining, read
from foundation.draws import Draws
from foundation.errors import SourceError
from foundation.tuning.recipe import Recipe
from foundation.tuning.trainer import Trainer

TINY = {
    "side": 48, "patch": 16, "width": 32, "depth": 2, "heads": 2, "ratio": 2.0,
    "text_width": 16, "text_depth": 1, "text_heads": 2,
}  # fmt: skip
ROWS = [f"train/{skill}" for skill in SKILLS] * 4
HELD_OUT = [f"held_out/{skill}" for skill in SKILLS]
RECIPE = Recipe(
    steps=8,
    batch=6,
    rate=0.003,
    warmup=1,
    augment=0.2,
    checkpoint=3,
    validate=4,
    log=2,
    average=0.9,
)


@pytest.fixture
def tiny() -> PictureTraining:
    return PictureTraining.begin([], dict(TINY), 0)


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path):
    def trained(folder, stops):
        folder.mkdir(exist_ok=True)
        for stop in stops:
            tunable = PictureTraining.begin([], dict(TINY), 0)
            trainer = Trainer(tunable, ROWS, HELD_OUT, RECIPE, folder, seed=5)
            count = iter(range(100))
            trainer.run(stop=lambda stop=stop, count=count: next(count) >= stop)
        return trainer

    whole, parted = trained(tmp_path / "whole", [99]), trained(tmp_path / "parted", [3, 99])
    alike = [{k: v for k, v in row.items() if k != "units_per_second"} for row in whole.curve]
    assert alike == [
        {k: v for k, v in row.items() if k != "units_per_second"} for row in parted.curve
    ]
    one, other = (t.module.state_dict() for t in (whole, parted))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.curve[-1]["loss"] < whole.curve[0]["loss"]


def test_the_attention_is_that_of_diffusers(tiny):
    batch = tiny.collate(ROWS[:6], Draws(0, range(6)), 0.5)
    torch.manual_seed(0)
    for weight in tiny.learner.parts["transformer"].parameters():
        torch.nn.init.normal_(weight, std=0.1)  # at first every block is the identity
    given = {
        "hidden_states": batch["pixels"],
        "timestep": torch.rand(6),
        "encoder_hidden_states": torch.randn(6, batch["tokens"].shape[1], 16),
        "attention_mask": batch["mask"],
        "return_dict": False,
    }
    with torch.no_grad():
        ours = tiny.learner.parts["transformer"](**given)[0]
        tiny.learner.parts["transformer"].set_attn_processor(PRXAttnProcessor2_0())
        theirs = tiny.learner.parts["transformer"](**given)[0]
    assert ours.std() > 0.01
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_folder_opens_with_diffusers_alone(tiny, tmp_path):
    tiny.save(tmp_path)
    with quiet():
        pipe = DiffusionPipeline.from_pretrained(tmp_path)
        pipe.set_progress_bar_config(disable=True)
        call = {"num_inference_steps": 2, "use_resolution_binning": False}
        image = pipe("a red circle above a blue square", **call).images[0]
    assert image.size == (48, 48)
    parts = [pipe, *pipe.components.values()]
    assert {type(part).__module__.split(".")[0] for part in parts} == {"diffusers", "transformers"}
    # On the disk it is bfloat16, and it opens in float32 throughout.
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    assert size < 2.2 * sum(weight.numel() for weight in tiny.learner.parts.parameters()) + 10_000
    assert {part.dtype for part in (pipe.transformer, pipe.text_encoder)} == {torch.float32}


def test_what_was_saved_is_read_to_train_on(tiny, tmp_path):
    tiny.save(tmp_path / "model")
    again = read(tmp_path / "model")
    assert asdict(again.shape) == asdict(replace(tiny.shape))
    batch = tiny.collate(ROWS[:6], Draws(0, range(6)), 0.0)
    assert batch["tokens"].equal(again.collate(ROWS[:6], Draws(0, range(6)), 0.0)["tokens"])
    for each in (tiny, again):
        each.module().eval()
    losses = [float(each.loss(batch)[0].detach()) for each in (tiny, again)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)  # bfloat16


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(SourceError, match="holds no pixel pipeline"):
        read(tmp_path)


def test_captions_are_left_empty_by_the_share_asked_for(tiny):
    rows = ROWS * 4
    draws = Draws(0, range(len(rows)))
    full, none = (tiny.collate(rows, draws, share) for share in (0.0, 1.0))
    assert (none["mask"].sum(1) == 2).all()  # begin and end
    assert full["pixels"].equal(none["pixels"])
    assert full["mask"].sum(1).min() > 3
    some = tiny.collate(rows, draws, 0.3)["mask"].sum(1)
    assert 0.1 < float((some == 2).float().mean()) < 0.5


def test_the_starters_recipe_lowers_the_loss(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = ["recipe.steps=12", "recipe.batch=16", "recipe.warmup=2", "recipe.log=4"]
    words = ["task=tune", "model=image/starter", "recipe=image/starter", "recipe.held_out_rows=8"]
    assert main([*words, *few, "hydra.run.dir=out"]) == 0
    curve = pq.read_table("out/curve.parquet").to_pylist()
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert (tmp_path / "out/model/model_index.json").exists()
