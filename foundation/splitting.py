"""Requests of many parts: split, run with the parts of others, joined."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from foundation.adapter import Output, Parts, Splits
from foundation.errors import InputError
from foundation.requests import Item

Made = tuple[Item, Output]


@dataclass
class _Split:
    """A request under way: its parts, and how many of them are still to be answered."""

    item: Item
    parts: Parts
    open: bool = True
    left: int = 0


@dataclass
class Splitting:
    """Makes parts of requests, and outputs of the parts' outputs.

    Parts of several requests share batches. A request whose parts cannot be made, or read to the
    end, is refused with the reason; the others go on.
    """

    adapter: Splits
    task: str
    sink: Path | None
    _under_way: dict[int, tuple[_Split, int]] = field(default_factory=dict)
    _ready: deque[Made] = field(default_factory=deque)

    def outputs(
        self, items: Iterable[Item], stream: Callable[[Iterable[Item]], Iterator[Made]]
    ) -> Iterator[Made]:
        """Each item with its output; `stream` turns the parts' items into their outputs."""
        for part, output in stream(self._parts(items)):
            split, number = self._under_way.pop(part.id)
            split.left -= 1
            split.parts.add(number, output)
            self._end(split)
            yield from self._taken()
        yield from self._taken()

    def _parts(self, items: Iterable[Item]) -> Iterator[Item]:
        count = 0
        for item in items:
            if item.request is None:
                self._ready.append((item, Output(None, item.reason, refused=True)))
                continue
            folder = None if self.sink is None else self.sink / f"{item.id:06d}"
            try:
                split = _Split(item, self.adapter.split(self.task, item.request, folder))
                for number, part in enumerate(split.parts):
                    self._under_way[count] = (split, number)
                    split.left += 1
                    yield Item(count, part)
                    count += 1
            except InputError as error:
                # A split that stays open is never joined, whatever comes of its parts.
                self._ready.append((item, Output(None, str(error), refused=True)))
            else:
                split.open = False
                self._end(split)

    def _end(self, split: _Split) -> None:
        if not split.open and not split.left:
            split.open = True
            self._ready.append((split.item, split.parts.join()))

    def _taken(self) -> Iterator[Made]:
        while self._ready:
            yield self._ready.popleft()
