"""What `--help` prints: the text in conf/ with the names that are there; nothing is imported."""

import os
import textwrap

from foundation.groups import OWN, groups


def text() -> str:
    """The help text."""
    with open(os.path.join(OWN, "help.txt"), encoding="utf-8") as file:
        return file.read().replace("{groups}", _groups()).rstrip()


def _groups() -> str:
    return "\n".join(
        textwrap.fill(
            f"{name:<12}{', '.join(choices)}",
            98,
            initial_indent="  ",
            subsequent_indent=" " * 14,
            break_on_hyphens=False,
        )
        for name, choices in groups().items()
    )
