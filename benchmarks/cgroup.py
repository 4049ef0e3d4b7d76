"""A limit that the kernel sets to the memory of processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OLD, NEW = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(mib: int) -> Iterator[Path]:
    """The folder of a group of processes that the kernel lets have so much memory, files among it.

    A process enters by writing its number to `cgroup.procs`. OSError: no group can be made here.
    """
    limit = "memory.limit_in_bytes" if OLD.is_dir() else "memory.max"
    folder = (OLD if OLD.is_dir() else NEW) / f"limited-{os.getpid()}"
    folder.mkdir()
    try:
        (folder / limit).write_text(str(mib * 2**20))
        yield folder
    finally:
        folder.rmdir()
