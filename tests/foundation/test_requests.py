"""From what the user gave to numbered requests."""

import itertools
from pathlib import Path

import pytest

from foundation.errors import InputError, RequestError, UnknownName
from foundation.registry import domain
from foundation.requests import settings
from foundation.testing.double import DOMAIN, Request


def made(**given):
    return settings(DOMAIN, "generate", given)


def test_requests_are_numbered_and_each_row_is_repeated() -> None:
    items = list(made(starts=["a", "b"], count=2, letters=3).requests())
    assert [(item.id, item.input) for item in items] == [(0, "a"), (1, "a"), (2, "b"), (3, "b")]
    assert {item.request.letters for item in items} == {3}
    assert made(starts=["a", "b"], count=2).total == 4


def test_without_rows_the_tasks_own_count_is_made() -> None:
    items = list(made().requests())
    assert [item.request for item in items] == [Request()] * 10
    assert {item.input for item in items} == {None}


def test_an_item_that_no_file_can_hold_is_shown_as_far_as_one_can() -> None:
    (item,) = settings(DOMAIN, "generate", {"starts": ["a\udc80"], "count": 1}).requests()
    assert item.input == "a\ufffd"


@pytest.mark.parametrize("count", ["inf", None])
def test_an_endless_stream_of_requests(count) -> None:
    endless = made(count=count)
    assert endless.total is None
    assert [item.id for item in itertools.islice(endless.requests(), 3)] == [0, 1, 2]


def test_a_file_fills_requests_and_its_unreadable_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one\n\n?\ntwo\n")
    items = list(made(input=str(path), count=1).requests())
    assert [item.input for item in items] == ["one", None, "?", "two"]
    assert [item.request is None for item in items] == [False, True, True, False]
    assert items[1].reason == "line 2 is empty"
    assert "begins no word" in items[2].reason


def test_inline_items_that_are_no_text_or_missing_do_not_end_the_run() -> None:
    items = list(settings(DOMAIN, "generate", {"starts": [5, "?"], "count": 1}).requests())
    assert [item.input for item in items] == ["5", "?"]
    assert made(starts="alone").rows == ("alone",)
    assert made(start=7).rows == (7,)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"count": 0}, "task.count must be a whole number of at least 1, got '0'"),
        ({"count": "abc"}, "task.count must be a whole number of at least 1, got 'abc'"),
        ({"count": True}, "task.count"),
        ({"batch": 0}, "task.batch"),
        ({"letters": 0}, "letters must lie between 1 and 1000"),
        ({"letters": 0, "starts": ["a"]}, "letters must lie between 1 and 1000"),
        ({"starts": []}, "task.starts is empty"),
        ({"leters": 3}, "unknown setting 'task.leters': did you mean 'task.letters'"),
        ({"columns": ["tial"]}, "unknown column 'tial'.*did you mean 'tail'"),
        ({"columns": 5}, "unknown column '5'"),
    ],
)
def test_what_cannot_be_is_refused_at_once(given, words) -> None:
    with pytest.raises(InputError, match=words):
        made(**given)


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one\n")
    with pytest.raises(UnknownName, match=r"did you mean 'words.txt'"):
        made(input=str(tmp_path / "word.txt"))
    with pytest.raises(RequestError, match="both given"):
        made(input=str(tmp_path / "words.txt"), starts=["a"])


def test_an_unknown_task_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'generate'"):
        settings(DOMAIN, "generat", {})


@pytest.mark.parametrize(
    ("columns", "checks", "unique"),
    [
        (None, None, True),
        (["letters"], ("letters",), False),
        (["unique"], ("tail",), True),
        (["steps", "unique"], ("tail", "steps"), True),
        ([], (), False),
    ],
)
def test_the_checks_are_those_that_the_columns_need(columns, checks, unique) -> None:
    wanted = made(columns=columns)
    assert (wanted.checks, wanted.unique) == (checks, unique)


def test_a_row_without_what_a_request_needs_says_what_is_missing() -> None:
    rows = settings(domain("molecule"), "embed", {"smiles": [None, "CCO"]}).requests()
    assert [(item.reason, item.input) for item in rows] == [
        ("smiles is missing", None),
        (None, "CCO"),
    ]
