"""Programs that take all they can get. None may get more than its limits."""

import shutil
from collections.abc import Callable

import pytest

from foundation.domains.code.sandbox import Verdict

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
NOTHING = ("refused: ", "nothing came of it")

TAKING = {
    "threads": """
        started = 0
        for _ in range(500):
            try:
                threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
            except RuntimeError:
                break
            started += 1
        return started > 16
    """,
    "children": """
        started = 0
        for _ in range(500):
            try:
                if os.fork() == 0:
                    time.sleep(9)
                    os._exit(0)
            except OSError:
                break
            started += 1
        return started > 16
    """,
    "a fork bomb": """
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """,
    "memory at once": "return bytearray(8 << 30)",
    "memory bit by bit": """
        kept = []
        while len(kept) < 4096:
            kept.append(bytearray(1 << 20))
        return True
    """,
    "memory mapped": "return mmap.mmap(-1, 8 << 30)",
    "memory of many children": """
        for _ in range(6):
            if os.fork() == 0:
                break
        kept = b'x' * (120 << 20)
        time.sleep(8)
        return True
    """,
    "memory in a file without a name": "return os.memfd_create('x')",
    "memory shared by a number": "return libc.shmget(0, 1 << 20, 0o1600) >= 0",
    "memory in queues": "return libc.msgget(0, 0o1600) >= 0",
    "memory that stays": "return libc.mlockall(3) == 0",
    "memory of the stack": """
        def deeper(n):
            return deeper(n + 1) + 1
        sys.setrecursionlimit(10 ** 9)
        return deeper(0)
    """,
    "descriptors": """
        kept = []
        while len(kept) < 1000:
            kept.append(os.open('/dev/null', os.O_RDONLY))
        return True
    """,
    "pipes": """
        kept = []
        while len(kept) < 1000:
            kept.append(os.pipe())
        return True
    """,
    "a large file": """
        with open('f', 'wb') as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
        return True
    """,
    "a sparse file": "return os.truncate(os.open('f', os.O_CREAT | os.O_RDWR), 1 << 40) is None",
    "many files": """
        for number in range(64):
            with open(str(number), 'wb') as file:
                file.write(bytes(1 << 20))
        return True
    """,
    "a file for each device": """
        for device in ('/dev/null', '/dev/zero', '/dev/urandom'):
            os.truncate(device, 1 << 20)
        return True
    """,
    "output without an end": "while True: print('x' * 10000)",
    "errors without an end": "while True: os.write(2, b'x' * 10000)",
    "one line without an end": "while True: sys.stdout.write('x')",
    "time asleep": "time.sleep(999)",
    "time at work": "while True: pass",
    "time in one operation": "return 10 ** 10 ** 9",
    "time with the signal ignored": """
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True: pass
    """,
    "time with every signal blocked": """
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(999)
    """,
    "time stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "a core dump": "os.chdir('/tmp'); os.abort()",
}


@pytest.mark.parametrize("name", TAKING)
def test_no_more_is_taken_than_allowed(attempt: Callable[..., Verdict], name: str) -> None:
    verdict = attempt(TAKING[name], seconds=3, cpu_seconds=1)
    ended = (verdict.reason or "").startswith(("over ", "wrote over ", "ended by "))
    assert ended or verdict.stdout.startswith(NOTHING), verdict
    assert "WORKED" not in verdict.stdout
    assert verdict.seconds < 8
