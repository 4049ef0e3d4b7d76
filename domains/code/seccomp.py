"""The system calls that a confined program is refused, as a filter for the kernel (seccomp(2)).

A list of what is refused, not of what is allowed: namespaces, mounts and other users' processes
are out of reach without it too; what it adds is the kernel's wide doors (new user namespaces,
bpf, io_uring, keys, sockets of every family, AF_VSOCK among them, which no namespace holds back)
and memory that no limit counts (memfd, System V segments). Numbers: the kernel's unistd tables.
"""

import platform
import struct

from foundation.errors import InputError

# name: number on x86_64, number on aarch64 (None: the machine has no such call)
_REFUSED: dict[str, tuple[int, int | None]] = {
    "shmget": (29, 194),
    "shmat": (30, 196),
    "socket": (41, 198),
    "semget": (64, 190),
    "msgget": (68, 186),
    "ptrace": (101, 117),
    "syslog": (103, 116),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "acct": (163, 89),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "mq_open": (240, 180),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "migrate_pages": (256, 238),
    "unshare": (272, 97),
    "vmsplice": (278, 75),
    "move_pages": (279, 239),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "finit_module": (313, 273),
    "memfd_create": (319, 279),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
    "quotactl_fd": (443, 443),
    "memfd_secret": (447, 447),
}
# machine: its column above, AUDIT_ARCH, clone, clone3, ioctl
_MACHINES = {
    "x86_64": (0, 0xC000003E, 56, 435, 16),
    "aarch64": (1, 0xC00000B7, 220, 435, 29),
}
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the terminal of whoever started us
_X32 = 0x40000000
_EPERM, _ENOSYS = 1, 38

_LOAD, _EQUAL, _LEAST, _ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24


def rules() -> bytes:
    """The filter, as the array of `struct sock_filter` that bubblewrap's --seccomp reads."""
    machine = platform.machine()
    if machine not in _MACHINES:
        known = " and ".join(_MACHINES)
        raise InputError(f"the sandbox knows the system calls of {known}, this is a {machine}")
    column, arch, clone, clone3, ioctl = _MACHINES[machine]
    lines = [_op(_LOAD, _ARCH), *_unless(_EQUAL, arch, _KILL), _op(_LOAD, _NUMBER)]
    lines += _when(_LEAST, _X32, _KILL)
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            lines += _when(_EQUAL, number, _ERRNO | _EPERM)
    # its flags lie in memory, out of the filter's sight; the C library falls back to clone
    lines += _when(_EQUAL, clone3, _ERRNO | _ENOSYS)
    lines += _argument(clone, _ARG0, [(_ANY, _NEW_NAMESPACES)])
    lines += _argument(ioctl, _ARG1, [(_EQUAL, request) for request in _TERMINAL])
    return b"".join([*lines, _op(_RETURN, _ALLOW)])


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _when(test: int, value: int, answer: int) -> list[bytes]:
    return [_op(test, value, 0, 1), _op(_RETURN, answer)]


def _unless(test: int, value: int, answer: int) -> list[bytes]:
    return [_op(test, value, 1, 0), _op(_RETURN, answer)]


def _argument(call: int, where: int, tests: list[tuple[int, int]]) -> list[bytes]:
    """Refuse `call` when the low half of the argument at `where` meets one of `tests`."""
    body = [_op(_LOAD, where)]
    for test, value in tests:
        body += _when(test, value, _ERRNO | _EPERM)
    body.append(_op(_LOAD, _NUMBER))
    return [_op(_EQUAL, call, 0, len(body)), *body]
