"""Requests -> batches -> outputs, as they come and in memory that does not grow."""

from collections import deque
from collections.abc import Callable, Container, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from foundation.adapter import Adapter, Output, Slots, Splits, Steps
from foundation.draws import Draws
from foundation.errors import FoundationError
from foundation.placement.ladder import Ladder
from foundation.placement.shortage import fell_short
from foundation.requests import Feed, Item
from foundation.splitting import ALONE, Splitting

AHEAD = 16
"""Batches read ahead: sorted by length, texts of a chat log then pad by a few per cent."""
PASSED = 64
CANCELLED = "cancelled"
Made = tuple[Item, Output]


class Ahead:
    """Items read ahead, so that those which may share a batch can be found.

    At most `limit` of other keys wait, oldest first; then the present batch runs empty. So it does
    when an item has been passed by `PASSED * limit` others, for a rare key must not wait for ever.
    items: None among them asks to run what waits before more is read. refused: items that no model
    will see, in passing; who takes the others empties it.
    """

    def __init__(self, items: "Feed", key: Callable[[Item], Hashable], limit: int) -> None:
        self._items, self._key, self._limit = iter(items), key, limit
        self._waiting: deque[tuple[Hashable, Item]] = deque()
        self._open, self._paused = True, False
        self.refused: deque[Item] = deque()

    def first_key(self) -> tuple[Hashable] | None:
        """The key of the item that has waited longest, in a tuple; None where none waits."""
        self._paused = False
        self._fill()
        return (self._waiting[0][0],) if self._waiting else None

    @property
    def more(self) -> bool:
        """Whether items are left, waiting or not yet read."""
        return self._open or bool(self._waiting)

    def take(self, key: Hashable, count: int) -> list[Item]:
        """Up to `count` items of a key, oldest first; fewer before a pause."""
        self._paused = False
        taken: list[Item] = []
        others: deque[tuple[Hashable, Item]] = deque()
        while len(taken) < count and len(others) < self._limit:
            self._fill()
            if not self._waiting:
                break
            if others and self._waiting[0][1].id - others[0][1].id > PASSED * self._limit:
                break
            entry = self._waiting.popleft()
            if entry[0] == key:
                taken.append(entry[1])
            else:
                others.append(entry)
        self._waiting.extendleft(reversed(others))
        return taken

    def batches(self, key: Hashable, count: int, size: Callable[[Item], int]) -> list[list[Item]]:
        """What waits of a key, in batches of up to `count` of like size; the oldest item first."""
        found = self.take(key, self._limit)
        found.sort(key=lambda item: (size(item), item.id))
        batches = [found[at : at + count] for at in range(0, len(found), count)]
        return sorted(batches, key=lambda batch: min(item.id for item in batch))

    def _fill(self) -> None:
        """Read until an item waits, `limit` refused ones do, or a pause."""
        while not (self._waiting or self._paused or len(self.refused) >= self._limit):
            try:
                item = next(self._items)
            except StopIteration:
                self._open = False
                return
            if item is None:
                self._paused = True
            elif item.request is None:
                self.refused.append(item)
            else:
                self._waiting.append((self._key(item), item))


