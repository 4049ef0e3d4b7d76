"""Requests of many parts: they share batches, are joined once, and fail alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from foundation.adapter import Output
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.requests import Item
from foundation.stream import Stream


@dataclass
class Letters:
    """Parts are the letters of a word; an exclamation mark cannot be read."""

    word: str
    sink: Path | None
    said: dict[int, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        for letter in self.word:
            if letter == "!":
                raise RequestError("an exclamation mark")
            yield letter

    def add(self, number: int, output: Output) -> None:
        assert number not in self.said
        self.said[number] = output.value

    def join(self) -> Output:
        return Output("".join(self.said[n] for n in range(len(self.word))))


class Louder:
    """Answers letters with capitals, a batch at a time and in no order."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.sinks: list[Path | None] = []

    def key(self, task: str, request: str) -> bool:
        return request in "aeiou"

    def split(self, task: str, request: str, sink: Path | None) -> Letters:
        self.sinks.append(sink)
        return Letters(request, sink)

    def run(self, task: str, batch: Sequence[str], draws: Draws) -> Iterator[tuple[int, Output]]:
        self.batches.append(len(batch))
        for row in reversed(range(len(batch))):
            yield row, Output(batch[row].upper())


def _outputs(words: Sequence[Any], batch: int = 4) -> tuple[dict[int, Output], Louder]:
    adapter = Louder()
    items = [Item(n, word, reason=None if word is not None else "no word")
             for n, word in enumerate(words)]  # fmt: skip
    stream = Stream(adapter, "shout", batch, 0, sink=Path("sink"))  # type: ignore[arg-type]
    made = [(item.id, output) for item, output in stream.outputs(items)]
    assert len({number for number, _ in made}) == len(made), "a request was answered twice"
    return dict(made), adapter


@given(st.lists(st.text("abeiz!", max_size=9) | st.none(), max_size=8), st.integers(1, 5))
def test_every_request_is_joined_from_its_own_parts(words: list[str | None], batch: int) -> None:
    made, _ = _outputs(words, batch)
    assert sorted(made) == list(range(len(words)))
    for number, word in enumerate(words):
        if word is None or "!" in word:
            assert made[number].refused
            assert made[number].reason in ("no word", "an exclamation mark")
        else:
            assert made[number].value == word.upper()


def test_parts_of_several_requests_share_a_batch() -> None:
    _, adapter = _outputs(["b", "z", "b", "z"])
    assert adapter.batches == [4]
    assert adapter.sinks == [Path("sink") / f"{n:06d}" for n in range(4)]
