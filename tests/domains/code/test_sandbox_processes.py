"""Programs that turn on other processes, on the kernel, or stay behind. None may succeed."""

import contextlib
import os
import shutil
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.domains.code.sandbox import Verdict, run

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
NOTHING = ("refused: ", "nothing came of it")

PROCESSES = {
    "killing everyone": "signal.signal(15, signal.SIG_IGN); os.kill(-1, 15)",
    "killing the parent": """
        parent = os.getppid()
        try:
            os.kill(parent, signal.SIGKILL)
        except PermissionError:
            pass
        time.sleep(0.2)
        return os.getppid() != parent
    """,
    "killing the bystander": "os.kill(VICTIM, 9); return True",
    "signalling every number": """
        for number in range(3, 70000):
            if number != os.getpid():
                try:
                    os.kill(number, 0)
                    return number
                except OSError:
                    pass
    """,
    "killing its group": "signal.signal(15, signal.SIG_IGN); os.killpg(0, 15)",
    "killing the group of number 1": "os.killpg(1, 9)",
    "tracing the bystander": "return libc.ptrace(16, VICTIM, 0, 0) == 0",
    "tracing number 1": "return libc.ptrace(16, 1, 0, 0) == 0",
    "reading its parent's memory": """
        kept = ctypes.create_string_buffer(8)
        piece = (ctypes.c_size_t * 2)(ctypes.addressof(kept), 8)
        far = (ctypes.c_size_t * 2)(0x400000, 8)
        return libc.process_vm_readv(1, piece, 1, far, 1, 0) > 0
    """,
    "a handle on the bystander": "return os.pidfd_open(VICTIM)",
    "becoming root": "os.setuid(0); return True",
    "becoming root's group": "os.setgid(0); return True",
    "joining groups": "os.setgroups([0]); return True",
    "being root": "return 0 in (*os.getresuid(), *os.getresgid(), *os.getgroups())",
    "a set-user-id file": """
        shell = '/tmp/shell'
        with open(shell, 'wb') as copy, open(os.path.realpath(sys.executable), 'rb') as python:
            copy.write(python.read())
        os.chmod(shell, 0o6755)
        said = subprocess.run([shell, '-S', '-c', 'import os; print(os.geteuid())'],
                              capture_output=True, text=True,
                              env={'PYTHONHOME': PREFIX})
        return said.stdout.strip() == '0'
    """,
    "gaining by exec": "return libc.prctl(39, 0, 0, 0, 0) != 1",
    "capabilities": """
        header = struct.pack('Ii', 0x20080522, 0)
        kept = ctypes.create_string_buffer(24)
        assert libc.capget(header, kept) == 0
        return any(struct.unpack('6I', kept.raw)[:2])
    """,
    "mounting": "return libc.mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0",
    "mounting anew for writing": "return libc.mount(None, b'/', None, 32 | 4096, None) == 0",
    "unmounting": "return libc.umount2(b'/tmp', 2) == 0",
    "another root": "os.chroot('/tmp'); return True",
    "swapping the root": "return libc.syscall(155, b'/tmp', b'/tmp') == 0",
    "a user namespace": "return libc.unshare(0x10000000) == 0",
    "a user namespace by clone": """
        pid = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        return pid > 0
    """,
    "a user namespace by clone3": """
        order = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
        pid = libc.syscall(435, order, 88)
        if pid == 0:
            os._exit(0)
        return pid > 0
    """,
    "every other namespace": """
        return any(libc.unshare(kind) == 0 for kind in
                   (0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000, 0x2000000))
    """,
    "the host's name": "socket.sethostname('owned'); return True",
    "the clock": "time.clock_settime(time.CLOCK_REALTIME, 0); return True",
    "rebooting": "return libc.reboot(0x01234567) == 0",
    "io_uring": "return libc.syscall(425, 4, ctypes.create_string_buffer(256)) >= 0",
    "bpf": "return libc.syscall(321, 0, ctypes.create_string_buffer(128), 128) >= 0",
    "performance counters": """
        order = ctypes.create_string_buffer(128)
        struct.pack_into('II', order, 0, 1, 128)
        return libc.syscall(298, order, 0, -1, -1, 0) >= 0
    """,
    "page faults in its own hand": "return libc.syscall(323, 1) >= 0",
    "keys of the kernel": "return libc.syscall(250, 0, -5, 1) >= 0",
    "loading a module": "return libc.syscall(175, b'', 0, b'') == 0",
    "a higher priority": "os.nice(-5); return True",
    "real-time scheduling": """
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        return True
    """,
    "raising its limits": """
        for name in ('AS', 'CPU', 'FSIZE', 'NPROC', 'NOFILE', 'CORE'):
            number = getattr(resource, 'RLIMIT_' + name)
            try:
                resource.setrlimit(number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                return name
            except (OSError, ValueError):
                pass
    """,
    "a shell": "return os.system('true') == 0 or subprocess.run(['/bin/sh', '-c', ':'])",
    "out of the interpreter by its subclasses": """
        for kind in ().__class__.__base__.__subclasses__():
            if kind.__name__ == '_wrap_close':
                system = kind.__init__.__globals__['system']
                return system('echo owned > ' + OUT + '/owned') == 0
    """,
}

STAYING = {
    "a daemon": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                name_me()
                os.close(1); os.close(2)
                time.sleep(60)
            os._exit(0)
    """,
    "a daemon that holds the output": """
        if os.fork() == 0:
            os.setsid()
            name_me()
            time.sleep(60)
            os._exit(0)
    """,
    "a child deaf to signals": """
        if os.fork() == 0:
            for number in signal.valid_signals():
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            name_me()
            time.sleep(60)
            os._exit(0)
    """,
    "a child that forks on and on": """
        if os.fork() == 0:
            name_me()
            while True:
                if os.fork():
                    os._exit(0)
                time.sleep(0.01)
    """,
    "zombies": """
        for _ in range(4):
            if os.fork() == 0:
                name_me()
                os._exit(0)
    """,
}


def outlivers() -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text().strip() == "outliver":
                found.append(process.name)
    return found


@pytest.mark.parametrize("name", PROCESSES)
def test_nothing_outside_is_touched(attempt: Callable[..., Verdict], name: str) -> None:
    body = PROCESSES[name]
    if "libc.syscall" in body and os.uname().machine != "x86_64":
        pytest.skip("calls the kernel by the numbers of x86_64")
    verdict = attempt(body)
    assert verdict.stdout.startswith(NOTHING), verdict


@pytest.mark.parametrize("name", STAYING)
def test_nothing_stays_behind(attempt: Callable[..., Verdict], name: str) -> None:
    verdict = attempt(textwrap.dedent(STAYING[name]).strip() + "\ntime.sleep(0.3)", seconds=30)
    assert "nothing came of it" in verdict.stdout, verdict
    until = time.monotonic() + 5
    while outlivers() and time.monotonic() < until:
        time.sleep(0.02)
    assert outlivers() == []


@pytest.mark.parametrize("name", ["a shell", "a handle on the bystander"])
def test_the_attempt_works_outside(attempt: Callable[..., Verdict], name: str) -> None:
    """Harmless ones, in the weaker mode: inside they fail for the sandbox, not for a slip."""
    assert attempt(PROCESSES[name], mode="process").stdout == "WORKED\n"


def test_the_user_inside_is_nobody_known() -> None:
    verdict = run("import os; print(os.getuid())")
    assert verdict.stdout.strip() != str(os.getuid())
