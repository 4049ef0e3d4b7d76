"""What is done when memory runs out, mildest first, and undone when there is memory again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from foundation.adapter import Adapter, Placement, Saves
from foundation.placement.shortage import fell_short, free_unused

T = TypeVar("T")

WAIT = 32
"""Batches that must fit before the way up is tried; twice as many after each failure there."""
LONGEST_WAIT = 4096


@dataclass(frozen=True)
class Rung:
    """A way to run: with the first `savers` of the model's savers, on a placement."""

    savers: int
    placement: Placement


def placements(placement: Placement, offloads: Sequence[str] = ()) -> list[Placement]:
    """The placement and then what may be tried where it does not fit, mildest first.

    Lower precision only where the placement allows it; offloading to those of `offloads`, which the
    adapter can do, unless the placement forbids it.
    """
    found = [placement]
    if placement.lower_precision and placement.dtype == "float32":
        found.append(replace(placement, dtype="bfloat16"))
    if placement.offload is None:
        places = [p for p in ("host", "disk") if p in offloads]
        if placement.device == "cpu":  # which is the host
            places = [p for p in places if p != "host"]
        found += [replace(found[-1], offload=place) for place in places]
    return found


def told(placement: Placement) -> str:
    """A placement in words."""
    away = placement.offload if placement.offload in ("host", "disk") else None
    return f"{placement.dtype} on {placement.device}" + (f", offloaded to {away}" if away else "")


class Ladder:
    """The way down from a batch and a placement, and up again.

    events: what was done, for the record. reload: loads the adapter on another placement, the old
    one being closed; without it only the batch and the savers are to be had. tried: the placements
    in their order, the present one first.
    """

    def __init__(
        self,
        adapter: Adapter,
        batch: int,
        events: list[str],
        reload: Callable[[Placement], Adapter] | None = None,
        tried: Sequence[Placement] = (Placement(),),
    ) -> None:
        self.adapter, self.batch, self.events = adapter, batch, events
        self._asked, self._reload = batch, reload
        self._placements = list(tried if reload else tried[:1])
        self._rungs = [Rung(0, self._placements[0])]
        self._at = self._fitted = 0
        self._whole = True  # the adapter is loaded as its rung says
        self._wait, self._rows, self._rising = WAIT, 0, False

    def down(self, rows: int | None = None) -> bool:
        """Take the next step, `rows` having been too many; False where no step is left.

        A row that does not fit alone says nothing about the batch: where no step helps it, the
        others go on as they did.
        """
        free_unused(young=True)
        if self._rising:
            self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._rows, self._rising = 0, False
        rows = min(self.batch, rows or self.batch)
        if rows > 1:
            self.batch = -(-rows // 2)
            self.events.append(f"out of memory: batch halved to {self.batch}")
            return True
        self._survey()
        if self._move_down(self._at + 1):
            return True
        if self._at != self._fitted and self._reload and not self._move_down(self._fitted):
            raise MemoryError("the model fits no more")
        return False

    def finished(self, rows: int) -> None:
        """Count rows that fitted."""
        if rows:
            self._rows, self._fitted = self._rows + rows, self._at
        if self._rows >= self._wait * self.batch:
            self._rising = False

    @property
    def rises(self) -> bool:
        """Whether the way up is to be tried, between two batches."""
        above = self.batch < self._asked or (self._at > 0 and self._reload is not None)
        return above and self._rows >= self._wait * self.batch

    def up(self) -> None:
        """Undo a step: first the batch, then the harder ones. MemoryError where nothing fits."""
        self._rows, self._rising = 0, True
        if self.batch < self._asked:
            self.batch = min(2 * self.batch, self._asked)
            self.events.append(f"memory again: batch back to {self.batch}")
            return
        at = self._at
        if not self._move(at - 1, "memory again"):
            self._wait, self._rising = min(2 * self._wait, LONGEST_WAIT), False
            if not self._move_down(at):
                raise MemoryError("the model fits no more")

    def attempt(self, work: Callable[[], T]) -> T:
        """What `work` gives, tried again a step further down each time memory runs out."""
        while True:
            made, error = fell_short(work)
            if error is None:
                return made  # type: ignore[return-value]
            if not self.down():
                raise error

    def _survey(self) -> None:
        """Find the savers, which the model knows when it is loaded."""
        if len(self._rungs) == 1:
            savers = len(self._savers())
            first, *others = self._placements
            self._rungs = [Rung(n, first) for n in range(savers + 1)]
            self._rungs += [Rung(savers, placement) for placement in others]

    def _savers(self) -> Sequence[str]:
        return self.adapter.savers() if isinstance(self.adapter, Saves) else ()

    def _move_down(self, to: int) -> bool:
        """Go to a rung or the next one below it that fits."""
        return any(self._move(n, "out of memory") for n in range(to, len(self._rungs)))

    def _move(self, to: int, why: str) -> bool:
        """Go to a rung; False where memory runs out on the way."""
        before, rung = self._rungs[self._at], self._rungs[to]
        self._at = to
        loads = not self._whole or rung.placement != before.placement or rung.savers < before.savers
        self.events.append(f"{why}: {self._told(before, rung)}")

        def go() -> None:
            begun = before.savers
            if loads:
                assert self._reload
                self._whole = False
                self.adapter, begun = self._reload(rung.placement), 0
                self._whole = True
            if isinstance(self.adapter, Saves):
                for name in self.adapter.savers()[begun : rung.savers]:
                    self.adapter.save_memory(name)

        if fell_short(go)[1] is None:
            return True
        free_unused()
        return False

    def _told(self, before: Rung, rung: Rung) -> str:
        if before.placement != rung.placement:
            return f"loading again in {told(rung.placement)}"
        if rung.savers > before.savers:
            return f"{self._savers()[rung.savers - 1]} switched on"
        return "loading again without the last memory saver"
