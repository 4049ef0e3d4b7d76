"""Wrong programs that try to be taken for right ones. None may pass."""

import shutil

import pytest

from foundation.domains.code.sandbox import Limits, Verdict, judge, run

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
LIMITS = Limits(seconds=8, cpu_seconds=2)

TEST = """
import math

def check(candidate):
    assert candidate(2) == 4
    assert candidate(0) == 0
    assert isinstance(candidate(3), int)
    assert math.isclose(candidate(1.5), 3.0)
    xs = [1, 2]
    assert candidate(xs) == xs * 2
    try:
        candidate(None)
    except TypeError:
        return
    assert False, "no TypeError"
"""
RIGHT = "def double(x):\n    return x * 2\n"

# Each fools a judge that runs program and test in one process and believes the exit status.
FOOLS_ONE_PROCESS = {
    "exit at import": "import sys\nsys.exit(0)",
    "raise SystemExit": "raise SystemExit",
    "os._exit at import": "import os\nos._exit(0)",
    "os._exit in the call": "import os\ndef double(x):\n    os._exit(0)",
    "exit in the call": "def double(x):\n    exit(0)",
    "exec of something else": """
import os, sys
def double(x):
    os.execv(sys.executable, [sys.executable, '-c', 'pass'])
""",
    "exit handler": """
import atexit, os
atexit.register(os._exit, 0)
def double(x):
    return x
""",
    "excepthook": """
import os, sys
sys.excepthook = lambda *_: os._exit(0)
def double(x):
    return x
""",
    "destructor": """
import os
class Late:
    def __del__(self):
        os._exit(0)
def double(x):
    Late()
    return x
""",
    "thread that ends the process": """
import os, threading, time
def double(x):
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(30)
""",
    "signal handler": """
import os, signal, time
signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
signal.alarm(1)
def double(x):
    time.sleep(30)
""",
    "forked child answers": """
import os
if os.fork():
    os.wait()
    os._exit(0)
def double(x):
    return x
""",
    "__eq__ that lies": """
class Yes(int):
    def __eq__(self, other):
        return True
    def __float__(self):
        return 3.0
def double(x):
    if x is None:
        raise TypeError
    return Yes()
""",
    "subclass for each type": """
class Yes:
    __eq__ = __lt__ = __le__ = lambda self, other: True
    __bool__ = lambda self: True
    __float__ = lambda self: 3.0
    __class__ = int
def double(x):
    if x is None:
        raise TypeError
    return Yes()
""",
    "class as the answer": """
class Meta(type):
    __eq__ = lambda self, other: True
    __hash__ = lambda self: 4
    __class__ = property(lambda self: int)
    __float__ = lambda self: 3.0
class double(metaclass=Meta):
    def __new__(cls, x):
        if x is None:
            raise TypeError
        return cls
""",
    "unittest.mock.ANY and a patched math": """
import builtins, math
from unittest.mock import ANY
math.isclose = lambda *_: True
builtins.isinstance = lambda *_: True
def double(x):
    if x is None:
        raise TypeError
    return ANY
""",
    "AssertionError that exits": """
import builtins, os
class Quiet(BaseException):
    def __init__(self, *_):
        os._exit(0)
builtins.AssertionError = Quiet
import sys
sys.excepthook = lambda *_: os._exit(0)
def double(x):
    return x
""",
    "check replaced from the frame": """
import sys
class Silent(Exception):
    pass
def double(x):
    frame = sys._getframe(1)
    frame.f_globals['check'].__code__ = (lambda candidate: None).__code__
    sys.excepthook = lambda *_: __import__('os')._exit(0)
    raise Silent
""",
    "check replaced through gc": """
import gc, os
def double(x):
    for thing in gc.get_objects():
        if getattr(thing, '__name__', '') == 'check':
            os._exit(0)
    return None
""",
    "trace function ends at the assertion": """
import os, sys
def trace(frame, event, argument):
    if event == 'exception':
        os._exit(0)
    return trace
sys.settrace(trace)
def double(x):
    sys._getframe(1).f_trace = trace
    return x
""",
    "argument changed under the test": """
def double(x):
    if type(x) is list:
        x.clear()
        return x
    return x * 2
""",
    "exit through a patched module": """
import math, os
math.isclose = lambda *_: os._exit(0)
def double(x):
    return x * 2 if x != [1, 2] else None
""",
    "SIGKILL to the others and exit": """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def double(x):
    try:
        os.kill(-1, signal.SIGTERM)
    except OSError:
        pass
    os._exit(0)
""",
}


def one_process(program: str) -> Verdict:
    return run(f"{program}\n{TEST}\ncheck(double)\n", limits=LIMITS)


def test_the_right_program_passes() -> None:
    assert judge(RIGHT, TEST, "double", LIMITS).passed
    assert one_process(RIGHT).passed


@pytest.mark.parametrize("name", FOOLS_ONE_PROCESS)
def test_what_fools_one_process_fools_no_judge(name: str) -> None:
    program = FOOLS_ONE_PROCESS[name]
    assert one_process(program).passed, "the attempt itself is broken"
    verdict = judge(program, TEST, "double", LIMITS)
    assert not verdict.passed
    assert verdict.reason


def test_a_test_that_swallows_everything_passes_nobody_who_left() -> None:
    test = "try:\n    double(1)\nexcept BaseException:\n    pass\n"
    assert judge("def double(x):\n    raise ValueError\n", test, "double", LIMITS).passed
    for left in ("import os\nos._exit(0)", "def double(x):\n    exit(0)", "x = 1"):
        assert not judge(left, test, "double", LIMITS).passed


def test_a_test_that_calls_nothing_still_needs_the_function() -> None:
    assert judge(RIGHT, "def check(candidate): pass", "double", LIMITS).passed
    assert not judge("pass", "def check(candidate): pass", "double", LIMITS).passed
