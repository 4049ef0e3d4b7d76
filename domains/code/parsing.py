"""Whether Python code parses, and why not."""

import ast
import warnings
from collections.abc import Iterator

from foundation.domains.code.lines import Line, logical_lines, open_blocks


def syntax_error(before: str, completion: str, after: str = "") -> str | None:
    """Why `before + completion + after` is not Python, in one line; None where it is.

    Where nothing stands behind the completion, the file goes on: blocks of `before` may still need
    a clause (`try`), and code that is indented as a whole is a part of one.
    """
    code = before + completion + after
    error = _error(code)
    if error is None or any(_error(other) is None for other in _unfinished(code, after)):
        return None
    line, reason = error
    if line is not None and line <= before.count("\n"):
        return f"the code before it does not parse: line {line}: {reason}"
    return reason if line is None else f"line {line}: {reason}"


def _error(code: str) -> tuple[int | None, str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        return error.lineno, str(error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return None, str(error) or type(error).__name__
    return None


def _unfinished(code: str, after: str) -> Iterator[str]:
    """The code as the part of a file that it may be."""
    lines = list(logical_lines(code))
    closed = code if after.strip() else code + _closing(lines, code)
    if closed != code:
        yield closed
    if lines and lines[0].margin:
        yield "if 1:\n" + closed


def _closing(lines: list[Line], code: str) -> str:
    """What ends the `try` blocks that are still open."""
    still = [line for line in open_blocks(lines) if line.word == "try"]
    newline = "" if code.endswith("\n") or not still else "\n"
    ends = (f"{line.margin}finally:\n{line.margin} 0\n" for line in reversed(still))
    return newline + "".join(ends)
