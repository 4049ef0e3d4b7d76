"""Training that is stopped, killed and resumed gives the curve of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from foundation.errors import FoundationError, RequestError, RunFolderError
from foundation.tuning import checkpoint
from foundation.tuning.recipe import Recipe
from foundation.tuning.trainer import Trainer

RECIPE = Recipe(
    steps=40, batch=8, rate=0.01, warmup=4, augment=0.5, checkpoint=7, validate=10, log=5
)


class Sums(torch.nn.Module):
    """Learns to add; with dropout, so that the generator matters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 16), torch.nn.Dropout(0.2), torch.nn.ReLU(), torch.nn.Linear(16, 1)
        )


class Adding:
    """Rows are lists of four numbers."""

    def __init__(self, pause: float = 0.0) -> None:
        self.network, self.pause = Sums(), pause

    def module(self):
        return self.network

    def size(self, row):
        return int(abs(row[0]) * 10)

    def collate(self, rows, draws, augment):
        rows = torch.tensor(rows)
        changed = torch.from_numpy(draws.uniform(0) < augment)
        noise = torch.from_numpy(draws.normal(1, (4,)))
        return {"rows": torch.where(changed[:, None], rows + 0.1 * noise, rows)}

    def loss(self, batch):
        time.sleep(self.pause)
        rows = batch["rows"]
        error = self.network.layers(rows)[:, 0] - rows.sum(1)
        return (error**2).sum(), len(rows)

    def targets(self):
        return ()

    def save(self, folder):
        raise NotImplementedError


ROWS = torch.rand(100, 4, generator=torch.Generator().manual_seed(1)).tolist()


def trainer(folder: Path, recipe: Recipe = RECIPE, seed: int = 3, pause: float = 0.0) -> Trainer:
    return Trainer(Adding(pause), ROWS[:80], ROWS[80:], recipe, folder, seed)


def curve(made: Trainer) -> list[list[float]]:
    return [[row["step"], row["loss"], row["held_out"] or 0.0, row["rate"]] for row in made.curve]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made = trainer(tmp_path_factory.mktemp("whole"))
    assert made.run()
    return made


def same(one: Trainer, other: Trainer) -> None:
    torch.testing.assert_close(
        torch.tensor(curve(one)), torch.tensor(curve(other)), rtol=1e-6, atol=1e-6
    )
    for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_it_learns_and_measures(whole) -> None:
    assert [row["step"] for row in whole.curve] == list(range(5, 41, 5))
    assert [row["step"] for row in whole.curve if row["held_out"]] == [10, 20, 30, 40]
    assert whole.curve[-1]["held_out"] < whole.curve[0]["loss"] / 3


@pytest.mark.parametrize("stops", [(1,), (3, 12), (7, 8, 39)])
def test_stopped_at_any_step_and_resumed_it_gives_the_same_curve(tmp_path, whole, stops) -> None:
    for step in stops:
        made = trainer(tmp_path)
        assert not made.run(stop=lambda made=made, step=step: made.step == step)
        assert made.step == step
    made = trainer(tmp_path)
    assert made.run()
    same(made, whole)


def test_killed_and_resumed_it_gives_the_same_curve(tmp_path, whole) -> None:
    script = (
        "import importlib.util, sys; from pathlib import Path\n"
        f"spec = importlib.util.spec_from_file_location('own', {__file__!r})\n"
        "own = importlib.util.module_from_spec(spec); spec.loader.exec_module(own)\n"
        f"own.trainer(Path({str(tmp_path)!r}), pause=0.01).run()"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], env=env) as process:
        while not checkpoint.saved(tmp_path):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    made = trainer(tmp_path)
    assert 7 <= made.step < 40
    assert made.run()
    same(made, whole)


def test_the_newest_checkpoints_are_kept_and_hold_no_pickle(tmp_path) -> None:
    (tmp_path / ".step-00000003.99.part").mkdir()
    trainer(tmp_path).run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000035", "step-00000040"]
    names = sorted(path.name for path in (tmp_path / "step-00000040").iterdir())
    assert names == ["model.safetensors", "optimizer.safetensors", "progress.json"]


def test_other_settings_are_refused_and_longer_ones_are_not(tmp_path) -> None:
    trainer(tmp_path).run(stop=lambda: False)
    with pytest.raises(RunFolderError, match=r"other settings \(rate\)"):
        trainer(tmp_path, Recipe(**{**vars(RECIPE), "rate": 0.02}))
    with pytest.raises(RunFolderError, match=r"other settings \(seed\)"):
        trainer(tmp_path, seed=4)
    longer = trainer(tmp_path, Recipe(**{**vars(RECIPE), "steps": 45}))
    assert longer.run()
    assert longer.curve[-1]["step"] == 45


def test_a_training_goes_on_in_the_precision_it_began_with(tmp_path) -> None:
    data = (ROWS[:80], ROWS[80:], RECIPE, tmp_path, 3)
    Trainer(Adding(), *data, precision="bfloat16").run(stop=lambda: True)
    assert Trainer(Adding(), *data, precision="float32").precision == "bfloat16"


def test_a_loss_that_is_no_number_ends_it_and_says_what_to_do(tmp_path) -> None:
    with pytest.raises(FoundationError, match=r"lower recipe.rate \(1e\+30\)"):
        trainer(tmp_path, Recipe(**{**vars(RECIPE), "rate": 1e30, "warmup": 0})).run()


def test_the_largest_seed_can_be_used(tmp_path) -> None:
    made = trainer(tmp_path, Recipe(**{**vars(RECIPE), "steps": 2}), seed=2**64 - 1)
    assert made.run()


def test_without_rows_it_says_so(tmp_path) -> None:
    with pytest.raises((RequestError, RunFolderError), match="no row"):
        Trainer(Adding(), [], [], RECIPE, tmp_path)


def test_progress_is_plain_json(tmp_path) -> None:
    trainer(tmp_path).run(stop=lambda: True)
    assert json.loads((tmp_path / "step-00000000" / "progress.json").read_text())["seed"] == 3
    assert checkpoint.progress(tmp_path)["step"] == 0
    assert checkpoint.progress(tmp_path / "none") == {}
