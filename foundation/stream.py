"""Requests -> batches -> outputs, as they come and in memory that does not grow."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foundation.adapter import Adapter, Output, Slots, Splits, Steps
from foundation.draws import Draws
from foundation.errors import FoundationError
from foundation.requests import Item
from foundation.splitting import Splitting

AHEAD = 4
PASSED = 64
ALONE = "out of memory, even alone in its batch"
Made = tuple[Item, Output]


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that host or device memory ran out (torch is not imported)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


class Ahead:
    """Items read ahead, so that those which may share a batch can be found.

    At most `limit` of other keys wait, oldest first; then the present batch runs empty. So it does
    when an item has been passed by `PASSED * limit` others, for a rare key must not wait for ever.
    refused: items that no model will see, in passing; who takes the others empties it.
    """

    def __init__(self, items: Iterable[Item], key: Callable[[Item], Hashable], limit: int) -> None:
        self._items, self._key, self._limit = iter(items), key, limit
        self._waiting: deque[tuple[Hashable, Item]] = deque()
        self._open = True
        self.refused: deque[Item] = deque()

    def first_key(self) -> tuple[Hashable] | None:
        """The key of the item that has waited longest, in a tuple; None where none waits."""
        self._fill()
        return (self._waiting[0][0],) if self._waiting else None

    @property
    def more(self) -> bool:
        """Whether items are left, waiting or not yet read."""
        return self._open or bool(self._waiting)

    def take(self, key: Hashable, count: int) -> list[Item]:
        """Up to `count` items of a key, oldest first."""
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
        """Read until an item waits or `limit` refused ones do."""
        while self._open and not self._waiting and len(self.refused) < self._limit:
            item = next(self._items, None)
            if item is None:
                self._open = False
            elif item.request is None:
                self.refused.append(item)
            else:
                self._waiting.append((self._key(item), item))


@dataclass
class Stream:
    """One task of a loaded adapter over any iterable of requests.

    batch: rows of a batch, halved for good when memory runs out. stop: asked between steps.
    events: what was done about memory, for the record. sink: where requests that are split leave
    what outlives a restart; None: nowhere.
    """

    adapter: Adapter
    task: str
    batch: int
    seed: int
    stop: Callable[[], bool] = lambda: False
    size: Callable[[Item], int] = lambda item: 1
    events: list[str] = field(default_factory=list)
    sink: Path | None = None

    def outputs(self, items: Iterable[Item]) -> Iterator[Made]:
        """Each item with its output, as they are done; refused items pass through."""
        if isinstance(self.adapter, Splits):
            parts = Splitting(self.adapter, self.task, self.sink)
            return parts.outputs(items, self._outputs)
        return self._outputs(items)

    def _outputs(self, items: Iterable[Item]) -> Iterator[Made]:
        ahead = Ahead(items, self._key, AHEAD * self.batch)
        while ahead.more and not self.stop():
            first = ahead.first_key()
            yield from _passed(ahead)
            for pair in self._rows(ahead, first[0]) if first else ():
                yield pair
                yield from _passed(ahead)
        yield from _passed(ahead)

    def _key(self, item: Item) -> Hashable:
        return self.adapter.key(self.task, item.request)

    def _draws(self, items: list[Item]) -> Draws:
        return Draws(self.seed, [item.id for item in items])

    def _rows(self, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        slots = self._open(key)
        return self._whole(ahead, key) if slots is None else self._stepped(slots, ahead, key)

    def _open(self, key: Hashable) -> Slots | None:
        """A batch whose rows come and go, or None where this task runs whole batches."""
        while isinstance(self.adapter, Steps):
            try:
                return self.adapter.slots(self.task, key, self.batch)
            except Exception as error:
                if not out_of_memory(error) or self.batch == 1:
                    raise
            self._halve()
        return None

    def _stepped(self, slots: Slots | None, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        """Rows enter and leave between steps until no item of this key is left."""
        free = list(range(self.batch))
        running: dict[int, Item] = {}
        entering: list[Item] = []
        while not self.stop():
            entering += ahead.take(key, len(free) - len(entering))
            finished = None
            try:
                assert slots is not None
                while free and entering:
                    slot, item = free.pop(), entering.pop(0)
                    running[slot] = item
                    slots.insert(slot, item.request, self._draws([item]))
                if not running:
                    return
                finished = slots.step()
            except Exception as error:
                if not out_of_memory(error):
                    raise
            if finished is not None:
                for slot, output in finished:
                    free.append(slot)
                    yield running.pop(slot), output
                continue
            # The failure's frames are gone by now, and with them the memory they held.
            entering = sorted([*running.values(), *entering], key=lambda item: item.id)
            running, slots = {}, None
            if self.batch == 1:
                yield entering.pop(0), Output(None, ALONE)
            else:
                self._halve()
            slots, free = self._open(key), list(range(self.batch))

    def _whole(self, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        """Batches of this key, in halves where memory does not hold them."""
        todo = deque(ahead.batches(key, self.batch, self.size))
        while todo and not self.stop():
            items = todo.popleft()
            if len(items) > self.batch:  # cut before memory ran out
                todo.extendleft((items[self.batch :], items[: self.batch]))
                continue
            left = dict(enumerate(items))
            try:
                requests = [item.request for item in items]
                for row, output in self.adapter.run(self.task, requests, self._draws(items)):
                    yield left.pop(row), output
            except Exception as error:
                if not out_of_memory(error):
                    raise
            else:
                self._refuse_silence(left)
            rest = list(left.values())
            if rest and len(items) == 1:
                yield rest[0], Output(None, ALONE)
            elif rest:
                self._halve()
                half = -(-len(rest) // 2)
                todo.extendleft(part for part in (rest[half:], rest[:half]) if part)

    def _refuse_silence(self, left: dict[int, Item]) -> None:
        """A request that an adapter says nothing about must not vanish."""
        if left:
            ids = ", ".join(str(item.id) for item in left.values())
            name = type(self.adapter).__name__
            raise FoundationError(f"{name} gave no output for request {ids} of task {self.task}")

    def _halve(self) -> None:
        self.batch = -(-self.batch // 2)
        self.events.append(f"out of memory: batch halved to {self.batch}")


def _passed(ahead: Ahead) -> Iterator[Made]:
    while ahead.refused:
        item = ahead.refused.popleft()
        yield item, Output(None, item.reason, refused=True)
