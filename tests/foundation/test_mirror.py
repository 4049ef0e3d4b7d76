"""A run's copy at an address, and the run gone on with from it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import foundation as fm
from foundation.durable import sha256
from foundation.errors import InputError, RunFolderError
from foundation.mirror import Mirror, sending
from foundation.requests import Item
from foundation.results import Result
from foundation.runs import Run

Start = Callable[..., "subprocess.Popen[str]"]
WORDS = ["model=toy/words", "task.count=60", "task.batch=4"]


def kept(mirror: Mirror, folder: Path) -> dict[str, str]:
    """The address's files and digests, which must be the folder's."""
    found = {name: mirror.digest(name) for name in mirror.names()}
    assert found == {name: sha256(folder / name) for name in found}
    return found


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.long)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/far/run"
    return f"{request.getfixturevalue('bucket')}/run"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    if find_spec("s3fs") is None or find_spec("moto") is None:
        pytest.skip("s3fs and moto[server] are not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path / "moto.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=log, stderr=log,
    )  # fmt: skip
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("words")
    yield "s3://words"
    server.kill()
    server.wait()
    log.close()


def test_a_finished_run_is_at_the_address(start: Start, toy: Path, address: str) -> None:
    run = start(*WORDS, f"engine.output={address}", "resume=run", "engine.workers=2")
    _, err = run.communicate(timeout=200)
    assert run.returncode == 0, err
    there = kept(Mirror(address), toy / "run")
    assert set(there) == {"config.json", "overrides.json", "record.json", "results.parquet"}
    # A folder that holds nothing yet learns of it that the run is finished.
    again = start(*WORDS, f"engine.output={address}", "resume=elsewhere")
    assert again.communicate(timeout=200)[0].startswith("finished already: 60 rows")


def test_a_run_whose_machine_is_gone_is_gone_on_with_elsewhere(
    start: Start, toy: Path, address: str
) -> None:
    run = start(*WORDS, "task.pause=0.1", f"engine.output={address}", "resume=run")
    mirror = Mirror(address)
    deadline = time.monotonic() + 100
    while not any(name.startswith("parts/") for name in mirror.names()):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
        mirror = Mirror(address)  # some file systems remember what they listed
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    parts = [name for name in mirror.names() if name.startswith("parts/")]
    shutil.rmtree(toy / "run")
    again = start(*WORDS, "task.pause=0.1", f"engine.output={address}", "resume=other")
    _, err = again.communicate(timeout=200)
    assert again.returncode == 0, err
    assert parts
    assert json.loads((toy / "other/record.json").read_text())["counts"]["rows"] == 60
    alone = fm.load("toy/words", placement="cpu").generate(count=60, batch=4, pause=0.0).table()
    assert pq.read_table(toy / "other/results.parquet").to_pylist() == alone.to_pylist()
    assert not any(name.startswith("parts/") for name in Mirror(address).names())


def test_other_settings_than_those_at_the_address_are_refused(tmp_path: Path) -> None:
    address = f"file://{tmp_path}/far"
    Run(tmp_path / "a", {}, {"seed": 0}, mirror=Mirror(address)).close()
    with pytest.raises(RunFolderError, match="seed: 0 there, 1 here"):
        Run(tmp_path / "b", {}, {"seed": 1}, mirror=Mirror(address))


def test_parts_from_before_there_was_an_address_are_brought(tmp_path: Path) -> None:
    run = Run(tmp_path / "a", {}, {})
    run.append(Result(0, None, "w", True))
    run.flush()
    run.close()
    mirror = Mirror(f"file://{tmp_path}/far")
    Run(tmp_path / "a", {}, {}, mirror=mirror).close()
    assert len([name for name in mirror.names() if name.startswith("parts/")]) == 1
    again = Run(tmp_path / "b", {}, {}, mirror=mirror)
    assert len(again.done) == 1
    again.close()


def test_a_run_killed_before_the_address_had_its_record_brings_it(toy: Path) -> None:
    results = fm.load("toy/words", placement="cpu").generate(count=20, batch=4, folder=toy / "a")
    results.finish()
    mirror = Mirror(f"file://{toy}/far")
    Run(toy / "a", {}, results.run.config, mirror=mirror).close()
    assert {"record.json", "results.parquet"} <= set(kept(mirror, toy / "a"))


def test_what_was_changed_there_is_written_again_at_the_end(toy: Path) -> None:
    address = f"file://{toy}/far"
    results = fm.load("toy/words", placement="cpu").generate(count=60, batch=4, folder=address)
    results.finish()
    (toy / "far/results.parquet").write_bytes(b"?")
    digests = {"results.parquet": sha256(results.run.folder / "results.parquet")}
    Mirror(address).settle(results.run.folder, digests, last="record.json")
    kept(Mirror(address), results.run.folder)


def test_a_worker_without_the_folder_brings_its_files_to_the_address(tmp_path: Path) -> None:
    """Files of requests that are done, not those of one that is under way."""
    own, told = tmp_path / "own", []
    for name in ("images/000003.png", "parts/000003/a.tif", "parts/000004/b.tif", "x/.y.part"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text(name)
    send = sending(f"file://{tmp_path}/far", own, told.append)
    send(("ready", {}))
    send(("made", [Item(3, None)]))
    mirror = Mirror(f"file://{tmp_path}/far")
    assert sorted(mirror.names()) == ["images/000003.png", "parts/000003/a.tif"]
    assert [kind for kind, _ in told] == ["ready", "made"]
    assert not (own / "images/000003.png").exists()
    assert (own / "parts/000004/b.tif").exists()
    mirror.fetch(tmp_path / "driver")
    assert (tmp_path / "driver/images/000003.png").read_text() == "images/000003.png"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("out", "'out' is no address such as s3://bucket/run"),
        ("s4://bucket/run", "unknown kind of address 's4': did you mean 's3'?"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, why: str) -> None:
    with pytest.raises(InputError, match=why.replace("?", r"\?")):
        Mirror(address)


@pytest.mark.long
def test_a_bucket_that_is_not_there_is_told_in_a_line(start: Start, toy: Path, bucket: str) -> None:
    run = start(*WORDS, f"engine.output={bucket}-gone/run", "resume=run")
    err = run.communicate(timeout=200)[1]
    assert (run.returncode, len(err.splitlines())) == (2, 1)
    assert f"cannot use {bucket}-gone/run: " in err


def test_a_range_has_no_address_of_its_own(toy: Path) -> None:
    from foundation.engines.ranges import Range

    model = fm.load("toy/words", placement="cpu")
    with pytest.raises(InputError, match=r"engine\.output is for whole runs"):
        model.results("generate", {"count": 9}, part=Range(0, 2), output=f"file://{toy}/far")
