"""Checks of what a request is made of; RequestError in one line that names the setting."""

from typing import Any

from foundation.errors import RequestError
from foundation.tables import storable


def check_text(name: str, value: Any) -> None:
    """A text that is not blank and has a UTF-8 form."""
    if not isinstance(value, str) or not value.strip():
        kind = "empty" if isinstance(value, str) or value is None else f"no text but {value!r}"
        raise RequestError(f"{name} is {kind}: give a text")
    if not storable(value):
        raise RequestError(f"{name} is not text: it holds a lone surrogate")


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    """A whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RequestError(f"{name} must be a whole number from {low} to {high:,}, got {value}")


def texts(name: str, values: Any) -> tuple[str, ...]:
    """Texts, none of them empty, from a list or from one of them alone."""
    found = (values,) if isinstance(values, str) else tuple(values or ())
    for value in found:
        if not isinstance(value, str) or not value or not storable(value):
            raise RequestError(f"{name} must hold texts that are not empty, got {value!r}")
    return found
