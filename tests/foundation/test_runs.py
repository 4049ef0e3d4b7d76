"""The run folder: nothing lost, nothing twice, whoever is killed."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation import runs
from foundation.errors import InputError, RunFolderError
from foundation.results import Result
from foundation.runs import Done, Run, finished

COLUMNS = {"letters": "int64"}
SCRIPT = """
import sys
from pathlib import Path
from foundation import runs
from foundation.adapter import Placement
from foundation.model import Model
from foundation.testing import double
runs.PART_ROWS, runs.PART_SECONDS = 40, 0.05
folder, kind, delay, count = sys.argv[1:5]
spec = double.spec(Path(folder).parent / "weights", kind, delay=float(delay))
given = {"count": int(count), "batch": 16, "letters": 5}
print("begun", flush=True)
model = Model(spec, Placement())
print(model.results("generate", given, seed=5, folder=Path(folder)).finish().line)
"""


def result(number: int, **kwargs) -> Result:
    return Result(number, None, f"w{number}", True, checks={"letters": number}, **kwargs)


def start(folder: Path, model: str = "Stepped", delay: float = 0.002, count: int = 400):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", SCRIPT, str(folder), model, str(delay), str(count)]
    return subprocess.Popen(
        words, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def rows(folder: Path) -> list[dict]:
    return pq.read_table(folder / "results.parquet").to_pylist()


@pytest.mark.parametrize("model", ["Whole", "Stepped"])
def test_killed_five_times_and_resumed_it_equals_the_whole_run(installed, tmp_path, model) -> None:
    whole = start(tmp_path / "whole", model, delay=0)
    out, errors = whole.communicate()
    assert whole.returncode == 0, errors
    assert "400 words" in out
    chance = random.Random(3)
    folder, kills, seen = tmp_path / "killed", 0, 0
    while kills < 5:
        process = start(folder, model)
        assert process.stdout.readline() == "begun\n"
        # Each attempt must get further than the last, and is then killed at some moment.
        while (parts := len(list(folder.glob("parts/*.parquet")))) <= seen:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        seen = parts
        time.sleep(chance.random() * 0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    last = start(folder, model)
    assert last.communicate()[0]
    assert last.returncode == 0
    assert [row["id"] for row in rows(folder)] == list(range(400))
    assert rows(folder) == rows(tmp_path / "whole")
    record = json.loads((folder / "record.json").read_text())
    assert record["counts"]["rows"] == 400
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "config.json", "record.json", "results.parquet",
    }  # fmt: skip


def test_a_folder_is_held_by_one_run_alone(tmp_path: Path) -> None:
    held = Run(tmp_path, COLUMNS, {})
    with pytest.raises(RunFolderError, match=f"is held by process {os.getpid()}"):
        Run(tmp_path, COLUMNS, {})
    held.close()
    again = Run(tmp_path, COLUMNS, {})
    del again
    Run(tmp_path, COLUMNS, {}).close()


def test_other_settings_are_refused_by_name_and_the_folder_is_free_again(tmp_path: Path) -> None:
    Run(tmp_path, COLUMNS, {"seed": 0, "dtype": "float32"}).close()
    with pytest.raises(RunFolderError, match=r"dtype: float32 there, bfloat16 here\)"):
        Run(tmp_path, COLUMNS, {"seed": 0, "dtype": "bfloat16"})
    Run(tmp_path, COLUMNS, {"seed": 0, "dtype": "float32"}).close()


def test_what_is_written_is_known_when_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path, COLUMNS, {})
    for number in (3, 0, 1):
        run.append(result(number))
    run.append(Result(2, "?", None, False, "cannot be read", refused=True))
    run.append(Result(5, "x", "y", False, "invalid"))
    run.flush()
    run.append(result(9))  # never written
    run.close()
    again = Run(tmp_path, COLUMNS, {})
    assert [n in again.done for n in range(7)] == [True, True, True, True, False, True, False]
    assert (len(again.done), again.valid, again.refused) == (5, 3, 1)
    assert again.refusal == "cannot be read"
    again.close()


def test_leftovers_of_a_killed_run_are_cleared_away(tmp_path: Path) -> None:
    Run(tmp_path, COLUMNS, {}).close()
    (tmp_path / "parts" / ".x.parquet.12.part").write_text("half")
    (tmp_path / ".results.parquet.12.part").write_text("half")
    (tmp_path / ".join-abc").mkdir()
    (tmp_path / ".join-abc" / "marks").write_text("half")
    Run(tmp_path, COLUMNS, {}).close()
    assert {p.name for p in tmp_path.rglob("*")} == {"parts", ".lock", "config.json"}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write to"):
        Run(tmp_path / "file", COLUMNS, {})


@pytest.mark.parametrize("limit", [5_000, 20_000])  # of a part, and of the table alone
def test_a_full_disk_loses_nothing_that_was_written(double, tmp_path, monkeypatch, limit) -> None:
    monkeypatch.setattr(runs, "PART_ROWS", 50)
    given = {"count": 300, "letters": 500, "batch": 16}
    results = double().results("echo", given, folder=tmp_path / "run")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match=r"(?i)too large"):
            results.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not results.run.finished
    table = results.table().to_pylist()
    assert [row["id"] for row in table] == list(range(300))
    assert len({row["output"] for row in table}) == 300


def test_finished_tells_how_a_run_ended(double, tmp_path: Path) -> None:
    assert finished(tmp_path) is None
    made = double().results("generate", {"count": 20}, folder=tmp_path).finish()
    ended = finished(tmp_path)
    assert ended is not None
    assert (ended.made, ended.valid, ended.files) == (20, made.valid, made.files)
    assert ended.line.startswith("finished already: 20 rows")


@given(st.lists(st.integers(0, 40), max_size=60))
def test_done_is_a_set_of_ids(numbers) -> None:
    done = Done()
    for count, number in enumerate(numbers, 1):
        done.add(number)
        assert len(done) == len(set(numbers[:count]))
    assert [n in done for n in range(45)] == [n in set(numbers) for n in range(45)]


def test_no_input_that_could_be_used_is_an_error(double, tmp_path: Path) -> None:
    results = double().results("generate", {"starts": ["?", "?"], "count": 1}, folder=tmp_path)
    with pytest.raises(InputError, match="no input could be used; the first: start is"):
        results.finish()
