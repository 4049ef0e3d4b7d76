"""Work in several processes: the same rows, and nothing lost whatever dies."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

import foundation as fm
from benchmarks.cgroup import memory_limit
from benchmarks.engine_kills import BETWEEN
from foundation.errors import FoundationError, InputError
from foundation.model import Model

Start = Callable[..., "subprocess.Popen[str]"]


def words(engine: str | dict[str, int] = "local") -> Model:
    return fm.load("toy/words", placement="cpu", engine=engine)


def children(parent: int) -> list[psutil.Process]:
    return [each for each in psutil.Process(parent).children(recursive=True) if _worker(each)]


def _worker(process: psutil.Process) -> bool:
    try:
        return "foundation.engines.process" in process.cmdline()
    except psutil.Error:  # it ended meanwhile
        return False


def until(condition: Callable[[], object], seconds: float = 200.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.02)


@pytest.fixture
def alone(toy: Path) -> list[dict[str, object]]:
    """200 words as one process makes them."""
    rows: list[dict[str, object]] = words().generate(count=200, batch=8).table().to_pylist()
    return rows


def test_workers_make_the_rows_of_one_process(alone: list[dict[str, object]]) -> None:
    results = words({"workers": 3}).generate(count=200, batch=8)
    assert results.table().to_pylist() == alone
    record = json.loads((results.finish().folder / "record.json").read_text())
    assert record["engine"] == {"name": "local", "workers": 3}


def test_a_run_goes_on_on_another_engine(alone: list[dict[str, object]], toy: Path) -> None:
    results = words({"workers": 2}).generate(count=200, batch=8, folder=toy / "run")
    for number, _ in enumerate(results):
        if number == 70:
            break
    results.run.close()
    gone_on = words().generate(count=200, batch=8, folder=toy / "run")
    assert 70 < len(gone_on.run.done) < 200
    assert gone_on.table().to_pylist() == alone


def test_a_request_that_ends_its_workers_becomes_a_row(toy: Path) -> None:
    starts = [f"w{n}" for n in range(40)]
    starts[23] = "killer"
    results = words({"workers": 2}).generate(start=starts, count=1, batch=8)
    rows = results.table().to_pylist()
    assert [row["id"] for row in rows] == list(range(40))
    assert [row["id"] for row in rows if not row["valid"]] == [23]
    assert rows[23]["input"] == "killer"
    assert "SIGKILL" in rows[23]["reason"]
    record = json.loads((results.finish().folder / "record.json").read_text())
    assert any("request 23 is given up" in event for event in record["events"])


def test_what_kills_a_worker_once_is_tried_again(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORD_DIED", str(toy / "died"))
    results = words({"workers": 2}).generate(start=["a", "killer-once", "b"], count=1, batch=1)
    assert [row["valid"] for row in results.table().to_pylist()] == [True] * 3
    assert (toy / "died").exists()


def test_workers_killed_from_outside_lose_nothing(alone: list[dict[str, object]]) -> None:
    results = words({"workers": 2}).generate(count=200, batch=8, pause=0.005)
    killed = 0
    for number, _ in enumerate(results):
        if number in (30, 90):
            alive = children(os.getpid())
            alive[killed % len(alive)].kill()
            killed += 1
    table = results.table()
    assert killed == 2
    assert table.to_pylist() == alone


def test_a_worker_that_cannot_start_is_told_once(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = words({"workers": 2})
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(FoundationError, match="workers die before they have loaded"):
        model.generate(count=5).finish()


def test_a_failure_inside_ends_the_run_with_its_traceback(start: Start, toy: Path) -> None:
    run = start("model=toy/words", "task.fail=inside", "engine.workers=2", "resume=run")
    out, err = run.communicate(timeout=200)
    assert (run.returncode, out) == (1, "")
    assert "the model broke" in err
    assert "Traceback" not in err
    assert "toy/model.py" in (toy / "run/run.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver(start: Start, toy: Path, number: int) -> None:
    words_ = ["task.count=500", "task.pause=0.05", "task.batch=2", "engine.workers=2"]
    run = start("model=toy/words", *words_, "resume=run")
    until(lambda: len(children(run.pid)) == 2)
    until(lambda: list((toy / "run/parts").glob("*.parquet")))
    workers = children(run.pid)
    run.send_signal(number)
    _, err = run.communicate(timeout=200)
    psutil.wait_procs(workers, timeout=100)
    assert not any(_worker(each) for each in workers)
    if number == signal.SIGINT:
        assert run.returncode == 130
        assert "go on with: foundation resume=" in err
        rows = sum(pq.read_metadata(p).num_rows for p in (toy / "run/parts").glob("*.parquet"))
        assert f"stopped: {rows} of 500 written" in err


@pytest.mark.parametrize("wrong", [0, "two", 1.5, True])
def test_workers_are_a_whole_number(toy: Path, wrong: object) -> None:
    with pytest.raises(InputError, match=r"engine\.workers must be a whole number"):
        fm.load("toy/words", engine={"workers": wrong})


def test_an_engine_that_is_not_there_names_those_that_are(toy: Path) -> None:
    with pytest.raises(InputError, match="unknown engine 'locl': did you mean 'local'"):
        fm.load("toy/words", engine="locl")


def ranges(start: Start, root: Path, *words: str, of: int = 3) -> list[tuple[int, str]]:
    """Each range as a job of its own, as a batch system begins them; exit codes and errors."""
    told = []
    for number in range(of):
        where = (f"engine.ranges={of}", f"engine.range={number}", f"resume={root}/{number}")
        run = start("model=toy/words", *words, *where)
        told.append((run.communicate(timeout=200)[1], run.returncode))
    return [(code, err) for err, code in told]


def join(start: Start, root: Path) -> tuple[int, str, str]:
    run = start("task=join", f"task.run={root}")
    out, err = run.communicate(timeout=200)
    return run.returncode, out, err


def test_joined_ranges_are_the_whole_run(
    start: Start, toy: Path, alone: list[dict[str, object]]
) -> None:
    told = ranges(start, toy / "all", "task.count=200", "task.batch=8")
    assert [code for code, _ in told] == [0, 0, 0]
    code, out, err = join(start, toy / "all")
    assert (code, err) == (0, "")
    assert out.startswith("200 words, ")
    assert pq.read_table(toy / "all/results.parquet").to_pylist() == alone
    assert json.loads((toy / "all/record.json").read_text())["counts"]["rows"] == 200
    assert join(start, toy / "all")[1].startswith("finished already: 200 rows")


@pytest.mark.long
def test_ranges_of_a_file_are_its_rows(start: Start, toy: Path) -> None:
    (toy / "starts.txt").write_text(" ".join(f"s{n}" for n in range(11)))
    words_ = ("task.input=starts.txt", "task.count=2", "task.batch=2")
    assert {code for code, _ in ranges(start, toy / "all", *words_, of=4)} == {0}
    assert join(start, toy / "all")[0] == 0
    rows = pq.read_table(toy / "all/results.parquet").to_pylist()
    assert [row["id"] for row in rows] == list(range(22))
    assert [row["input"] for row in rows] == [f"s{n // 2}" for n in range(22)]


def test_a_join_is_refused_until_every_range_is_whole(start: Start, toy: Path) -> None:
    root = toy / "all"
    ranges(start, root, "task.count=60")
    kept = root / "1"
    kept.rename(toy / "away")
    assert "range 1 of 3 is missing" in join(start, root)[2]
    (toy / "away").rename(kept)
    part = next((kept / "parts").glob("*.parquet"))
    whole = part.read_bytes()
    part.write_bytes(whole[:-1] + b"?")
    code, _, err = join(start, root)
    assert code == 2
    assert f"{part} is not what its manifest says" in err
    assert not (root / "results.parquet").exists()
    part.write_bytes(whole)
    (kept / "record.json").unlink()
    assert f"{kept} is not finished: foundation resume={kept}" in join(start, root)[2]
    run = start(f"resume={kept}")
    assert run.communicate(timeout=200)[0].startswith("20 words")
    assert join(start, root)[0] == 0


@pytest.mark.parametrize(
    ("words_", "why"),
    [
        (("engine.ranges=3",), "engine.range must lie between 0 and 2"),
        (("engine.ranges=3", "engine.range=3"), "engine.range must lie between 0 and 2"),
        (("engine.range=1",), "engine.ranges must be a whole number"),
        (("engine.ranges=2", "engine.range=0", "task.count=inf"), "task.count=inf has no ranges"),
    ],
)
def test_a_range_that_is_none_is_refused(start: Start, words_: tuple[str, ...], why: str) -> None:
    run = start("model=toy/words", *words_)
    err = run.communicate(timeout=200)[1]
    assert (run.returncode, len(err.splitlines())) == (2, 1)
    assert why in err


def test_status_from_another_shell(start: Start, toy: Path) -> None:
    words_ = ("task.count=400", "task.pause=0.05", "engine.workers=2", "task.batch=2")
    run = start("model=toy/words", *words_, "resume=run")
    until((toy / "run/status.json").exists)
    status = start("task=status", "task.run=run").communicate(timeout=200)[0]
    assert " of 400 " in status
    assert " left" in status
    assert f"running: process {run.pid} on " in status
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=200)
    stopped = start("task=status", "task.run=run").communicate(timeout=200)[0]
    assert "stopped: foundation resume=run" in stopped


@pytest.mark.long
def test_status_of_ranges_and_of_what_is_none(start: Start, toy: Path) -> None:
    ranges(start, toy / "all", "task.count=60")
    status = start("task=status", "task.run=all").communicate(timeout=200)[0]
    assert status.splitlines()[-1].startswith("60 of 60 ")
    run = start("task=status", "task.run=nowhere")
    assert "there is no run in nowhere" in run.communicate(timeout=200)[1]
    assert run.returncode == 2


def array(start: Start, root: Path, *words: str, of: int = 3) -> "subprocess.Popen[str]":
    """The ranges as an array of jobs, by submitit's executor for this machine."""
    return start(
        "-m", "model=toy/words", *words, f"engine.ranges={of}", f"engine.range=range({of})",
        "hydra/launcher=submitit_local", f"hydra.sweep.dir={root}",
    )  # fmt: skip


