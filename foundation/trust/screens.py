"""Screens: what looks at a result before it is written, and says why it is not to be used.

Off unless a configuration chooses them (`trust=screens`). A screened result stays in the table,
invalid, with its reason. What a screen misses and what it takes for something it is not is measured
in docs/trust.md.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from foundation.errors import InputError, UnknownName
from foundation.registry import resolve
from foundation.results import Result
from foundation.spec import Domain

SETTINGS = ("name", "screens", "settings")
Chosen = Mapping[str, Mapping[str, Any]]
"""The name of each screen -> its settings."""


class Screen(Protocol):
    """Made once a process with the screen's settings, then asked about each valid result."""

    def __call__(self, result: Result) -> str | None:
        """Why it is not to be used; None where nothing was found."""
        ...


def chosen(domain: Domain, wanted: Mapping[str, Any]) -> Chosen:
    """The screens that a configuration of the group `trust` chooses; none of an empty one.

    Where it names none, they are all of the domain whose settings are given or have defaults.
    InputError for a screen that there is not, or that lacks a setting.
    """
    if not wanted:
        return {}
    for key in wanted:
        if key not in SETTINGS:
            raise UnknownName("setting", f"trust.{key}", [f"trust.{name}" for name in SETTINGS])
    if not domain.screens:
        raise InputError(f"{domain.name} has no screen: leave out trust=")
    given = dict(wanted.get("settings") or {})
    named = wanted.get("screens")
    names = [named] if isinstance(named, str) else list(named or ())
    for name in (*names, *given):
        if name not in domain.screens:
            raise UnknownName("screen", str(name), domain.screens, f"of {domain.name}")
    found = {name: dict(given.get(name) or {}) for name in names or domain.screens}
    if not names:
        found = {name: own for name, own in found.items() if not _lacks(domain, name, own)}
    for name, own in found.items():
        if lacks := _lacks(domain, name, own):
            raise InputError(f"the screen {name} needs trust.settings.{name}.{lacks[0]}")
    _ = Screening(domain, found)  # what cannot be had is told before the work
    return found


class Screening:
    """The chosen screens of a domain, ready; the first that finds something gives the reason."""

    def __init__(self, domain: Domain, names: Chosen) -> None:
        self._screens: dict[str, Screen] = {}
        for name, settings in names.items():
            make = resolve(domain.screens[name])
            known = inspect.signature(make).parameters
            for key in settings:
                if key not in known:
                    raise UnknownName("setting", f"trust.settings.{name}.{key}", known)
            self._screens[name] = make(**settings)

    def __call__(self, result: Result) -> Result:
        if not result.valid or not isinstance(result.output, str):
            return result
        for name, screen in self._screens.items():
            why = screen(result)
            if why is not None:
                usage = {**result.usage, "screened": 1.0}
                reason = f"screened by {name}: {why}"
                return replace(result, valid=False, reason=reason, usage=usage)
        return result


def _lacks(domain: Domain, name: str, given: Mapping[str, Any]) -> list[str]:
    """The settings without a default that a screen is not given."""
    parameters = inspect.signature(resolve(domain.screens[name])).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.name not in given]
