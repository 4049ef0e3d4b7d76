"""Where a completion ends at a boundary, by the tokenizer alone."""

import pytest

from benchmarks.code_completions import at_boundary, boundary, readable

HEAD = "def f(x):\n    y = 1\n"
BLOCK = HEAD + "    if y:\n"


@pytest.mark.parametrize(
    ("code", "after", "ends"),
    [
        (HEAD, "", True),
        (BLOCK, "", False),
        (BLOCK, "        return x\n", True),
        (BLOCK, "\n    # why\n\n        return x\n", True),
        (BLOCK, "    return x\n", False),
        (BLOCK + "    ", "    return x\n", True),
        (HEAD + "    z = (y +\n", "", False),
        (HEAD + "    z = (y +\n", "1)\n", False),
        (HEAD + '    z = """a\n', "", False),
        (HEAD + "    z = 'a\n    return z\n", "", True),
        (HEAD + "    z = (y))\n    return z\n", "", True),
        (HEAD + "    z = (y))\n    if z:\n", "", False),
        (HEAD + "    z = (y))\n    w = (z,\n", "", False),
        (HEAD + "    if 'a:\n", "", False),
    ],
)
def test_a_boundary_is_behind_whole_lines_whose_block_follows(
    code: str, after: str, ends: bool
) -> None:
    assert boundary(code, after) is ends


@pytest.mark.parametrize(
    ("output", "ended", "suffix", "ends"),
    [
        ("    return y.val", "limit", None, False),
        ("    return y.val", "end", None, True),
        ("    return y.val", "limit", "\nprint(f)\n", True),
        ("    return y\n", "limit", None, True),
        ("    if y:\n", "suffix", "        return 1\n", True),
        ("    if y:\n", "limit", None, False),
    ],
)
def test_a_line_that_is_torn_is_no_boundary(
    output: str, ended: str, suffix: str | None, ends: bool
) -> None:
    row = {"prefix": HEAD, "output": output, "ended": ended, "suffix": suffix}
    assert at_boundary(row) is ends


def test_only_lines_that_python_refuses_have_a_stand_in() -> None:
    code = HEAD + "    if z == 'a:\n        w = [1))\n    v = (1,\n         2)\n"
    stands = "    if 1:\n        0\n"
    assert readable(code) == HEAD + stands + "    v = (1,\n         2)\n"
    assert readable(HEAD + '    z = """a\n') == HEAD + '    z = """a\n'