@dataclass
class Stream:
    """One task of a loaded adapter over any iterable of requests.

    batch: rows of a batch at first. stop: asked between steps. events: what was done about memory,
    for the record. sink: where requests that are split leave what outlives a restart; None:
    nowhere. ladder: the steps taken when memory runs out; None: the batch and the model's savers.
    cancelled: ids of requests that are given up where they are; may grow at any time. Requests that
    are split go on.
    """

    adapter: Adapter
    task: str
    batch: int
    seed: int
    stop: Callable[[], bool] = lambda: False
    size: Callable[[Item], int] = lambda item: 1
    events: list[str] = field(default_factory=list)
    sink: Path | None = None
    ladder: Ladder | None = None
    cancelled: Container[int] = frozenset()

    def __post_init__(self) -> None:
        self._ladder = self.ladder or Ladder(self.adapter, self.batch, self.events)
        self._tried: set[int] = set()

    def outputs(self, items: Feed) -> Iterator[Made]:
        """Each item with its output, as they are done; refused items pass through."""
        if isinstance(self.adapter, Splits):
            parts = Splitting(self._ladder, self.task, self.sink)
            self.cancelled = frozenset()  # the parts have numbers of their own
            # Parts are large and come one after another: looking far ahead only fills memory.
            return parts.outputs(items, partial(self._outputs, batches=1))
        return self._outputs(items)

    def _outputs(self, items: Feed, batches: int = AHEAD) -> Iterator[Made]:
        ahead = Ahead(items, self._key, batches * self._ladder.batch)
        while ahead.more and not self.stop():
            first = ahead.first_key()
            yield from _passed(ahead)
            for pair in self._rows(ahead, first[0]) if first else ():
                yield pair
                yield from _passed(ahead)
            if self._ladder.rises:
                self._ladder.up()
        yield from _passed(ahead)

    def _key(self, item: Item) -> Hashable:
        return self._ladder.attempt(lambda: self._ladder.adapter.key(self.task, item.request))

    def _draws(self, items: list[Item]) -> Draws:
        return Draws(self.seed, [item.id for item in items])

    def _rows(self, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        slots = self._open(key)
        return self._whole(ahead, key) if slots is None else self._stepped(slots, ahead, key)

    def _open(self, key: Hashable) -> Slots | None:
        """A batch whose rows come and go, or None where this task runs whole batches."""

        def slots() -> Slots | None:
            adapter = self._ladder.adapter
            if isinstance(adapter, Steps):
                return adapter.slots(self.task, key, self._ladder.batch)
            return None

        return self._ladder.attempt(slots)

    def _stepped(self, slots: Slots, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        """Rows enter and leave between steps until no item of this key is left."""
        free = list(range(self._ladder.batch))
        running: dict[int, Item] = {}
        entering: list[Item] = []
        held: list[Slots] = [slots]
        del slots

        def step() -> Sequence[tuple[int, Output]]:
            while free and entering:
                slot, item = free.pop(), entering.pop(0)
                running[slot] = item
                held[0].insert(slot, item.request, self._draws([item]))
            return held[0].step() if running else ()

        while not self.stop():
            for slot in [slot for slot, item in running.items() if item.id in self.cancelled]:
                held[0].remove(slot)
                free.append(slot)
                yield running.pop(slot), Output(None, CANCELLED)
            if not self._ladder.rises:  # before it does, the rows under way are finished
                entering += ahead.take(key, len(free) - len(entering))
            yield from self._given_up(entering)
            finished, short = fell_short(step)
            if short is None:
                if not running:
                    return
                for slot, output in finished or ():
                    free.append(slot)
                    self._ladder.finished(1)
                    yield running.pop(slot), output
                continue
            ran = list(running.values())
            held.clear()
            running.clear()
            if not self._ladder.down() and self._gives_up(ran[0]):
                yield ran.pop(0), Output(None, ALONE)
            entering = sorted([*ran, *entering], key=lambda item: item.id)
            opened = self._open(key)
            assert opened is not None
            held.append(opened)
            free = list(range(self._ladder.batch))

    def _whole(self, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        """Batches of this key, in halves where memory does not hold them."""
        todo = deque(ahead.batches(key, self._ladder.batch, self._size))
        while todo and not self.stop():
            items = todo.popleft()
            if len(items) > self._ladder.batch:  # cut before memory ran out
                todo.extendleft((items[self._ladder.batch :], items[: self._ladder.batch]))
                continue
            yield from self._given_up(items)
            if not items:
                continue
            left = dict(enumerate(items))
            rows = self._run(items)
            made, short = fell_short(partial(next, rows, None))
            while made is not None:
                yield left.pop(made[0]), made[1]
                made, short = fell_short(partial(next, rows, None))
            del rows
            self._ladder.finished(len(items) - len(left))
            if short is None:
                self._refuse_silence(left)
                continue
            rest = list(left.values())
            if not rest:
                continue
            if not self._ladder.down(len(items)) and self._gives_up(rest[0]):
                yield rest[0], Output(None, ALONE)
                continue
            half = -(-len(rest) // 2)
            todo.extendleft(part for part in (rest[half:], rest[:half]) if part)

    def _run(self, items: list[Item]) -> Iterator[tuple[int, Output]]:
        """A batch; nothing of it is begun before the first row is asked for."""
        requests = [item.request for item in items]
        yield from self._ladder.adapter.run(self.task, requests, self._draws(items))

    def _given_up(self, items: list[Item]) -> Iterator[Made]:
        """Take those that are cancelled from items that have not begun."""
        for item in [item for item in items if item.id in self.cancelled]:
            items.remove(item)
            yield item, Output(None, CANCELLED)

    def _size(self, item: Item) -> int:
        return self._ladder.attempt(lambda: self.size(item))

    def _gives_up(self, item: Item) -> bool:
        """Whether an item that no step helped has had its second chance; others may use memory."""
        if item.id in self._tried:
            self._tried.remove(item.id)
            return True
        self._tried.add(item.id)
        return False

    def _refuse_silence(self, left: dict[int, Item]) -> None:
        """A request that an adapter says nothing about must not vanish."""
        if left:
            ids = ", ".join(str(item.id) for item in left.values())
            name = type(self._ladder.adapter).__name__
            raise FoundationError(f"{name} gave no output for request {ids} of task {self.task}")


def _passed(ahead: Ahead) -> Iterator[Made]:
    while ahead.refused:
        item = ahead.refused.popleft()
        yield item, Output(None, item.reason, refused=True)
