"""Every error a user can meet.

    FoundationError            exit 1: our fault, or the machine's
    ├── InputError             exit 2: something the user gave can be mended by the user
    │   ├── UnknownName        a model, task, setting or suite that is not there; names the nearest
    │   ├── RequestError       a request out of range or unreadable; becomes a row with its reason
    │   ├── SourceError        weights or data that are missing, gated, changed, truncated or unsafe
    │   ├── PlacementError     a device that is not there, or a model that does not fit
    │   ├── Altered            a file is not what a run wrote, or not what foundation.lock pins
    │   ├── RunFolderError     a folder that cannot be written, resumed, or is held by another run
    │   └── MissingExtra       an optional package is needed; names the command that installs it
    └── Interrupted            exit 130 or 143: Ctrl-C or SIGTERM, after what was done is written

The message is one line that says what is wrong, where, and how to mend it.
"""

import difflib
from collections.abc import Iterable


class FoundationError(Exception):
    """The root of the tree; raised itself only for failures inside."""

    exit_code = 1


class InputError(FoundationError):
    """The user can mend it."""

    exit_code = 2


class UnknownName(InputError):
    """`kind` names what was looked for, e.g. "model"; `known` are the names there are.

    >>> print(UnknownName("model", "molecule/stater", ["image/sdxl", "molecule/starter"]))
    unknown model 'molecule/stater': did you mean 'molecule/starter'?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        names = sorted(map(str, known))
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
        mend = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown {kind} '{name}'{' ' + where if where else ''}: {mend}")


class RequestError(InputError):
    """A value out of range or an input that cannot be read."""


class SourceError(InputError):
    """Weights or data that cannot be had or must not be used."""


class PlacementError(InputError):
    """The device asked for is not there or is too small."""


class Altered(InputError):
    """A file is not the one it was."""


class RunFolderError(InputError):
    """The run folder cannot be used."""


class MissingExtra(InputError):
    """An optional package is missing.

    >>> print(MissingExtra("ray", "ray"))
    this needs the package 'ray': pip install 'foundation-toolkit[ray]'
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package '{package}': pip install 'foundation-toolkit[{extra}]'"
        )


class Interrupted(FoundationError):
    """A signal ended the run; `signal` is its number and the exit code is 128 + signal.

    >>> Interrupted(15, "stopped").exit_code
    143
    """

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal
