"""Where a completion begins to repeat what already stands behind its hole."""

import re

from foundation.domains.code.parsing import syntax_error

TELLING = 4
"""Letters and digits of a line that is not there twice by chance; a bracket may well be."""


def repeats(prefix: str, completion: str, suffix: str, over: bool = True) -> int | None:
    """Where lines of the completion are those that the suffix begins with; None where none are.

    over: nothing more is written, so that the last line is whole.
    """
    head = _head(suffix)
    if head is None:
        return None
    within_line = not suffix.startswith("\n") and not head[:1].isspace()
    place = completion.find(head)
    while place >= 0:
        after = completion[place + len(head) :]
        begins = place == 0 and (not prefix or prefix.endswith("\n"))
        begins = begins or completion[:place].endswith("\n") or within_line
        if begins and (after.startswith("\n") or (over and not after)):
            return _without_newlines(completion[:place], suffix)
        place = completion.find(head, place + 1)
    return None


def overlap(prefix: str, completion: str, suffix: str, python: bool) -> int:
    """Where a completion ends that goes on into the line that the suffix finishes.

    A closing bracket at the end of both may be meant twice: parsing decides.
    """
    rest = suffix.partition("\n")[0].rstrip()
    if not rest.strip() or not completion.endswith(rest):
        return len(completion)
    short = len(completion) - len(rest)
    if len(re.findall(r"\w", rest)) >= TELLING:
        return short
    wrong = python and syntax_error(prefix, completion, suffix) is not None
    return (
        short
        if wrong and syntax_error(prefix, completion[:short], suffix) is None
        else (len(completion))
    )


def _head(suffix: str) -> str | None:
    """The suffix from its first code to the end of its first telling line."""
    lines = suffix.lstrip("\n").split("\n")
    for number, line in enumerate(lines):
        if len(re.findall(r"\w", line)) >= TELLING:
            return "\n".join(lines[: number + 1])
    return None


def _without_newlines(completion: str, suffix: str) -> int:
    """The end of a completion without the newlines that the suffix brings."""
    newlines = len(suffix) - len(suffix.lstrip("\n"))
    end = len(completion)
    while newlines and end and completion[end - 1] == "\n":
        end, newlines = end - 1, newlines - 1
    return end
