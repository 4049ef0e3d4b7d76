"""Programs that reach for the network and for files. None may get there."""

import shutil
from collections.abc import Callable

import pytest

from foundation.domains.code.sandbox import Verdict, run

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
NOTHING = ("refused: ", "nothing came of it")

NETWORK = {
    "tcp to this machine": "return socket.create_connection(('127.0.0.1', PORT), 2)",
    "tcp to elsewhere": "return socket.create_connection(('192.0.2.1', 80), 2)",
    "tcp over IPv6": "return socket.create_connection(('::1', PORT), 2)",
    "udp": "return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "raw socket": "return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
    "packet socket": "return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "netlink": "return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "vsock to the host of the virtual machine": "return socket.socket(socket.AF_VSOCK)",
    "kernel crypto socket": "return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
    "unix socket": "socket.socket(socket.AF_UNIX).connect(OUT + '/socket'); return True",
    "abstract unix socket": "socket.socket(socket.AF_UNIX).connect('\\0harm'); return True",
    "name look-up": "return socket.getaddrinfo('example.org', 80)",
    "listen": "return socket.create_server(('0.0.0.0', 0))",
}

READING = {
    "a secret by its path": "return open(SECRET).read()",
    "a secret through a symlink": "os.symlink(SECRET, '/tmp/s'); return open('/tmp/s').read()",
    "a secret through a hard link": "os.link(SECRET, '/tmp/s'); return open('/tmp/s').read()",
    "a secret by climbing": "os.chdir('../' * 30); return open(SECRET.lstrip('/')).read()",
    "password hashes": "return open('/etc/shadow').read()",
    "users": "return open('/etc/passwd').read()",
    "home": """
        own = (PREFIX, '/usr/lib')
        return [f for d, _, fs in os.walk(HOME) for f in fs if not d.startswith(own)]
    """,
    "ssh keys": "return glob.glob(HOME + '/.ssh/*') or glob.glob('/home/*/.ssh/*')",
    "the project": "return open(PROJECT + '/pyproject.toml').read()",
    "the project's folder": "return os.listdir(PROJECT)",
    "installed packages": "return glob.glob(PREFIX + '/lib/python3*/site-packages/*')",
    "the environment": "return TOKEN in str(os.environ) or 'FOUNDATION_TOKEN' in os.environ",
    "the environment of the parent": "return open('/proc/1/environ', 'rb').read()",
    "the environment of every process": """
        return [open(f, 'rb').read() for f in glob.glob('/proc/[0-9]*/environ')]
    """,
    "the bystander's memory": "return open(f'/proc/{VICTIM}/mem', 'rb')",
    "the bystander's root": "return os.listdir(f'/proc/{VICTIM}/root')",
    "the machine's processes": "return [n for n in os.listdir('/proc') if n.isdigit()]",
    "kernel messages": "return open('/dev/kmsg').read(1) or libc.klogctl(3, b' ' * 99, 99) > 0",
    "kernel log by its call": "return libc.klogctl(3, ctypes.create_string_buffer(99), 99) > 0",
    "physical memory": "return open('/dev/mem', 'rb').read(1)",
    "disks": "return [open(d, 'rb') for d in glob.glob('/dev/[sv]d*') + ['/dev/nvme0n1']]",
    "sysfs": "return os.listdir('/sys')",
    "standard input": "return os.read(0, 10)",
    "inherited descriptors": """
        found = []
        for number in range(3, 4096):
            try:
                found.append(os.fstat(number))
            except OSError:
                pass
        return found
    """,
    "descriptors of the parent": """
        parent = libc.syscall(434, os.getppid(), 0)
        return parent >= 0 and libc.syscall(438, parent, 5, 0) >= 0
    """,
}

WRITING = {
    "outside": "return open(OUT + '/owned', 'w')",
    "over the secret": "return open(SECRET, 'w')",
    "over the secret through a symlink": "os.symlink(SECRET, 's'); return open('s', 'w')",
    "anywhere but in /tmp": """
        for folder in ('/', *glob.glob('/*/'), *glob.glob('/*/*/'), *glob.glob('/*/*/*/')):
            if not folder.startswith('/tmp'):
                try:
                    return open(folder + '/owned', 'w')
                except OSError:
                    pass
    """,
    "over the interpreter": "return open(os.path.realpath(sys.executable), 'r+b')",
    "over the runner": "return open('/run/inside.py', 'r+')",
    "over the standard library": "return open(os.__file__, 'a')",
    "removing the standard library": "os.unlink(os.__file__); return True",
    "removing a folder": """
        import json, shutil
        shutil.rmtree(os.path.dirname(json.__file__), ignore_errors=True)
        return not os.path.exists(json.__file__)
    """,
    "changing modes": "os.chmod(os.__file__, 0o777); return True",
    "changing owners": "os.chown(os.__file__, os.getuid(), -1); return True",
    "a device file": "os.mknod('d', stat.S_IFBLK | 0o666, os.makedev(8, 0)); return True",
    "a character device": "os.mknod('m', stat.S_IFCHR | 0o666, os.makedev(1, 1)); return True",
    "sysctl": "return open('/proc/sys/kernel/core_pattern', 'w')",
    "sysrq": "return open('/proc/sysrq-trigger', 'w')",
    "control groups": "return open('/sys/fs/cgroup/cgroup.procs', 'w')",
    "the terminal": "return os.open('/dev/tty', os.O_RDWR)",
    "a new terminal": "return os.openpty()",
    "typing into the terminal": """
        for number in (0, 1, 2):
            try:
                fcntl.ioctl(number, 0x5412, b'x')
                return True
            except OSError as error:
                if error.errno != 1:
                    return 'reached the driver: ' + repr(error)
    """,
}


@pytest.mark.parametrize("name", [*NETWORK, *READING, *WRITING])
def test_nothing_outside_is_reached(attempt: Callable[..., Verdict], name: str) -> None:
    verdict = attempt((NETWORK | READING | WRITING)[name])
    assert verdict.stdout.startswith(NOTHING), verdict


@pytest.mark.parametrize(
    "name", ["a secret by its path", "the project", "the machine's processes", "udp"]
)
def test_the_attempt_works_outside(attempt: Callable[..., Verdict], name: str) -> None:
    """Harmless ones, in the weaker mode: inside they fail for the sandbox, not for a slip."""
    assert attempt((NETWORK | READING)[name], mode="process").stdout == "WORKED\n"


def test_a_run_leaves_no_trace_in_the_next() -> None:
    assert run("open('/tmp/left', 'w').close()").passed
    assert run("import os; assert os.listdir('/tmp') == []").passed
