"""Every request comes out once, whatever the batch, the keys, the sizes and the memory."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.adapter import Output
from foundation.errors import FoundationError
from foundation.requests import Item
from foundation.spec import ModelSpec
from foundation.stream import AHEAD, PASSED, Ahead, Stream
from foundation.testing.double import Request, Stepped, Whole, word

SEED = 11
ROW = st.one_of(
    st.none(),
    st.builds(Request, letters=st.integers(1, 12), group=st.integers(0, 3)),
)


def adapter(kind: type[Whole], **options) -> Whole:
    made = kind()
    made.options = options
    return made


def stream(kind: type[Whole], batch: int, **options) -> Stream:
    size = lambda item: kind.cost(SPEC, item.request).size  # noqa: E731
    return Stream(adapter(kind, **options), "generate", batch, SEED, size=size)


SPEC = ModelSpec("double/x", "double", "", "")
KINDS = pytest.mark.parametrize("kind", [Whole, Stepped])


def items(rows) -> list[Item]:
    return [Item(i, row, reason=None if row else "no") for i, row in enumerate(rows)]


def expected(rows) -> dict[int, str | None]:
    return {i: word(SEED, i, row) if row else None for i, row in enumerate(rows)}


@KINDS
@given(rows=st.lists(ROW, max_size=60), batch=st.integers(1, 9), fits=st.integers(1, 9))
def test_every_request_comes_out_once_with_its_own_word(kind, rows, batch, fits) -> None:
    made = [(i.id, o) for i, o in stream(kind, batch, fits=fits).outputs(items(rows))]
    assert sorted(number for number, _ in made) == list(range(len(rows)))
    assert {number: output.value for number, output in made} == expected(rows)
    assert {number for number, o in made if o.refused} == {i for i, r in enumerate(rows) if not r}


@KINDS
@given(
    rows=st.lists(ROW, max_size=30), pauses=st.lists(st.integers(0, 30)), batch=st.integers(1, 9)
)
def test_pauses_change_no_row(kind, rows, pauses, batch) -> None:
    feed: list[Item | None] = [*items(rows)]
    for place in pauses:
        feed.insert(place, None)
    made = [(i.id, o.value) for i, o in stream(kind, batch).outputs(feed)]
    assert len(made) == len(rows)
    assert dict(made) == expected(rows)


@KINDS
def test_what_was_read_before_a_pause_does_not_wait(kind) -> None:
    read: list[int] = []

    def feed() -> Iterator[Item | None]:
        for item in items([Request()] * 6):
            if item.id == 3:
                yield None
            read.append(item.id)
            yield item

    outputs = stream(kind, 1).outputs(feed())
    assert [next(outputs)[0].id for _ in range(3)] == [0, 1, 2]
    assert len(read) <= 3


def test_rows_under_way_go_on_past_a_pause() -> None:
    long, short = items([Request(letters=12), Request(letters=1)])
    made = stream(Stepped, 2).outputs([long, None, short])
    assert [item.id for item, _ in made] == [1, 0]


@KINDS
@pytest.mark.parametrize("memory", ["host", "device"])
def test_out_of_memory_halves_the_batch_for_good_and_loses_nothing(kind, memory) -> None:
    rows = [Request(letters=1 + i % 7) for i in range(100)]
    tried = stream(kind, 32, fits=5, memory=memory)
    assert {i.id: o.value for i, o in tried.outputs(items(rows))} == expected(rows)
    assert tried._ladder.batch == 4
    assert tried.events == [f"out of memory: batch halved to {n}" for n in (16, 8, 4)]


@KINDS
def test_a_request_that_fits_in_no_memory_becomes_a_row(kind) -> None:
    made = list(stream(kind, 4, fits=0).outputs(items([Request()] * 3)))
    assert [output.reason for _, output in made] == ["out of memory, even alone in its batch"] * 3


@KINDS
def test_other_errors_are_not_taken_for_memory(kind) -> None:
    broken = stream(kind, 4)
    broken.adapter.work = lambda rows, began: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(broken.outputs(items([Request()] * 3)))


def test_an_adapter_that_says_nothing_about_a_request_is_found_out() -> None:
    class Silent(Whole):
        def run(self, task, batch, draws) -> Iterator[tuple[int, Output]]:
            yield from list(super().run(task, batch, draws))[1:]

    with pytest.raises(FoundationError, match="Silent gave no output for request 0"):
        list(stream(Silent, 4).outputs(items([Request()] * 3)))


@KINDS
@given(batch=st.integers(1, 8), groups=st.lists(st.integers(0, 2), min_size=400, max_size=400))
def test_no_more_is_read_ahead_than_was_promised(kind, batch, groups) -> None:
    read = 0

    def rows() -> Iterator[Item]:
        nonlocal read
        for item in items(Request(letters=1 + g, group=g) for g in groups):
            read += 1
            yield item

    for made, _ in enumerate(stream(kind, batch).outputs(rows())):
        assert read - made <= (2 * AHEAD + 1) * batch + 1


@KINDS
def test_refused_inputs_do_not_pile_up(kind) -> None:
    read = 0

    def rows() -> Iterator[Item]:
        nonlocal read
        for number in range(5000):
            read += 1
            yield Item(number, None, reason="no")

    for made, _ in enumerate(stream(kind, 2).outputs(rows())):
        assert read - made <= 2 * AHEAD + 1


@KINDS
def test_a_rare_key_does_not_wait_for_ever(kind) -> None:
    def endless() -> Iterator[Item]:
        number = 0
        while True:
            yield Item(number, Request(letters=1, group=int(number == 1)))
            number += 1

    for made, (item, _) in enumerate(stream(kind, 2).outputs(endless())):
        if item.id == 1:
            break
        assert made < 2 * PASSED * AHEAD * 2
    assert item.id == 1


def test_batches_hold_requests_of_like_size() -> None:
    seen: list[list[int]] = []

    class Sizes(Whole):
        def run(self, task, batch, draws) -> Iterator[tuple[int, Output]]:
            seen.append([request.letters for request in batch])
            return super().run(task, batch, draws)

    rows = [Request(letters=n) for n in [1, 50, 2, 60, 1, 55, 3, 58] * 4]
    list(stream(Sizes, 4).outputs(items(rows)))
    assert all(max(sizes) - min(sizes) < 20 for sizes in seen)


def test_finished_rows_make_room_for_others() -> None:
    steps = 0

    class Counted(Stepped):
        def work(self, rows: int, began: float) -> None:
            nonlocal steps
            steps += 1

    rows = [Request(letters=n) for n in [40, *[2] * 38]]
    order = [item.id for item, _ in stream(Counted, 3).outputs(items(rows))]
    assert order[-1] == 0 or order.index(0) > 30
    assert steps <= 42  # two rows pass the 38 short ones in 38 steps beside the long one


@KINDS
def test_a_stop_ends_after_the_present_step(kind) -> None:
    stopped = False
    tried = stream(kind, 4)
    tried.stop = lambda: stopped
    made = []
    for pair in tried.outputs(items([Request(letters=2)] * 400)):
        made.append(pair)
        stopped = len(made) > 8
    assert len(made) < 20


@given(st.lists(st.integers(0, 3), max_size=80), st.integers(1, 6), st.data())
def test_ahead_gives_items_of_a_key_oldest_first(keys, limit, data) -> None:
    ahead = Ahead(items(Request(group=g) for g in keys), lambda item: item.request.group, limit)
    out: list[tuple[int, int]] = []
    while first := ahead.first_key():
        oldest = min(set(range(len(keys))) - {number for _, number in out})
        assert first == (keys[oldest],)
        taken = ahead.take(first[0], data.draw(st.integers(1, 5)))
        assert taken[0].id == oldest
        assert [item.id for item in taken] == sorted(item.id for item in taken)
        out += [(item.request.group, item.id) for item in taken]
    assert sorted(out, key=lambda pair: pair[1]) == list(zip(keys, range(len(keys)), strict=True))


@KINDS
def test_a_cancelled_request_is_a_row_and_the_others_are_what_they_were(kind) -> None:
    rows = [Request(letters=2 + i) for i in range(12)]
    cancelled = {5}
    tried = stream(kind, 4)
    tried.cancelled = cancelled
    made = {}
    for item, output in tried.outputs(items(rows)):
        made[item.id] = output
        cancelled |= {1, 3, 11} - made.keys()  # some of them while they are written
    given_up = {number for number, output in made.items() if output.reason == "cancelled"}
    assert 5 in given_up
    assert 11 in given_up
    assert sorted(made) == list(range(12))
    for number, value in expected(rows).items():
        assert made[number].value == (None if number in given_up else value)


def test_a_row_that_is_cancelled_while_it_is_written_makes_room() -> None:
    rows = [Request(letters=500), Request(letters=2), Request(letters=2)]
    cancelled: set[int] = set()
    tried = stream(Stepped, 2)
    tried.cancelled = cancelled
    order = []
    for item, output in tried.outputs(items(rows)):
        order.append((item.id, output.reason))
        cancelled.add(0)
    assert order == [(1, None), (0, "cancelled"), (2, None)]
