"""A completion never repeats what already stands behind its hole."""

import pytest

from foundation.domains.code.suffixes import overlap, repeats

SUFFIX = "    total = sum(x)\n    return total\n"


@pytest.mark.parametrize(
    ("prefix", "completion", "suffix", "kept"),
    [
        ("def f(x):\n", "    x = 1\n    total = sum(x)\n    return", SUFFIX, "    x = 1\n"),
        ("def f(x):\n", "    total = sum(x)\n", SUFFIX, ""),
        ("def f(x):", "\n    x = 1\n    total = sum(x)\n", "\n" + SUFFIX, "\n    x = 1"),
        ("def f(x):\n", "    x = 1\n        total = sum(x)\n", SUFFIX, None),
        ("def f(x):\n", "    x = 1\n    total = sum(x) + 1\n", SUFFIX, None),
        ("f(", "a)\n}\nnext_one()\n", ")\n}\nnext_one()\n", "a"),
        ("if x {\n", "    a\n}\n", "}\n", None),
        ("x\n", "y\n", "\n \n", None),
    ],
)
def test_lines_of_the_suffix_end_a_completion(
    prefix: str, completion: str, suffix: str, kept: str | None
) -> None:
    found = repeats(prefix, completion, suffix)
    assert (None if found is None else completion[:found]) == kept


@pytest.mark.parametrize(
    ("prefix", "completion", "suffix", "kept"),
    [
        ("print(", "bar(x)", ")\n", "bar(x)"),
        ("print(", "x)", ")\n", "x"),
        ("x = [", "1, 2]", "]", "1, 2"),
        ("return ", "a + total", " + total\n", "a"),
        ("return ", "a", "\n", "a"),
    ],
)
def test_the_rest_of_a_line_is_not_written_twice(
    prefix: str, completion: str, suffix: str, kept: str
) -> None:
    assert completion[: overlap(prefix, completion, suffix, True)] == kept
