"""Work on a Ray cluster that is started for the run; skipped where Ray is not installed."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

import foundation as fm
from foundation.errors import InputError

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
    # Ray leaves sockets and processes to the end of the interpreter.
    pytest.mark.filterwarnings("ignore"),
]

RAY = {"name": "ray", "workers": 2}


def rows(engine: object, **given: object) -> list[dict[str, object]]:
    model = fm.load("toy/words", placement="cpu", engine=engine)  # type: ignore[arg-type]
    found: list[dict[str, object]] = model.generate(batch=8, **given).table().to_pylist()
    return found


def test_actors_make_the_rows_of_one_process(toy: Path) -> None:
    assert rows(RAY, count=200) == rows("local", count=200)


def test_a_request_that_ends_its_actors_becomes_a_row(toy: Path) -> None:
    starts = [f"w{n}" for n in range(40)]
    starts[23] = "killer"
    found = rows(RAY, start=starts, count=1)
    assert [row["id"] for row in found] == list(range(40))
    assert [row["id"] for row in found if not row["valid"]] == [23]
    assert "its worker ended twice" in str(found[23]["reason"])


def test_actors_killed_from_outside_lose_nothing(toy: Path) -> None:
    model = fm.load("toy/words", placement="cpu", engine=RAY)
    results = model.generate(count=200, batch=8, pause=0.01)
    killed = 0
    for number, _ in enumerate(results):
        if number in (20, 90):
            alive = [p for p in psutil.Process().children(recursive=True) if _actor(p)]
            alive[0].kill()
            killed += 1
    assert killed == 2
    assert results.table().to_pylist() == rows("local", count=200, pause=0.0)


def test_what_the_cluster_does_not_have_is_refused_at_once(toy: Path) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=r"no node of the cluster has CPU 1, GPU 64 for a worker"):
        rows({**RAY, "gpus": 64}, count=5)
    assert time.monotonic() - began < 60


def test_a_cluster_that_is_not_there_is_an_error_in_a_line(toy: Path) -> None:
    with pytest.raises(InputError, match=r"engine\.address=127\.0\.0\.1:1"):
        rows({**RAY, "address": "127.0.0.1:1"}, count=5)


def test_it_listens_on_this_machine_alone_and_ends_with_the_run(toy: Path) -> None:
    model = fm.load("toy/words", placement="cpu", engine=RAY)
    results = model.generate(count=60, batch=8, pause=0.02)
    heard: set[str] = set()
    for number, _ in enumerate(results):
        if number == 20:
            own = psutil.Process().children(recursive=True)
            heard = {a for p in own for a in _listens(p)}
    assert heard
    assert heard <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    results.finish()
    left = [p for p in psutil.Process().children(recursive=True) if "ray" in p.name()]
    assert not psutil.wait_procs(left, timeout=20)[1]


def test_a_node_that_dies_ends_the_run(start: Callable[..., "object"], toy: Path) -> None:
    """Ray itself would wait for ever for the actors that take the dead ones' place."""
    words = ["model=toy/words", "task.count=4000", "task.batch=8", "task.pause=0.05"]
    run = start(*words, "engine=ray", "engine.workers=2", "resume=run")
    deadline = time.monotonic() + 120
    own = psutil.Process(run.pid)  # type: ignore[attr-defined]
    while not (actors := [p for p in own.children(recursive=True) if _actor(p)]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    actors[0].parent().kill()  # type: ignore[union-attr]
    _, err = run.communicate(timeout=200)  # type: ignore[attr-defined]
    assert run.returncode == 1  # type: ignore[attr-defined]
    assert "no node of the Ray cluster is left that has CPU 1 for a worker" in err


def test_a_driver_that_is_killed_goes_on_on_another_engine(
    start: Callable[..., "object"], toy: Path
) -> None:
    words = ["model=toy/words", "task.count=200", "task.batch=8", "task.pause=0.05"]
    run = start(*words, "engine=ray", "engine.workers=2", "resume=run")
    deadline = time.monotonic() + 120
    while not (toy / "run/status.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    run.communicate()  # type: ignore[attr-defined]
    again = start("resume=run", "engine=local", "engine.workers=null")
    out, _ = again.communicate(timeout=120)  # type: ignore[attr-defined]
    assert out.startswith("200 words")
    assert json.loads((toy / "run/record.json").read_text())["engine"] is None
    found = pq.read_table(toy / "run/results.parquet")["id"].to_pylist()
    assert found == list(range(200))


def _actor(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any("ray::Actor" in word for word in process.cmdline())
    return False


def _listens(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return [c.laddr.ip for c in process.net_connections("tcp") if c.status == "LISTEN"]
    return []
