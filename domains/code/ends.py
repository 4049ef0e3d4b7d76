"""Where a completion of Python ends: with the function or the statement that it goes on with."""

import itertools

from foundation.domains.code.lines import Line, logical_lines, open_blocks

STUBS = {"def": "def f():\n", "class": "class C:\n"}
CLAUSES = frozenset({"else", "elif", "except", "finally"})


class PythonScope:
    """What a hole behind `prefix` stands in; only the unfinished end of it is read again.

    whole: end with the statement, even inside a function.
    """

    def __init__(self, prefix: str, statement: bool = False) -> None:
        self._statement = statement
        before = [line for line in logical_lines(prefix) if line.whole]
        finished = before[-1].stop if before else 0
        # Stand-ins for the open blocks, so that a line that leaves one is known to fit.
        stubs = [line.margin + STUBS.get(line.word, "if 1:\n") for line in open_blocks(before)]
        if before and not before[-1].opens:
            stubs.append(f"{before[-1].margin}0\n")
        self._head = "".join(stubs) + prefix[finished:]

    def end(self, completion: str) -> tuple[int, str] | None:
        """Where the function or statement has ended, and which of them it was; None before that."""
        lines = self._lines(completion)
        place = self._anchor(lines)
        if place is None:
            return None
        anchor = lines[place]
        function = None if self._statement else self._function(lines[:place], anchor)
        if function is not None:
            last = _left(lines[place:], function)
            kind = "function"
        else:
            last = _statement_end(lines[place:], len(self._head) + len(completion))
            kind = "statement"
        return None if last is None else (last.stop - len(self._head), kind)

    def wholes(self, completion: str) -> list[int]:
        """The ends of a completion's whole lines that ask for no block, the first ones first."""
        whole = (line for line in self._lines(completion) if line.whole and not line.opens)
        return [line.stop - len(self._head) for line in whole if line.stop > len(self._head)]

    def _lines(self, completion: str) -> list[Line]:
        return list(logical_lines(self._head + completion))

    def _anchor(self, lines: list[Line]) -> int | None:
        """The first line that the completion adds code to."""
        return next((n for n, line in enumerate(lines) if line.end > len(self._head)), None)

    def _function(self, before: list[Line], anchor: Line) -> int | None:
        """The indent of the function that the hole stands in, or None."""
        if anchor.word == "def" and anchor.start < len(self._head):
            return anchor.indent
        around = [line for line in open_blocks(before) if line.indent < anchor.indent]
        return next((line.indent for line in reversed(around) if line.word == "def"), None)


def _left(lines: list[Line], indent: int) -> Line | None:
    """The last line of a function of that indent, once a line behind it stands outside."""
    for before, line in itertools.pairwise(lines):
        if line.indent <= indent or line.misfit:
            return before
    return None


def _statement_end(lines: list[Line], length: int) -> Line | None:
    """The last line of the statement that the first of `lines` begins, once it surely ended."""
    anchor = beside = lines[0]
    if not anchor.compound:
        return anchor if anchor.whole else None
    for before, line in itertools.pairwise(lines):
        if line.indent > anchor.indent and not line.misfit:
            continue
        if line.indent == anchor.indent:
            if len(line.words) < 2 and not line.whole and line.end == length:
                return None  # "el" may become "else"
            if line.word in CLAUSES or beside.word == "@":
                beside = line
                continue
        return before
    return None
