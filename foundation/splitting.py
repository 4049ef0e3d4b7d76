"""Requests of many parts: split, run with the parts of others, joined."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from foundation.adapter import Output, Parts, Splits
from foundation.errors import InputError
from foundation.placement.ladder import Ladder
from foundation.placement.shortage import fell_short, out_of_memory
from foundation.requests import Feed, Item

ALONE = "out of memory, even alone in its batch"
Made = tuple[Item, Output]


@dataclass
class _Split:
    """A request under way: its parts, and how many of them are still to be answered.

    gone: it was given up for lack of memory; what comes of its parts is of no use.
    """

    item: Item
    parts: Parts
    open: bool = True
    left: int = 0
    gone: bool = False


@dataclass
class Splitting:
    """Makes parts of requests, and outputs of the parts' outputs.

    Parts of several requests share batches. A request whose parts cannot be made, or read to the
    end, is refused with the reason; the others go on. One that memory did not suffice to split or
    to join is split again a step further down the ladder.
    """

    ladder: Ladder
    task: str
    sink: Path | None
    _under_way: dict[int, tuple[_Split, int]] = field(default_factory=dict)
    _ready: deque[Made] = field(default_factory=deque)
    _again: deque[Item] = field(default_factory=deque)
    _count: int = 0

    def outputs(self, items: Feed, stream: Callable[[Feed], Iterator[Made]]) -> Iterator[Made]:
        """Each item with its output; `stream` turns the parts' items into their outputs."""
        yield from self._joined(stream(self._parts(items)))
        while self._again:
            yield from self._joined(stream(self._parts(())))

    def _joined(self, made: Iterator[Made]) -> Iterator[Made]:
        for part, output in made:
            split, number = self._under_way.pop(part.id)
            split.left -= 1
            if not split.gone:
                self._guarded(split, partial(self._add, split, number, output))
            yield from self._taken()
        yield from self._taken()

    def _add(self, split: _Split, number: int, output: Output) -> None:
        split.parts.add(number, output)
        self._end(split)

    def _guarded(self, split: _Split, work: Callable[[], None]) -> None:
        """Do the work of a split, or give it up for another try where memory runs out."""
        if fell_short(work)[1] is not None:
            split.gone = True
            self._retry(split.item)

    def _retry(self, item: Item) -> None:
        if self.ladder.down():
            self._again.append(item)
        else:
            self._ready.append((item, Output(None, ALONE)))

    def _parts(self, items: Feed) -> Iterator[Item | None]:
        for item in items:
            if item is None:
                yield None
                continue
            yield from self._split(item)
            while self._again:
                yield from self._split(self._again.popleft())
        while self._again:
            yield from self._split(self._again.popleft())

    def _split(self, item: Item) -> Iterator[Item]:
        if item.request is None:
            self._ready.append((item, Output(None, item.reason, refused=True)))
            return
        folder = None if self.sink is None else self.sink / f"{item.id:06d}"
        split: _Split | None = None
        short = False
        try:
            adapter = self.ladder.adapter
            assert isinstance(adapter, Splits)
            split = _Split(item, adapter.split(self.task, item.request, folder))
            for number, part in enumerate(split.parts):
                self._under_way[self._count] = (split, number)
                split.left += 1
                self._count += 1
                yield Item(self._count - 1, part)
                if split.gone:
                    return
        except InputError as error:
            # A split that stays open is never joined, whatever comes of its parts.
            self._ready.append((item, Output(None, str(error), refused=True)))
        except Exception as error:
            if not out_of_memory(error):
                raise
            short = True
        else:
            split.open = False
            self._guarded(split, partial(self._end, split))
        if short:
            if split is not None:
                split.gone = True
            self._retry(item)

    def _end(self, split: _Split) -> None:
        if not split.open and not split.left:
            self._ready.append((split.item, split.parts.join()))
            split.open = True

    def _taken(self) -> Iterator[Made]:
        while self._ready:
            yield self._ready.popleft()
