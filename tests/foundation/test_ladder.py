"""Memory runs out at every place of a run, and the results are what they are without."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.adapter import Output, Placement
from foundation.errors import PlacementError
from foundation.placement.ladder import WAIT, Ladder, placements
from foundation.placement.shortage import out_of_memory
from foundation.requests import Item
from foundation.stream import ALONE, Stream
from foundation.testing.double import Request, Slots, Stepped, Whole, word

SEED = 3
SHORTAGES = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
]
ROWS = [Request(letters=1 + i % 5, group=int(i % 3 == 1)) for i in range(11)]


class Fault:
    """Raises at one of the calls it counts."""

    def __init__(self, at: int, error: Exception) -> None:
        self.at, self.error, self.count = at, error, 0

    def __call__(self) -> None:
        self.count += 1
        if self.count - 1 == self.at:
            raise self.error


def faulty(kind: type[Whole], fault: Fault) -> Whole:
    """A double in whose every method memory may run out, between rows too."""

    class Rows(Slots):
        def insert(self, *given: Any) -> None:
            fault()
            super().insert(*given)
            fault()

        def step(self) -> list[tuple[int, Output]]:
            fault()
            made = super().step()
            fault()
            return made

    class Faulty(kind):  # type: ignore[misc, valid-type]
        def key(self, task: str, request: Request) -> Any:
            fault()
            return super().key(task, request)

        def run(self, *given: Any) -> Iterator[tuple[int, Output]]:
            fault()
            for pair in super().run(*given):
                yield pair
                fault()

        def slots(self, task: str, key: Any, count: int) -> Slots | None:
            if kind is Whole:
                return None
            fault()
            return Rows(self)

    made = Faulty()
    made.options = {}
    return made


def run(kind: type[Whole], fault: Fault) -> tuple[dict[int, Any], list[str]]:
    stream = Stream(faulty(kind, fault), "generate", 4, SEED)
    made = [(i.id, o.value) for i, o in stream.outputs(Item(i, row) for i, row in enumerate(ROWS))]
    assert len(made) == len(dict(made))
    return dict(made), stream.events


@pytest.mark.parametrize("kind", [Whole, Stepped])
def test_memory_may_run_out_at_every_call_of_an_adapter(kind) -> None:
    counted = Fault(-1, MemoryError())
    expected = {i: word(SEED, i, row) for i, row in enumerate(ROWS)}
    assert run(kind, counted) == (expected, [])
    assert counted.count > 20
    for at in range(counted.count):
        made, events = run(kind, Fault(at, SHORTAGES[at % len(SHORTAGES)]))
        assert made == expected, f"call {at}"
        assert len(events) <= 1, f"call {at}"


def test_other_errors_are_not_taken_for_memory() -> None:
    assert not out_of_memory(RuntimeError("CUDA error: an illegal memory access"))
    assert not out_of_memory(ValueError("can't allocate memory"))


class Parts:
    """The letters of a word, in any of whose steps memory may run out."""

    def __init__(self, word: str, fault: Fault) -> None:
        self.word, self.fault = word, fault
        self.said: dict[int, str] = {}

    def __iter__(self) -> Iterator[str]:
        for letter in self.word:
            self.fault()
            yield letter

    def add(self, number: int, output: Output) -> None:
        self.fault()
        assert number not in self.said
        self.said[number] = output.value

    def join(self) -> Output:
        self.fault()
        return Output("".join(self.said[n] for n in range(len(self.word))))


class Louder:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def key(self, task: str, request: str) -> int:
        return 0

    def split(self, task: str, request: str, sink: Path | None) -> Parts:
        self.fault()
        return Parts(request, self.fault)

    def run(self, task: str, batch: Sequence[str], draws: Any) -> Iterator[tuple[int, Output]]:
        self.fault()
        yield from ((row, Output(letter.upper())) for row, letter in enumerate(batch))


def shouted(fault: Fault) -> dict[int, str]:
    stream = Stream(Louder(fault), "shout", 4, SEED)  # type: ignore[arg-type]
    words = ["north", "", "south", "e", "wind"]
    made = [(i.id, o.value) for i, o in stream.outputs(Item(i, w) for i, w in enumerate(words))]
    assert len(made) == len(dict(made))
    return dict(made)


def test_memory_may_run_out_at_every_step_of_a_split_request() -> None:
    counted = Fault(-1, MemoryError())
    expected = shouted(counted)
    assert expected == {0: "NORTH", 1: "", 2: "SOUTH", 3: "E", 4: "WIND"}
    for at in range(counted.count):
        assert shouted(Fault(at, MemoryError())) == expected, f"call {at}"


class Loads:
    """Loads doubles that run out of memory as `fits` tells of (rows, savers on, placement)."""

    def __init__(self, fits: Callable[[int, int, Placement], bool]) -> None:
        self.fits = fits
        self.loaded: list[Placement] = []

    def __call__(self, placement: Placement) -> Whole:
        loads = self

        class Saving(Whole):
            on = 0

            def savers(self) -> Sequence[str]:
                return ["tiles", "slices"]

            def save_memory(self, name: str) -> None:
                self.on += 1

            def work(self, rows: int, began: float) -> None:
                if not loads.fits(rows, self.on, placement):
                    raise MemoryError

        self.loaded.append(placement)
        made = Saving()
        made.options = {}
        return made


def climb(fits: Any, rows: int, batch: int = 2, **asked: Any) -> tuple[list[str], list[Output]]:
    loads = Loads(fits)
    first = Placement("cuda:0", **asked)
    tried = placements(first, ("host", "disk"))
    ladder = Ladder(loads(first), batch, [], loads, tried)
    stream = Stream(ladder.adapter, "generate", batch, SEED, ladder=ladder)
    made = [output for _, output in stream.outputs(Item(i, Request()) for i in range(rows))]
    assert len(made) == rows
    return ladder.events, made


def test_the_steps_are_taken_in_their_order() -> None:
    never = lambda rows, savers, placement: placement.offload == "disk"  # noqa: E731
    events, made = climb(never, 6, lower_precision=True)
    assert events == [
        "out of memory: batch halved to 1",
        "out of memory: tiles switched on",
        "out of memory: slices switched on",
        "out of memory: loading again in bfloat16 on cuda:0",
        "out of memory: loading again in bfloat16 on cuda:0, offloaded to host",
        "out of memory: loading again in bfloat16 on cuda:0, offloaded to disk",
    ]
    assert all(output.reason is None for output in made)


def test_precision_is_lowered_and_weights_are_offloaded_only_where_that_is_allowed() -> None:
    nothing = lambda rows, savers, placement: False  # noqa: E731
    events, made = climb(nothing, 2, offload="never")
    assert not any("bfloat16" in event or "offload" in event for event in events)
    assert [output.reason for output in made] == [ALONE] * 2
    assert placements(Placement("cpu"), ("host", "disk"))[1:] == [Placement("cpu", offload="disk")]
    assert placements(Placement("cpu", offload="disk"), ("host", "disk"))[1:] == []


def test_the_way_up_is_tried_again_and_leads_back_to_the_beginning() -> None:
    calls = 0

    def for_a_while(rows: int, savers: int, placement: Placement) -> bool:
        nonlocal calls
        calls += 1
        return calls > 2  # another process took memory, and gave it back

    events, made = climb(for_a_while, 8 * WAIT, offload="never")
    assert all(output.reason is None for output in made)
    assert events == [
        "out of memory: batch halved to 1",
        "out of memory: tiles switched on",
        "memory again: batch back to 2",
        "memory again: loading again without the last memory saver",
    ]


def test_a_way_up_that_fails_is_tried_more_and_more_seldom() -> None:
    small = lambda rows, savers, placement: rows < 2  # noqa: E731
    events, made = climb(small, 20 * WAIT)
    assert all(output.reason is None for output in made)
    ups = events.count("memory again: batch back to 2")
    assert 2 <= ups <= 4
    assert events.count("out of memory: batch halved to 1") in (ups, ups + 1)


def test_one_request_that_fits_nowhere_leaves_the_others_as_they_were() -> None:
    class Big(Loads):
        def __call__(self, placement: Placement) -> Whole:
            made = super().__call__(placement)
            plain = made.run

            def run(task: str, batch: Sequence[Request], draws: Any) -> Iterator[Any]:
                if any(request.letters == 9 for request in batch):
                    raise MemoryError
                return plain(task, batch, draws)

            made.run = run  # type: ignore[method-assign]
            return made

    loads = Big(lambda *_: True)
    first = Placement("cuda:0")
    ladder = Ladder(loads(first), 1, [], loads, placements(first, ("host",)))
    stream = Stream(ladder.adapter, "generate", 1, SEED, ladder=ladder)
    rows = [Request(letters=9 if i == 2 else 3) for i in range(5)]
    made = {item.id: o for item, o in stream.outputs(Item(i, row) for i, row in enumerate(rows))}
    assert [made[i].reason for i in range(5)] == [None, None, ALONE, None, None]
    assert loads.loaded[-1] == first


def test_loading_steps_down_too_and_fails_in_a_line(double, monkeypatch) -> None:
    loaded: list[Placement] = []

    def load(self: Any, spec: Any, folder: Path, placement: Placement) -> None:
        loaded.append(placement)
        self.options = {}
        self.weights = None
        if placement.offload != "disk":
            raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Whole, "load", load)
    monkeypatch.setattr(Whole, "offloads", ("disk",), raising=False)
    model = double()
    results = model.generate(count=3, seed=SEED)
    assert [row["output"] for row in results.table().to_pylist()] == [
        word(SEED, n, Request()) for n in range(3)
    ]
    assert [placement.offload for placement in loaded] == [None, "disk"]
    assert results.events == ["out of memory: loading with float32 on cpu, offloaded to disk"]
    monkeypatch.setattr(Whole, "offloads", ())
    with pytest.raises(PlacementError, match="memory does not suffice to load double/whole"):
        double().generate(count=3).finish()


LIMITED = """
import resource, sys
import torch
from foundation.adapter import Output
from foundation.requests import Item
from foundation.stream import Stream

ROW = 32 * 2**20

class Hungry:
    def key(self, task, request):
        return ()

    def run(self, task, batch, draws):
        held = torch.ones(len(batch), ROW // 4)
        for row, request in enumerate(batch):
            yield row, Output(float(held[row, 0]) + request)

torch.ones(ROW // 4).sum()
(size,) = [int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmSize")]
limit = size * 1024 + int(5.5 * ROW)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
stream = Stream(Hungry(), "add", 32, 0)
made = sorted((i.id, o.value) for i, o in stream.outputs(Item(n, n) for n in range(70)))
assert made == [(n, n + 1.0) for n in range(70)], made
print(stream.events)
"""


def test_a_limit_on_the_process_is_met_with_a_smaller_batch() -> None:
    """RLIMIT_AS makes torch's own allocator fail, whose error is a RuntimeError."""
    ran = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    halved = [f"out of memory: batch halved to {n}" for n in (16, 8, 4)]
    # How much the allocator keeps decides whether it must go lower for a while.
    assert ran.stdout.startswith(str(halved)[:-1])
