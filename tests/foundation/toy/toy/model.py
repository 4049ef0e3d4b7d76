"""A model that draws letters, slowly when told to."""

import os
import signal
import sys
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.adapter import Cost, Output, Placement
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.spec import ModelSpec


@dataclass(frozen=True)
class Request:
    """start: the first letters. letters: how many follow, 1 to 50. pause: seconds a word."""

    start: str | None = None
    letters: int = 5
    pause: float = 0.0
    fail: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.letters, int) or not 1 <= self.letters <= 50:
            raise RequestError(f"letters must lie between 1 and 50, got '{self.letters}'")


class Words:
    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        return Cost()

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None: ...

    def key(self, task: str, request: Request) -> Hashable:
        return request.letters

    def run(
        self, task: str, batch: Sequence[Request], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        for row, request in enumerate(batch):
            time.sleep(request.pause)
            if request.start in ("killer", "killer-once"):
                _die(request.start)
            if request.start == "hungry":
                _eat()
            if request.fail == "inside":
                raise ValueError("the model broke\nin two lines")
            if request.fail == "requeued":
                sys.exit(-1)  # as submitit does when Slurm is to begin the job again
            if request.fail == "full":
                raise OSError(28, "No space left on device")
            numbers = draws.select([row]).uniform(0, (request.letters,))[0]
            word = "".join(chr(97 + int(26 * number)) for number in numbers)
            yield row, Output((request.start or "") + word)

    def close(self) -> None: ...


def _die(how: str) -> None:
    """As when the kernel kills for want of memory; `killer-once` where WORD_DIED is not there."""
    mark = Path(os.environ.get("WORD_DIED", "/nowhere"))
    if how == "killer-once":
        if mark.exists():
            return
        mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)


def _eat() -> None:
    """Take more memory than the group WORD_CGROUP may have; the kernel ends the process."""
    (Path(os.environ["WORD_CGROUP"]) / "cgroup.procs").write_text(str(os.getpid()))
    taken = [bytearray(16 * 2**20) for _ in range(64)]
    raise MemoryError(f"{len(taken)} blocks were there")


def check(values: Sequence[str], columns: Sequence[str] | None) -> list[dict[str, Any]]:
    return [
        {"valid": v[0] != "z", "reason": "z" if v[0] == "z" else None, "length": len(v)}
        for v in values
    ]


def read(path: Path, column: str | None) -> Iterator[Mapping[str, Any]]:
    for line in path.read_text().split():
        yield {"start": line}


def letters(
    model: Any, suite: Mapping[str, Any], folder: Path, seed: int, report: Any
) -> dict[str, Any]:
    count = suite.get("limit") or suite["words"]
    words = model.generate(count=count, seed=seed, folder=folder / "words")
    for done, _ in enumerate(words, 1):
        report(done)
    return {"distinct": {"mean": len(set("".join(words.table()["output"].to_pylist()))) / 26}}
