"""The processor and the memory that this process may use, whatever the machine has beyond it."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UNLIMITED = 1 << 60
"""What cgroup v1 writes, about, where there is no limit."""
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def cores(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Cores by the affinity of this process and the quota of its cgroups."""
    affinity = getattr(os, "sched_getaffinity", None)
    here = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, min([here, *(math.ceil(share) for share in _quotas(proc, cgroups))]))


def memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> tuple[int, int]:
    """Bytes this process may use at most, and bytes of them that are free now.

    The least of the machine's and of each cgroup's above this process. Cached files count as free,
    for the kernel gives them up. Where the system does not say what is free, all is taken to be.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = total
    with suppress(OSError, ValueError, KeyError):
        free = _pairs(proc / "meminfo")["MemAvailable:"] * 1024
    for limit, used in _limits(proc, cgroups):
        total, free = min(total, limit), min(free, limit - used)
    return total, max(0, free)


def first_namespace(proc: Path = PROC) -> bool:
    """Whether process numbers here are those that drivers see: not so in most containers."""
    with suppress(OSError):
        return (proc / "self/ns/pid").readlink().name == "pid:[4026531836]"
    return False


def boot() -> str:
    """A name of this run of the machine; the same in all its containers."""
    with suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return "unknown"


def _limits(proc: Path, cgroups: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of each memory cgroup above this process that has a limit."""
    for folder, new in _folders("memory", proc, cgroups):
        names = ("memory.max", "memory.current") if new else (
            "memory.limit_in_bytes", "memory.usage_in_bytes"
        )  # fmt: skip
        with suppress(OSError, ValueError):  # "max" is no number
            limit, used = (int((folder / name).read_text()) for name in names)
            cached = 0
            with suppress(OSError, ValueError):
                cached = _pairs(folder / "memory.stat").get("inactive_file", 0)
            if limit < UNLIMITED:
                yield limit, max(0, used - cached)


def _quotas(proc: Path, cgroups: Path) -> Iterator[float]:
    """Cores that each cgroup above this process allows, where it limits them."""
    for folder, new in _folders("cpu", proc, cgroups):
        with suppress(OSError, ValueError):
            if new:
                quota, period = (int(part) for part in (folder / "cpu.max").read_text().split())
            else:
                quota, period = (
                    int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")
                )
            if quota > 0:
                yield quota / period


def _folders(controller: str, proc: Path, cgroups: Path) -> Iterator[tuple[Path, bool]]:
    """The folders of this process's cgroup and of those above it; whether they are version 2.

    A container may see its cgroup's files at the top, whatever path the kernel tells.
    """
    with suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                root, new = cgroups, True
            elif controller in controllers.split(","):
                root, new = cgroups / controller, False
            else:
                continue
            inside = Path(path.lstrip("/"))
            yield root, new
            for part in [inside, *inside.parents][:-1]:
                if ".." not in part.parts:
                    yield root / part, new


def _pairs(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {parts[0]: int(parts[1]) for parts in lines if len(parts) > 1}
