"""The bubblewrap command that a confined Python is started with."""

import os
import random
import shutil
import sys
import sysconfig
from pathlib import Path

from foundation.errors import InputError

INSIDE = Path(__file__).with_name("inside.py")
WEAKER = "or name the weaker mode 'process', which does not stop a program that means harm"
ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "PATH": "/nowhere",
    "PYTHONHASHSEED": "0",
}
PYTHON_FLAGS = ["-s", "-S", "-P", "-B", "-X", "utf8"]
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_SHIM = "/run/inside.py"


def interpreter() -> str:
    """The real path of the base interpreter, not of a virtual environment's link to it."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def command(file_bytes: int, filter_pipe: int) -> list[str]:
    """The command line of one start; `filter_pipe` is read for the seccomp filter.

    Seen inside: the interpreter, its library without site-packages, the system's shared
    libraries, three devices and a /tmp of `file_bytes` bytes; neither /proc nor /sys nor /etc.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise InputError(f"running programs needs bubblewrap: apt-get install bubblewrap, {WEAKER}")
    line = [found, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    line += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net"]
    line += ["--unshare-cgroup-try", "--hostname", "sandbox", "--seccomp", str(filter_pipe)]
    if os.geteuid() == 0:
        # inside.py takes a user id of its own: a mapped root would keep root's exemption from
        # RLIMIT_NPROC, and its hold over root's files
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    readable = _readable()
    for folder in _above([*readable, *_DEVICES, _SHIM]):
        # said outright, for a folder made in passing is closed to the user id inside.py takes
        line += ["--perms", "0755", "--dir", folder]
    for path in readable:
        line += ["--ro-bind", path, path]
    packages = os.path.join(sysconfig.get_path("stdlib"), "site-packages")
    if os.path.isdir(packages):
        line += ["--size", "4096", "--tmpfs", packages, "--remount-ro", packages]
    for device in _DEVICES:
        line += ["--dev-bind", device, device]
    line += ["--perms", "1777", "--size", str(file_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    line += ["--ro-bind", str(INSIDE), _SHIM]
    return [*line, "--remount-ro", "/", interpreter(), *PYTHON_FLAGS, _SHIM]


def own_uid() -> int | None:
    """A user id that nobody else has, for a sandbox that root starts; None for anyone else."""
    if os.geteuid() != 0:
        return None
    first, _, count = map(int, Path("/proc/self/uid_map").read_text().split()[:3])
    return first + random.SystemRandom().randrange(count // 2, count - 1)


def trouble(stderr: str) -> InputError:
    """Why the sandbox did not start, from what bubblewrap or Python said."""
    said = stderr.strip().splitlines()[-1:] or ["no word of why"]
    if "namespace" in said[0] or "uid map" in said[0] or "Operation not permitted" in said[0]:
        mend = "the kernel or the container forbids namespaces: allow user namespaces for bwrap"
    elif "Unknown option" in said[0]:
        mend = "bubblewrap 0.8 or newer is needed"
    else:
        mend = "see what bwrap says"
    return InputError(f"the sandbox does not start ({said[0]}): {mend}, {WEAKER}")


def _readable() -> list[str]:
    """The folders and files Python needs, outer ones first."""
    library = os.path.join(sys.base_prefix, "lib")
    wanted = {*_LIBRARIES, library, library + "64", interpreter()}
    return sorted(path for path in wanted if os.path.exists(path))


def _above(paths: list[str]) -> list[str]:
    """Every folder that leads to one of `paths`, outer ones first, the root left out."""
    return sorted({str(parent) for path in paths for parent in Path(path).parents} - {"/"})
