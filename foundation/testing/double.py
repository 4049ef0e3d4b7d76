"""A domain of words and two models of it without torch, to test and time the core itself.

The words are those of the random numbers alone, so that each can be told beforehand (`word`).
What a spec's `options` may hold: `delay`, seconds a batch or a step takes, the model's own work
included; `fits`, rows a batch may have before memory runs out; `memory`, how it says so: "host" or
"device"; `bytes`, the size of the weights.
"""

import os
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.spec import Domain, ModelSpec, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HERE = "foundation.testing.double"
BYTES = 1 << 20
LETTERS = "abcdefghijklmnop"

DOMAIN = Domain(
    name="double",
    default="double/whole",
    noun="words",
    read=f"{_HERE}:read",
    tasks={
        "generate": Task(
            request=f"{_HERE}:Request",
            item="start",
            count=10,
            check=f"{_HERE}:check",
            columns={"letters": "int64", "tail": "string", "steps": "int64"},
            unique_by="tail",
        ),
        "echo": Task(request=f"{_HERE}:Request", item="start", columns={"steps": "int64"}),
    },
)


@dataclass(frozen=True)
class Request:
    """A word to be made.

    start: what it begins with; "?" cannot be used. letters: drawn after it, 1 to 1000, one a step.
    group: requests of one group share batches.
    """

    start: str | None = None
    letters: int = 4
    group: int = 0

    def __post_init__(self) -> None:
        if type(self.letters) is not int or not 1 <= self.letters <= 1000:
            raise RequestError(f"letters must lie between 1 and 1000, got '{self.letters}'")
        if self.start == "?":
            raise RequestError("start is '?', which begins no word")


class OutOfMemoryError(RuntimeError):
    """Named as torch's, by which the core knows it."""


class Whole:
    """Makes the words of a batch all at once."""

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        size = 1 if request is None else request.letters
        return Cost(weights=spec.options.get("bytes", BYTES), memory=64, size=size)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        from safetensors.numpy import load_file

        self.weights = load_file(folder / "model.safetensors")
        self.options = spec.options

    def key(self, task: str, request: Request) -> Hashable:
        return request.group

    def run(
        self, task: str, batch: Sequence[Request], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        began = time.perf_counter()
        longest = max(request.letters for request in batch)
        letters = _letters(draws.uniform(0, (longest,)))
        self.work(len(batch), began)
        for row, request in enumerate(batch):
            yield row, _output(request, letters[row])

    def work(self, rows: int, began: float) -> None:
        """Take the time and have the failures that the options ask for."""
        if rows > self.options.get("fits", rows):
            host = self.options.get("memory") == "host"
            raise MemoryError if host else OutOfMemoryError(f"{rows} rows do not fit")
        left = self.options.get("delay", 0.0) - (time.perf_counter() - began)
        if left > 0:
            time.sleep(left)

    def close(self) -> None:
        del self.weights


class Stepped(Whole):
    """Makes a letter of every word a step; words leave when they are done."""

    def slots(self, task: str, key: Hashable, count: int) -> "Slots | None":
        return Slots(self) if task == "generate" else None


class Slots:
    """The rows of a batch; they fail together, as a device's do."""

    def __init__(self, model: Whole) -> None:
        self.model = model
        self.rows: dict[int, tuple[Request, NDArray[np.int64], int]] = {}

    def insert(self, slot: int, request: Request, draws: Draws) -> None:
        if slot in self.rows:
            raise IndexError(f"slot {slot} is taken")
        self.rows[slot] = (request, _letters(draws.uniform(0, (request.letters,)))[0], 0)

    def step(self) -> list[tuple[int, Output]]:
        began = time.perf_counter()
        finished = []
        for slot, (request, letters, done) in list(self.rows.items()):
            self.rows[slot] = (request, letters, done + 1)
            if done + 1 == request.letters:
                finished.append((slot, _output(request, letters)))
        self.model.work(len(self.rows), began)
        for slot, _ in finished:
            del self.rows[slot]
        return finished

    def remove(self, slot: int) -> None:
        del self.rows[slot]


def word(seed: int, number: int, request: Request) -> str:
    """What any of the models makes of request `number` of a run."""
    return str(
        _output(request, _letters(Draws(seed, [number]).uniform(0, (request.letters,)))[0]).value
    )


def check(values: Sequence[str], columns: Sequence[str] | None) -> list[dict[str, Any]]:
    """Words that end with "a" are invalid; a word that begins with "!" ends the process."""
    if any(value.startswith("!") for value in values):
        os._exit(1)
    return [
        {"valid": good, "reason": None if good else "ends with a", "tail": value[-2:]}
        | {"letters": len(value)}
        for value in values
        for good in [not value.endswith("a")]
    ]


def read(path: Path, column: str | None) -> Iterator[Mapping[str, Any]]:
    """A line of the file is a word's start; an empty one is unreadable."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            yield {"start": text} if text else {"error": f"line {number} is empty"}


def spec(folder: Path, model: str = "Whole", **options: Any) -> ModelSpec:
    """The spec of a model whose weights are written into `folder`, unless they are there."""
    import numpy as np
    from safetensors.numpy import save_file

    weights = folder / "model.safetensors"
    if not weights.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"weights": np.ones(options.get("bytes", BYTES), np.uint8)}, weights)
    return ModelSpec(
        name=f"double/{model.lower()}",
        domain="double",
        adapter=f"{_HERE}:{model}",
        source=f"path:{folder}",
        tasks=("generate", "echo"),
        dtype="float32",
        options=options,
    )


def install(folder: Path) -> None:
    """Make the domain known to every Python that has `folder` on its path."""
    info = folder / "foundation_double-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foundation-double\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[foundation.domains]\ndouble = {_HERE}:DOMAIN\n")


def _letters(numbers: "NDArray[Any]") -> "NDArray[np.int64]":
    letters: NDArray[np.int64] = (numbers * len(LETTERS)).astype("int64")
    return letters


def _output(request: Request, letters: "NDArray[np.int64]") -> Output:
    tail = "".join(LETTERS[n] for n in letters[: request.letters].tolist())
    usage = {"letters": float(request.letters)}
    return Output((request.start or "") + tail, extra={"steps": request.letters}, usage=usage)
