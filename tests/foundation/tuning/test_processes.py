"""Several processes that a launcher starts: one training, one model, and an end with their code."""

import os
import subprocess
import sys

from foundation.tuning.processes import leave

LEFT = """
import atexit, torch.distributed as group
from foundation.tuning.processes import leave
group.init_process_group("gloo", init_method="tcp://127.0.0.1:0", rank=0, world_size=1)
atexit.register(print, "ended by Python")
print("done", end="")
leave(3)
"""
LAUNCHED = [
    "-m", "torch.distributed.run", "--master-addr", "127.0.0.1", "--nproc-per-node", "2",
    "-m", "foundation", "task=tune", "recipe=image/starter", "model=image/starter",
    "++task.start=model", "recipe.steps=2", "recipe.batch=4", "recipe.log=1",
    "recipe.validate=2", "recipe.checkpoint=2", "++recipe.held_out_rows=8", "hydra.run.dir=run",
]  # fmt: skip


def test_it_ends_with_its_code_before_python_does() -> None:
    ended = subprocess.run([sys.executable, "-c", LEFT], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout[-4:]) == (3, "done"), ended.stderr  # gloo may speak


def test_a_process_of_no_group_goes_on() -> None:
    leave(3)


def test_two_launched_processes_make_one_model(tmp_path) -> None:
    common = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, *LAUNCHED], cwd=tmp_path, env=common, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("2 steps on") == 1
    assert (tmp_path / "run/model/model_index.json").exists()
