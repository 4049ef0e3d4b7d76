"""What runs inside the sandbox: one Python process that takes its order from standard input.

It is started by path, alone, with the standard library only, so it imports nothing of ours.
The order is JSON: the role, the limits, the program or the test, and the numbers of the pipes.

    run        the program, as a script
    candidate  the program, whose entry point then answers calls that come through a pipe
    judge      the test, which makes those calls; it alone holds the pipe that the verdict takes

A value crosses between the last two as data and is rebuilt from plain built-in types, so that
nothing the candidate defines (a type, an `__eq__`, a patched built-in) is ever run by the judge.
"""

import builtins
import collections
import contextlib
import json
import os
import resource
import site
import sys
import traceback
import types
from collections.abc import Iterable
from typing import Any, NoReturn

MESSAGE_BYTES = 16 << 20
_REASON = 500
_MAPPINGS = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)
_ROWS: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "z"}
_BUILD: dict[str, Any] = {tag: kind for kind, tag in _ROWS.items()}


def encode(value: Any) -> Any:
    """`value` as JSON; only the exact built-in types and the dicts of `collections` are taken."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return ["i", hex(value)]
    if kind is float:
        return ["f", value.hex()]
    if kind is complex:
        return ["c", [value.real.hex(), value.imag.hex()]]
    if kind is bytes:
        return ["b", value.hex()]
    if kind in _ROWS:
        return [_ROWS[kind], [encode(item) for item in value]]
    if kind in _MAPPINGS:
        return ["d", [[encode(key), encode(item)] for key, item in value.items()]]
    raise TypeError(f"a '{kind.__name__}' is no plain built-in value")


def decode(item: Any) -> Any:
    """The value `encode` wrote; ValueError or TypeError for anything else."""
    if item is None or item is True or item is False or type(item) is str:
        return item
    tag, body = item
    if tag == "i":
        return int(body, 16)
    if tag == "f":
        return float.fromhex(body)
    if tag == "c":
        return complex(*map(float.fromhex, body))
    if tag == "b":
        return bytes.fromhex(body)
    if tag == "d":
        return {decode(key): decode(value) for key, value in body}
    return _BUILD[tag](decode(part) for part in body)


class CandidateError(Exception):
    """The candidate raised something that is no plain built-in exception."""


def run(order: dict[str, Any]) -> None:
    """The program as a script."""
    os.close(order["report"])
    exec(compile(order["program"], "<program>", "exec"), _script())


def candidate(order: dict[str, Any]) -> None:
    """The program, then the calls of its entry point."""
    os.close(order["report"])
    asked = os.fdopen(order["requests"], "rb")
    names = _script()
    exec(compile(order["program"], "<program>", "exec"), names)
    entry = order["entry_point"]
    function = names.get(entry)
    if not callable(function):
        raise SystemExit(f"the program defines no function '{entry}'")
    _send(order["replies"], {"ready": True})
    for line in asked:
        request = json.loads(line)
        args = [decode(value) for value in request["args"]]
        named = {name: decode(value) for name, value in request["named"].items()}
        answer = _reply(function, args, named)
        with contextlib.suppress(Exception):
            sys.stdout.flush()  # the last answer may be the last thing this process does
        _send(order["replies"], answer)


def judge(order: dict[str, Any]) -> NoReturn:
    """The test against the candidate; ends the process with the verdict written."""
    report, source, answers = order["report"], order["test"], os.fdopen(order["replies"], "rb")

    def end(passed: bool, reason: str | None = None, gone: bool = False) -> NoReturn:
        text = None if reason is None else reason[:_REASON]
        os.write(report, json.dumps({"passed": passed, "reason": text, "gone": gone}).encode())
        os._exit(0)

    def heard() -> dict[str, Any]:
        line = answers.readline(MESSAGE_BYTES + 1)
        if not line.endswith(b"\n"):
            end(False, f"an answer is over {MESSAGE_BYTES} bytes" if line else None, not line)
        try:
            answer = json.loads(line)
            if not isinstance(answer, dict):
                raise TypeError("no object")
            if "value" in answer:
                answer["value"] = decode(answer["value"])
        except BaseException as error:
            # ends here: a test that catches every exception must not swallow a forged answer
            end(False, f"the answer cannot be read: {type(error).__name__}")
        return answer

    def ask(*args: Any, **named: Any) -> Any:
        sent = [encode(value) for value in args]
        request = {"args": sent, "named": {name: encode(v) for name, v in named.items()}}
        try:
            _send(order["requests"], request)
        except BrokenPipeError:
            end(False, gone=True)
        answer = heard()
        if "value" in answer:
            return answer["value"]
        if "raised" in answer:
            raise _raised(str(answer["raised"]), str(answer.get("text")))
        end(False, f"the candidate returned {str(answer.get('refused'))[:100]}")

    ask.__name__ = entry = order["entry_point"]
    if heard().get("ready") is not True:
        end(False, "the answer cannot be read: not ready")
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(compile(order["given"], "<given>", "exec"), names)
        names[entry] = ask
        exec(compile(source, "<test>", "exec"), names)
        check = names.get("check")
        if callable(check):
            check(ask)
    except BaseException as error:
        end(False, _why(error, source))
    end(True)


def _reply(function: Any, args: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    try:
        value = function(*args, **named)
    except Exception as error:
        kind = type(error)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind}"
        try:
            text = str(error)
        except Exception:
            text = ""
        return {"raised": name, "text": text[:_REASON]}
    try:
        return {"value": encode(value)}
    except (TypeError, RecursionError) as error:
        return {"refused": str(error)}


def _raised(name: str, text: str) -> Exception:
    """The built-in exception of that name; never an AssertionError, which is the test's alone."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not AssertionError:
        try:
            return kind(text)
        except TypeError:
            pass
    return CandidateError(f"{name}: {text}")


def _why(error: BaseException, source: str) -> str:
    """The error and the line of the test it came from."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == "<test>"]
    rows = source.splitlines()
    if lines and lines[-1] and lines[-1] <= len(rows):
        text += f" at: {rows[lines[-1] - 1].strip()}"
    return text


def _send(pipe: int, message: dict[str, Any]) -> None:
    data = memoryview(json.dumps(message).encode() + b"\n")
    while data:
        data = data[os.write(pipe, data) :]


def _script() -> dict[str, Any]:
    """The names of a fresh `__main__`."""
    site.setquit()
    main = types.ModuleType("__main__")
    main.__builtins__ = builtins  # type: ignore[attr-defined]
    sys.modules["__main__"] = main
    return vars(main)


def _confine(limits: dict[str, int], uid: int | None) -> None:
    """Lower the limits for good, then leave root where the sandbox was started by it."""
    for name, value in limits.items():
        # one second later, so that the first signal says that it was the CPU time
        hard = value + 1 if name == "CPU" else value
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, hard))
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if os.geteuid() != uid:
            raise SystemExit("root could not be left")


def _keep(pipes: Iterable[int]) -> None:
    """Close every descriptor but the standard three and `pipes`; standard input reads nothing."""
    low = 3
    for pipe in sorted(pipes):
        os.closerange(low, pipe)
        low = pipe + 1
    os.closerange(low, 4096)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def main() -> None:
    order = json.loads(sys.stdin.buffer.read())
    _keep(order[name] for name in ("report", "requests", "replies") if name in order)
    _confine(order["limits"], order["uid"])
    os.write(order["report"], b"+")
    {"run": run, "candidate": candidate, "judge": judge}[order["role"]](order)


if __name__ == "__main__":
    main()
