"""Run what a model wrote, confined by bubblewrap, and judge it by a test it cannot reach."""

import contextlib
import json
import os
import time
from dataclasses import dataclass

from foundation.domains.code.confined import DEFAULT, MODES, Confined, Limits, watch
from foundation.errors import UnknownName

__all__ = ["MODES", "Limits", "Verdict", "judge", "limits_in_force", "run"]


@dataclass(frozen=True)
class Verdict:
    """What came of one program.

    `reason` says in one line why it did not pass. `stdout` and `stderr` are the program's own,
    cut at the limit. `seconds` is wall time, the start of the sandbox included.
    """

    passed: bool
    reason: str | None
    stdout: str
    stderr: str
    seconds: float


def run(program: str, *, limits: Limits = DEFAULT, mode: str = "bubblewrap") -> Verdict:
    """Run `program`, Python source, as a script with nothing on its standard input.

    `passed` means only that it ended by itself with exit status 0 within `limits`: a program says
    that of itself, so judge an answer with `judge`. Callable from many threads at once.

    `mode="process"` is for machines without bubblewrap and for programs that mean no harm: it
    holds the time, the memory, the size of a file and the output, and gives an empty environment
    and a folder of its own. It does not stop a program from reading or deleting the user's
    files, using the network, sending signals to the user's processes, starting any number of
    processes, leaving one behind, or forging the verdict of `judge`.

    Raises InputError where the sandbox cannot be had, with what to install or allow.
    """
    begun = time.monotonic()
    with Confined({"role": "run", "program": program}, {}, limits, mode) as cell:
        cell.start()
        reason = watch([cell], limits) or cell.ended()
        return _verdict(cell, reason, begun)


def judge(
    program: str,
    test: str,
    entry_point: str,
    limits: Limits = DEFAULT,
    *,
    given: str = "",
    mode: str = "bubblewrap",
) -> Verdict:
    """Judge `program`, Python source that defines `entry_point`, by `test`.

    `test` is trusted source: it defines `check(candidate)`, as HumanEval does, or holds its
    assertions at the top, calling `entry_point` by name. `given` is trusted source run before it:
    the problem's own prompt, whose other functions some tests call.

    The two run in separate sandboxes, each under `limits`. A call goes over as data and comes
    back as data, rebuilt from plain built-in types (None, bool, int, float, complex, str, bytes,
    list, tuple, set, frozenset, dict; a Counter, defaultdict or OrderedDict becomes its dict), so
    the program never meets the assertions and cannot answer with an object that lies. Hence what
    the program does to its arguments is not seen by the test, and any other type it returns, a
    subclass or a generator, fails. A built-in exception is raised again in the test, except
    AssertionError; any other becomes one that is not built in.

    See `run` for `mode` and the errors.
    """
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        requests, asking = os.pipe()
        answers, answering = os.pipe()
        with contextlib.ExitStack() as ours:
            for pipe in (requests, asking, answers, answering):
                ours.callback(os.close, pipe)
            order = {"role": "candidate", "program": program, "entry_point": entry_point}
            pipes = {"requests": requests, "replies": answering}
            candidate = stack.enter_context(Confined(order, pipes, limits, mode))
            order = {"role": "judge", "test": test, "given": given, "entry_point": entry_point}
            pipes = {"requests": asking, "replies": answers}
            tester = stack.enter_context(Confined(order, pipes, limits, mode))
        candidate.start()
        tester.start()
        reason = watch([candidate, tester], limits)
        if reason is None:
            reason = _judged(candidate, tester)
        return _verdict(candidate, reason, begun)


def limits_in_force(mode: str = "bubblewrap") -> dict[str, str]:
    """What holds each limit on this machine in `mode`."""
    if mode not in MODES:
        raise UnknownName("sandbox mode", mode, MODES)
    confined = mode == "bubblewrap"
    return {
        "seconds": "the caller's clock, then SIGKILL",
        "cpu_seconds": "RLIMIT_CPU of each process",
        "memory_bytes": "RLIMIT_AS of each process; resident sum looked at every 50 ms (no cgroup)",
        "processes": "RLIMIT_NPROC" if confined else "nothing",
        "file_bytes": "RLIMIT_FSIZE" + ("; the size of /tmp" if confined else ""),
        "output_bytes": "the caller, while it reads",
        "network": "a namespace without any; no sockets" if confined else "nothing",
        "files": "read-only Python and system libraries; /tmp" if confined else "nothing",
        "system calls": "seccomp" if confined else "nothing",
    }


def _judged(candidate: Confined, tester: Confined) -> str | None:
    """Why the program did not pass, once the judge has ended; None when it passed."""
    failed = tester.ended()
    said = bytes(tester.output["report"][1:])
    if failed or not said:
        # only an answer the judge could not hold ends it without a word
        return f"the judge ended without a verdict ({failed})"
    verdict = json.loads(said)
    if verdict["gone"]:
        # it may have closed the pipe and sleep on
        return candidate.ended(patience=2) or "the program left before the test was done"
    return None if verdict["passed"] is True else verdict["reason"] or "failed"


def _verdict(cell: Confined, reason: str | None, begun: float) -> Verdict:
    seconds = time.monotonic() - begun
    return Verdict(reason is None, reason, cell.text("stdout"), cell.text("stderr"), seconds)
