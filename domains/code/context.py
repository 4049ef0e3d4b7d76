"""Other files of a project, packed into what the window leaves, the nearest ones nearest."""

import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from foundation.domains.code.files import read_source
from foundation.domains.code.languages import comment, language_of

if TYPE_CHECKING:
    from foundation.decoding.script import Script
    from foundation.domains.code.markers import Infilling

LEAST = 32
"""Tokens; where fewer are left, no further file is begun."""


def packed(
    script: "Script",
    infilling: "Infilling",
    paths: Sequence[str],
    path: str | None,
    room: int,
) -> tuple[list[int], list[str]]:
    """At most `room` tokens of the files at `paths`, and those that are among them, nearest first.

    A file that does not fit whole loses its end. The file at `path`, which has the hole, is never
    among them; its own name follows the others.
    """
    name = [] if path is None else _head(script, infilling, path)
    room -= len(name)
    found: list[list[int]] = []
    used: list[str] = []
    newline = script.within("\n")
    for other in nearest(paths, path):
        if room < LEAST:
            break
        text = read_source(other, "task.context")
        tokens = [*_head(script, infilling, other), *script.within(text.rstrip("\n") + "\n\n")]
        if len(tokens) > room:
            tokens = [*tokens[: room - len(newline)], *newline]
        found.append(tokens)
        used.append(other)
        room -= len(tokens)
    if not found:
        return [], []
    return [*(token for tokens in reversed(found) for token in tokens), *name], used


def nearest(paths: Sequence[str], path: str | None) -> list[str]:
    """Paths by the folders between them and `path`, or this folder; itself left out."""
    here = os.path.abspath(path) if path else os.path.join(os.getcwd(), "here")
    others = [other for other in paths if os.path.abspath(other) != here]
    return sorted(others, key=lambda other: _steps(os.path.abspath(other), here))


def _steps(one: str, other: str) -> int:
    return len(PurePath(os.path.relpath(os.path.dirname(one), os.path.dirname(other))).parts)


def _head(script: "Script", infilling: "Infilling", path: str) -> list[int]:
    """What tells the model which file follows."""
    if infilling.file is None:
        return script.within(comment(language_of(path), path))
    return [infilling.file, *script.within(f"{path}\n")]
