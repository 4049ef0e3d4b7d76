"""Mutations of real files, and a watch over what the reading of one does."""

import contextlib
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.errors import FoundationError

SECONDS = 10.0
MEMORY = 2**30
"""Bytes by which one case may raise the peak."""
RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class",
        "socket.connect", "webbrowser.open")  # fmt: skip
ODD = [b"", b"\0", b"\xff" * 8, b"\x80\x04.", b"-1", b"1e999", b"NaN", b"null", b"[]", b"{}", b'"',
       b"../../x", b"/etc/passwd", b"${oc.env:HOME}", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa9",
       b"9" * 400, b"[" * 2000, b'{"a":' * 500, b"\n", b"\r", b",", b"\t", b"$$$$\n",
       b"!!python/name:os.system ",
       (2**31).to_bytes(4, "little"), (2**63).to_bytes(8, "little"),
       (2**64 - 1).to_bytes(8, "big")]  # fmt: skip


@st.composite
def mutated(draw: Callable[..., Any], seeds: Sequence[bytes]) -> bytes:
    """A real file, cut, spliced, repeated and overwritten in a few places; or any bytes at all."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        size = len(data)
        at = draw(st.integers(0, size))
        length = draw(st.sampled_from([0, 1, 2, 4, 8, 64]))
        match draw(st.sampled_from(["flip", "put", "over", "cut", "again", "end", "splice"])):
            case "flip" if size:
                data[at % size] ^= 1 << draw(st.integers(0, 7))
            case "put":
                data[at:at] = draw(st.sampled_from(ODD))
            case "over":
                odd = draw(st.sampled_from(ODD))
                data[at : at + len(odd)] = odd
            case "cut":
                del data[at : at + length]
            case "again":
                data[at:at] = data[at : at + length] * draw(st.integers(1, 20))
            case "end":
                del data[at:]
            case "splice":
                other = draw(st.sampled_from(seeds))
                data[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(data)


class Watch:
    """What happens while it looks: code that is started, and files written outside."""

    def __init__(self) -> None:
        self.looking, self.seen = False, list[str]()
        self.inside: tuple[str, ...] = (tempfile.gettempdir(), "/dev/", "/proc/self")
        sys.addaudithook(self._hook)

    def _hook(self, event: str, values: tuple[Any, ...]) -> None:
        if not self.looking:
            return
        if event in RUNS:
            self.seen.append(f"{event} {values!r}"[:200])
        elif event == "open" and isinstance(values[0], str | bytes) and _writes(values):
            path = os.path.realpath(os.fsdecode(values[0]))
            if not path.startswith(self.inside):
                self.seen.append(f"wrote {path}")

    @contextlib.contextmanager
    def over(self) -> Iterator[None]:
        self.seen.clear()
        self.looking = True
        try:
            yield
        finally:
            self.looking = False
        assert self.seen == []


def _writes(values: tuple[Any, ...]) -> bool:
    mode, flags = values[1], values[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


@pytest.fixture(scope="session")
def watch() -> Watch:
    return Watch()


@pytest.fixture
def fuzz(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., None]:
    """`fuzz(read, seeds, count)`: `read(data)` may refuse by our errors alone, in time and room.

    fixed: the same cases each time. What was read is added to the file FUZZ_RECORD, if that is set.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FOUNDATION_OFFLINE", "1")

    def run(
        read: Callable[[bytes], Any], seeds: Sequence[bytes], count: int, fixed: bool = False
    ) -> None:
        for seed in seeds:  # what is imported and begun once is no case's
            with contextlib.suppress(FoundationError):
                read(seed)

        lengths, kinds, raised = list[float](), set[bytes](), list[int]()

        @settings(
            max_examples=count, deadline=None, database=None, derandomize=fixed,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(mutated(seeds))
        def case(data: bytes) -> None:
            before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
            with watch.over(), contextlib.suppress(FoundationError):
                read(data)
            lengths.append(time.monotonic() - began)
            raised.append((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
            kinds.add(hashlib.blake2b(data, digest_size=8).digest())
            assert lengths[-1] < SECONDS
            assert raised[-1] < MEMORY

        began = time.process_time()
        case()
        if path := os.environ.get("FUZZ_RECORD"):
            told = {
                "entry": request.node.callspec.params["name"],
                "cases": len(lengths),
                "different": len(kinds),
                "cpu_seconds": round(time.process_time() - began, 1),
                "slowest_seconds": round(max(lengths), 3),
                "largest_bytes": max(raised),
            }
            with Path(path).open("a", encoding="utf-8") as record:
                record.write(json.dumps(told) + "\n")

    return run
