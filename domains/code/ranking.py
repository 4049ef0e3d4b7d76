"""Several samples of one request, side by side in the rows of a causal model, then ranked."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from foundation.adapter import Output, Slots
from foundation.domains.code.inputs import Complete
from foundation.domains.code.sandbox import run
from foundation.draws import Draws

SAMPLE = 1 << 48
"""Between the random numbers of one sample and those of the next."""


@dataclass
class Group:
    """The samples of one request, as far as they are there."""

    request: Complete
    draws: Draws
    outputs: dict[int, Output] = field(default_factory=dict)


class RankedSlots:
    """`count` requests over as many rows; a request holds its slot until all its samples end."""

    def __init__(self, rows: Slots, count: int) -> None:
        self._rows, self._free = rows, list(range(count))
        self._groups: dict[int, Group] = {}
        self._waiting: deque[tuple[int, int]] = deque()
        self._written: dict[int, tuple[int, int]] = {}
        self._running: dict[Future[Output], int] = {}
        self._pool: ThreadPoolExecutor | None = None

    def insert(self, slot: int, request: Complete, draws: Draws) -> None:
        self._groups[slot] = Group(request, draws)
        self._waiting.extend((slot, sample) for sample in range(request.samples))
        self._fill()

    def remove(self, slot: int) -> None:
        """Give up a request; the sandbox may still end what it runs."""
        del self._groups[slot]
        self._waiting = deque(entry for entry in self._waiting if entry[0] != slot)
        for row in [row for row, entry in self._written.items() if entry[0] == slot]:
            del self._written[row]
            self._rows.remove(row)
            self._free.append(row)
        self._running = {future: own for future, own in self._running.items() if own != slot}

    def step(self) -> Sequence[tuple[int, Output]]:
        """Write one token in every row; the requests whose last sample is done."""
        self._fill()
        ended: list[tuple[int, Output]] = []
        for row, output in self._rows.step():
            slot, sample = self._written.pop(row)
            self._free.append(row)
            group = self._groups[slot]
            group.outputs[sample] = output
            if len(group.outputs) == group.request.samples:
                best = ranked([group.outputs[n] for n in sorted(group.outputs)])
                if group.request.sandbox is None or best.reason is not None:
                    ended.append((slot, best))
                else:
                    self._start(slot, group.request.sandbox, best)
        ended += self._ran()
        for slot, _ in ended:
            del self._groups[slot]
        return ended

    def _fill(self) -> None:
        while self._free and self._waiting:
            slot, sample = self._waiting.popleft()
            group, row = self._groups[slot], self._free.pop()
            self._written[row] = (slot, sample)
            draws = Draws(group.draws.seed, [group.draws.ids[0] + sample * SAMPLE])
            self._rows.insert(row, group.request, draws)

    def _start(self, slot: int, mode: str, output: Output) -> None:
        self._pool = self._pool or ThreadPoolExecutor(2)
        self._running[self._pool.submit(tried, output, mode)] = slot

    def _ran(self) -> list[tuple[int, Output]]:
        """What the sandbox is done with; waited for where nothing else is to be done."""
        if self._running and not self._written:
            wait(self._running, return_when=FIRST_COMPLETED)
        done = [future for future in self._running if future.done()]
        return [(self._running.pop(future), future.result()) for future in done]


def ranked(outputs: Sequence[Output]) -> Output:
    """The sample of the highest mean log-probability, with all distinct ones beside it.

    samples: distinct completions, best first; blank ones last, for ending at once is no answer.
    times: how often each was written.
    """
    import numpy as np

    refused = next((output for output in outputs if output.refused), None)
    if refused is not None:
        return refused
    first: dict[str, Output] = {}
    times: dict[str, int] = {}
    for output in outputs:
        kept = first.setdefault(output.value, output)
        # Equal texts may differ in their tokens.
        first[output.value] = max(kept, output, key=_mean)
        times[output.value] = times.get(output.value, 0) + 1
    order = sorted(first.values(), key=lambda one: (bool(one.value.strip()), _mean(one)))[::-1]
    usage = {name: sum(each.usage[name] for each in outputs) for name in outputs[0].usage}
    extra = {
        "samples": [output.value for output in order],
        "mean_log_probabilities": np.array([_mean(output) for output in order]),
        "times": [times[output.value] for output in order],
    }
    return replace(order[0], extra={**order[0].extra, **extra}, usage=usage)


def tried(output: Output, mode: str) -> Output:
    """An output with the columns `runs` and `run_error`."""
    extra = output.extra
    if extra["language"] != "python":
        return replace(output, extra={**extra, "run_error": "only Python is run"})
    program = extra["prefix"] + output.value + (extra["suffix"] or "")
    verdict = run(program, mode=mode)
    return replace(output, extra={**extra, "runs": verdict.passed, "run_error": verdict.reason})


def _mean(output: Output) -> float:
    return float(output.extra["mean_log_probability"])