def test_an_array_of_ranges_is_the_whole_run(
    start: Start, toy: Path, alone: list[dict[str, object]]
) -> None:
    run = array(start, toy / "all", "task.count=200", "task.batch=8")
    run.communicate(timeout=200)
    assert run.returncode == 0
    assert join(start, toy / "all")[0] == 0
    assert pq.read_table(toy / "all/results.parquet").to_pylist() == alone


@pytest.mark.long
def test_a_job_that_is_preempted_goes_on_when_it_is_requeued(
    start: Start, toy: Path, alone: list[dict[str, object]]
) -> None:
    root = toy / "all"
    run = array(start, root, "task.count=200", "task.batch=8", "task.pause=0.4", of=2)
    until(lambda: all((root / f"{n}-toy-words-generate/status.json").exists() for n in (0, 1)))
    jobs = [p for p in psutil.Process(run.pid).children(recursive=True) if _submitted(p)]
    assert jobs
    for job in jobs:
        job.send_signal(signal.SIGUSR2)
    run.communicate(timeout=200)
    assert run.returncode == 0
    logs = "".join(path.read_text() for path in root.glob(".submitit/*/*.out"))
    assert logs.count("Requeued job") == 2
    code, _, _ = join(start, root)
    assert code == 0
    assert pq.read_table(root / "results.parquet").to_pylist() == alone


