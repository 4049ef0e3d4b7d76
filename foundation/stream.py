"""Requests -> batches -> outputs, as they come and in memory that does not grow."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from foundation.adapter import Adapter, Output, Slots, Steps
from foundation.draws import Draws
from foundation.requests import Item

AHEAD = 4
Made = tuple[Item, Output]


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that host or device memory ran out (torch is not imported)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


class Ahead:
    """Items read ahead, so that those which may share a batch can be found.

    At most `limit` wait; when they are all of other keys, the present batch runs empty.
    """

    def __init__(self, items: Iterable[Item], key: Callable[[Item], Hashable], limit: int) -> None:
        self._items, self._key, self._limit = iter(items), key, limit
        self._waiting: deque[tuple[Hashable, Item]] = deque()
        self._open = True

    def first_key(self) -> tuple[Hashable] | None:
        """The key of the item that has waited longest, in a tuple; None when there is no more."""
        self._fill(1)
        return (self._waiting[0][0],) if self._waiting else None

    def take(self, key: Hashable, count: int) -> list[Item]:
        """Up to `count` items of a key, oldest first."""
        taken: list[Item] = []
        others: deque[tuple[Hashable, Item]] = deque()
        while len(taken) < count and len(others) < self._limit:
            self._fill(1)
            if not self._waiting:
                break
            entry = self._waiting.popleft()
            if entry[0] == key:
                taken.append(entry[1])
            else:
                others.append(entry)
        self._waiting.extendleft(reversed(others))
        return taken

    def alike(self, key: Hashable, count: int, size: Callable[[Item], int]) -> list[Item]:
        """Up to `count` items of a key and of like size, the oldest among them."""
        found = self.take(key, self._limit)
        if not found:
            return []
        found.sort(key=lambda item: (size(item), item.id))
        oldest = min(range(len(found)), key=lambda i: found[i].id)
        start = min(oldest // count * count, max(0, len(found) - count))
        chosen = found[start : start + count]
        rest = sorted(found[:start] + found[start + count :], key=lambda item: item.id)
        self._waiting.extendleft((key, item) for item in reversed(rest))
        return chosen

    def _fill(self, count: int) -> None:
        while self._open and len(self._waiting) < count:
            try:
                item = next(self._items)
            except StopIteration:
                self._open = False
                return
            self._waiting.append((self._key(item), item))


@dataclass
class Stream:
    """One task of a loaded adapter over any iterable of requests.

    batch: rows of a batch, halved for good when memory runs out. stop: asked between steps.
    events: what was done about memory, for the record.
    """

    adapter: Adapter
    task: str
    batch: int
    seed: int
    stop: Callable[[], bool] = lambda: False
    size: Callable[[Item], int] = lambda item: 1
    events: list[str] = field(default_factory=list)

    def outputs(self, items: Iterable[Item]) -> Iterator[Made]:
        """Each item with its output, as they are done; refused items pass through."""
        refused: deque[Made] = deque()
        ahead = Ahead(_usable(items, refused), self._key, AHEAD * self.batch)
        while (first := ahead.first_key()) and not self.stop():
            slots = self._slots(first[0])
            if slots is None:
                made = self._whole(ahead, first[0])
            else:
                made = self._stepped(slots, ahead, first[0])
            for pair in made:
                yield pair
                while refused:
                    yield refused.popleft()
        yield from refused

    def _key(self, item: Item) -> Hashable:
        return self.adapter.key(self.task, item.request)

    def _draws(self, items: list[Item]) -> Draws:
        return Draws(self.seed, [item.id for item in items])

    def _slots(self, key: Hashable) -> Slots | None:
        if not isinstance(self.adapter, Steps):
            return None
        return self.adapter.slots(self.task, key, self.batch)

    def _stepped(self, slots: Slots, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        """Rows enter and leave between steps until no item of this key is left."""
        free = list(range(self.batch))
        running: dict[int, Item] = {}
        again: list[Item] = []
        while not self.stop():
            try:
                entering = again[: len(free)]
                again = again[len(free) :]
                entering += ahead.take(key, len(free) - len(entering))
                for item in entering:
                    slot = free.pop()
                    running[slot] = item
                    slots.insert(slot, item.request, self._draws([item]))
                if not running:
                    return
                finished = slots.step()
            except Exception as error:
                again = sorted([*running.values(), *again], key=lambda item: item.id)
                self._shrink(error)
                reopened = self._slots(key)
                assert reopened is not None
                slots, free, running = reopened, list(range(self.batch)), {}
                continue
            for slot, output in finished:
                free.append(slot)
                yield running.pop(slot), output

    def _whole(self, ahead: Ahead, key: Hashable) -> Iterator[Made]:
        """One batch of this key, in halves where memory does not hold it."""
        todo = deque([ahead.alike(key, self.batch, self.size)])
        while todo and not self.stop():
            items = todo.popleft()
            left = dict(enumerate(items))
            try:
                requests = [item.request for item in items]
                for row, output in self.adapter.run(self.task, requests, self._draws(items)):
                    yield left.pop(row), output
            except Exception as error:
                rest = list(left.values())
                if out_of_memory(error) and len(rest) == 1:
                    yield rest[0], Output(None, reason="out of memory, even alone in its batch")
                    continue
                self._shrink(error)
                half = -(-len(rest) // 2)
                todo.extendleft(part for part in (rest[half:], rest[:half]) if part)

    def _shrink(self, error: Exception) -> None:
        """Halve the batch when memory ran out; raise anything else."""
        if not out_of_memory(error) or self.batch == 1:
            raise error
        self.batch = -(-self.batch // 2)
        self.events.append(f"out of memory: batch halved to {self.batch}")


def _usable(items: Iterable[Item], refused: deque[Made]) -> Iterator[Item]:
    for item in items:
        if item.request is None:
            refused.append((item, Output(None, item.reason, refused=True)))
        else:
            yield item
