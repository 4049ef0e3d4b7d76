"""The version of four steps: it learns where the teacher arrives, and draws as the fast tier."""

import shutil

import pyarrow.parquet as pq
import pytest
import torch
from diffusers import PRXPixelPipeline

from foundation.cli import main
from foundation.domains.image import distilling
from foundation.domains.image.fast import FastTier
from foundation.domains.image.training import PictureTraining
from tests.domains.image.test_training import TINY

TRAINED = [
    "model=image/starter", "task=tune", "recipe=image/starter_fast", "++task.start=model",
    "recipe.steps=40", "recipe.batch=12", "recipe.rate=0.01", "recipe.warmup=1", "recipe.log=10",
    "recipe.average=0.5", "recipe.precision=float32", "recipe.validate=40", "recipe.checkpoint=40",
    "hydra.run.dir=distilled",
]  # fmt: skip


@pytest.fixture
def starter(tmp_path, monkeypatch):
    """A tiny starter that has learnt nothing but says something."""
    monkeypatch.chdir(tmp_path)
    made = PictureTraining.begin([], dict(TINY), 0)
    for each in made.learner.parts["transformer"].parameters():
        if not each.any():  # else its blocks would do nothing
            torch.nn.init.normal_(each, std=0.1)
    made.save(tmp_path / "starter")
    return tmp_path / "starter"


def test_a_student_is_distilled_and_draws_fast(starter, tmp_path, capsys):
    model = f"model.source=path:{starter}"
    assert main([*TRAINED, model]) == 0
    curve = pq.read_table("distilled/curve.parquet").to_pylist()
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    shutil.copytree("distilled/model", starter / "four_steps")
    drawn = ["model=image/starter", model, "task=generate", "task.prompts=[a red circle]"]
    told = "++model.options.fast={lora: four_steps, steps: 4, guidance: 1.0}"
    capsys.readouterr()
    assert main([*drawn, told, "task.speed=fast", "hydra.run.dir=fast"]) == 0
    assert "4 steps of a distilled version" in capsys.readouterr().out
    assert main([*drawn, told, "task.speed=fast", "task.steps=1", "hydra.run.dir=one"]) == 2
    assert "steps=1: the last step" in capsys.readouterr().err


def test_a_step_is_as_long_as_it_was_distilled(starter):
    """By the model's own scheduler the last of four steps would begin where nothing is left."""
    distilling.scheduler().save_pretrained(starter / "four_steps")
    (starter / "four_steps/adapter_config.json").write_text("{}")
    told = {"fast": {"lora": "four_steps", "steps": 4}}
    pipe = PRXPixelPipeline.from_pretrained(starter)
    chosen = FastTier(pipe, starter, told).scheduler
    chosen.set_timesteps(4)
    assert chosen.sigmas.tolist() == pytest.approx([1, 0.771, 0.508, 0.2, 0], abs=1e-3)
    assert FastTier(pipe, starter, {}).scheduler is pipe.scheduler


def test_the_student_alone_learns(starter):
    made = distilling.read(starter)
    learning = {name for name, each in made.module().named_parameters() if each.requires_grad}
    assert learning
    assert all("lora_" in name for name in learning)


def test_there_is_no_student_without_a_teacher(starter, capsys):
    words = [word for word in TRAINED if "start=" not in word]
    assert main(words) == 2
    assert "++task.start=model" in capsys.readouterr().err