def _submitted(process: psutil.Process) -> bool:
    """Whether a process does a job's work, which a controller of submitit's waits for."""
    return "submitit.core._submit" in process.cmdline()


def test_a_job_of_an_array_that_fails_fails_the_command(start: Start, toy: Path) -> None:
    run = array(start, toy / "all", "task.count=20", "task.fail=inside", of=2)
    run.communicate(timeout=200)
    assert run.returncode == 1


@pytest.mark.parametrize("whole_parts", [0, 1])
def test_a_driver_killed_between_write_and_rename_loses_nothing(
    start: Start, toy: Path, whole_parts: int
) -> None:
    words_ = ["model=toy/words", "task.count=200", "task.batch=8", "task.pause=0.05"]
    words_ += ["engine.workers=2", "resume=run"]
    killed = subprocess.run([sys.executable, "-c", BETWEEN, str(whole_parts), *words_], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list((toy / "run/parts").glob(".*.part"))
    assert len(list((toy / "run/parts").glob("*.parquet"))) == whole_parts
    run = start("resume=run", "task.pause=0.0")
    assert "resume with the settings" in run.communicate(timeout=200)[1]
    run = start("resume=run")
    assert run.communicate(timeout=200)[0].startswith("200 words")
    rows = pq.read_table(toy / "run/results.parquet").to_pylist()
    assert [row["id"] for row in rows] == list(range(200))
    assert rows == words().generate(count=200, batch=8).table().to_pylist()


def test_a_second_run_on_a_folder_is_told_who_holds_it(start: Start, toy: Path) -> None:
    words_ = ("task.count=400", "task.pause=0.05", "engine.workers=2", "task.batch=2")
    run = start("model=toy/words", *words_, "resume=run")
    until((toy / "run/status.json").exists)
    second = start("resume=run", "engine.workers=1")
    err = second.communicate(timeout=200)[1]
    assert second.returncode == 2
    assert f"is held by process {run.pid} on {platform.node()} since " in err
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=200)


@pytest.fixture
def cgroup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A group of processes that the kernel lets have 256 MiB."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(memory_limit(256))
        except OSError as error:
            pytest.skip(f"no memory cgroup can be made here: {error.strerror}")
        monkeypatch.setenv("WORD_CGROUP", str(folder))
        yield folder


def test_a_worker_killed_for_want_of_memory_is_replaced_and_the_culprit_named(
    toy: Path, cgroup: Path
) -> None:
    starts = [f"w{n}" for n in range(12)]
    starts[5] = "hungry"
    results = words({"workers": 2}).generate(start=starts, count=1, batch=4)
    rows = results.table().to_pylist()
    assert [row["id"] for row in rows] == list(range(12))
    assert [row["id"] for row in rows if row["reason"] not in (None, "z")] == [5]
    assert "SIGKILL, as for want of memory" in rows[5]["reason"]
    record = json.loads((results.finish().folder / "record.json").read_text())
    assert any("request 5 is given up" in event for event in record["events"])
