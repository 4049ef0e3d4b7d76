"""An array of ranges on a Slurm of one node, which the test starts from the system's packages.

Debian: apt-get install slurmctld slurmd slurm-client munge. It listens on 127.0.0.1 alone.
"""

import os
import platform
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import foundation as fm

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),  # Slurm begins a job that was sent back after two minutes
    pytest.mark.skipif(
        os.getuid() != 0 or not all(map(shutil.which, ("munged", "slurmctld", "slurmd", "sbatch"))),
        reason="needs root and the packages slurmctld, slurmd, slurm-client and munge",
    ),
]
CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
ReturnToService=2
SchedulerParameters=bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES PriorityTier=1 GraceTime=60 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=9 PreemptMode=OFF State=UP
"""
PAUSE = "task.pause=0.3"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a Slurm that runs; commands find it by SLURM_CONF."""
    folder = tmp_path / "slurm"
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=platform.node(), folder=folder, ports=free_ports(2)))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    monkeypatch.setenv("SLURM_CONF", str(conf))
    own = [f"--{what}-file={folder}/munge.{what}" for what in ("pid", "log", "seed")]
    commands = [
        ["munged", "-F", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}", *own],
        ["slurmctld", "-D", "-f", str(conf)],
        ["slurmd", "-D", "-f", str(conf)],
    ]
    with ExitStack() as stack:
        for command in commands:
            log = stack.enter_context((folder / f"{command[0]}.out").open("wb"))
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            time.sleep(0.5)
        until(lambda: "idle" in told("sinfo", "-h", "-o", "%T"), folder)
        yield folder
        told("scancel", "--user=root")
        until(lambda: not told("squeue", "-h"), folder)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]


def told(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def until(condition: Callable[[], object], folder: Path, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        logs = "".join(p.read_text(errors="replace")[-1500:] for p in folder.glob("*.out"))
        assert time.monotonic() < deadline, f"too slow: {logs}"
        time.sleep(0.2)


def test_a_preempted_array_of_ranges_is_the_whole_run(
    start: Callable[..., "subprocess.Popen[str]"], toy: Path, slurm: Path
) -> None:
    """Two ranges run at once; a job of a partition that goes before sends both back."""
    root = toy / "all"
    run = start(
        "-m", "model=toy/words", "task.count=200", "task.batch=8", PAUSE,
        "engine.ranges=4", "engine.range=range(4)", f"hydra.sweep.dir={root}",
        "hydra/launcher=slurm_ranges", "hydra.launcher.cpus_per_task=1",
        "hydra.launcher.mem_gb=null",
    )  # fmt: skip
    until(lambda: len(list(root.glob("*/status.json"))) == 2, slurm)
    urgent = told("sbatch", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    assert "Submitted" in urgent
    _, err = run.communicate(timeout=500)
    assert run.returncode == 0, err
    logs = "".join(path.read_text() for path in root.glob(".submitit/**/*.out"))
    logs += "".join(path.read_text() for path in root.glob(".submitit/**/*.err"))
    assert logs.count("Requeued job") >= 2, logs[-3000:]
    joined = start("task=join", f"task.run={root}")
    out, err = joined.communicate(timeout=100)
    assert out.startswith("200 words"), err
    alone = fm.load("toy/words", placement="cpu").generate(count=200, batch=8).table()
    assert pq.read_table(root / "results.parquet").to_pylist() == alone.to_pylist()
