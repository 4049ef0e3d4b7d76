"""Every way a command can end badly: one line on standard error, and an exit code."""

import contextlib
import errno
import os
import sys
from pathlib import Path

from foundation.errors import FoundationError

FULL = (errno.ENOSPC, errno.EDQUOT)


def told(error: BaseException, folder: Path | None = None) -> int:
    """Say in one line what went wrong and return the exit code.

    folder: the run's, whose log takes the traceback of what is our fault.
    """
    code, line = described(error, folder)
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr.fileno())
    return code


def described(error: BaseException, folder: Path | None = None) -> tuple[int, str]:
    """The exit code and the line for an error."""
    if isinstance(error, FoundationError):
        if error.exit_code == 1:
            _log(error, folder)
        return error.exit_code, " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return 130, f"stopped{_go_on(folder)}"
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 1
        return code, f"stopped{_go_on(folder)}"
    if isinstance(error, OSError) and error.errno in FULL:
        where = f" ({error.filename})" if error.filename else ""
        return 2, f"the disk is full{where}: free some space{_go_on(folder)}"
    from foundation.placement.shortage import out_of_memory

    if out_of_memory(error):
        return 1, f"out of memory: give a smaller task.batch{_go_on(folder)}"
    first = (str(error).splitlines() or [""])[0]
    log = _log(error, folder)
    return 1, f"internal error: {type(error).__name__}: {first}; the traceback is in {log}"


def say(line: str) -> None:
    """Print to standard output; a reader that has gone (`| head`) is no error."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        _silence(sys.stdout.fileno())


def tell(line: str) -> None:
    """Print to standard error, beside the results; whoever read it may have gone."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _go_on(folder: Path | None) -> str:
    if folder is None or not (folder / "overrides.json").exists():
        return ""
    return f"; go on with: foundation resume={folder}"


def _log(error: BaseException, folder: Path | None) -> Path:
    """Write the traceback into the run's log, or a file of its own where there is no run."""
    import logging
    import tempfile
    import traceback

    if folder is not None:
        logging.getLogger("foundation").error("failed", exc_info=error)
        return folder / "run.log"
    with tempfile.NamedTemporaryFile(
        "w", prefix="foundation-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        file.writelines(traceback.format_exception(error))
    return Path(file.name)


def _silence(stream: int) -> None:
    """Python flushes its streams at exit; one without a reader would complain then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
