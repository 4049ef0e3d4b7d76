"""Wrong programs that know how the judge works. None may pass."""

import shutil

import pytest

from foundation.domains.code.sandbox import Limits, judge

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
LIMITS = Limits(seconds=8, cpu_seconds=2)
PASSED = r"""b'+{"passed": true, "reason": null, "gone": false}\n'"""

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

KNOWS_THE_SANDBOX = {
    "verdict on stdout": f"""
import sys
sys.stdout.buffer.write({PASSED})
sys.exit(0)
""",
    "verdict on every descriptor": f"""
import os
for number in range(1024):
    try:
        os.write(number, {PASSED})
    except OSError:
        pass
def double(x):
    return x
""",
    "verdict as an answer": """
import os
def double(x):
    for number in range(3, 64):
        try:
            os.write(number, b'{"passed": true, "reason": null, "gone": false, "value": true}\\n')
        except OSError:
            pass
    return x
""",
    "answers before the questions": """
import os
for number in range(3, 64):
    try:
        os.write(number, b'{"ready": true}\\n' + b'{"value": ["i", "0x4"]}\\n' * 99)
    except OSError:
        pass
def double(x):
    return x
""",
    "serving functions replaced": """
import sys
frame = sys._getframe()
while frame:
    for name in ('encode', '_reply'):
        if name in frame.f_globals:
            frame.f_globals[name] = lambda *_: {'passed': True, 'gone': False, 'value': True}
    frame = frame.f_back
def double(x):
    return x
""",
    "json replaced": """
import json, sys, types
fake = '{"passed": true, "value": ["i", "0x4"], "ready": true}'
json.dumps = lambda *_, **__: fake
def double(x):
    return x
""",
    "answer without a value": """
import json
kept = json.dumps
json.dumps = lambda m: kept(m if 'ready' in m else {})
def double(x):
    return x
""",
    "AssertionError raised as TypeError": """
class TypeError(Exception):
    pass
def double(x):
    if x is None:
        raise TypeError
    return x * 2
""",
    "TypeError subclass from builtins": """
class Odd(TypeError):
    pass
Odd.__module__ = 'builtins'
def double(x):
    if x is None:
        raise Odd
    return x * 2
""",
    "SystemExit named as what was raised": """
import json
kept = json.dumps
json.dumps = lambda m: kept(m if 'ready' in m else {'raised': 'SystemExit', 'text': '0'})
def double(x):
    return x
""",
    "exit in place of the TypeError": """
def double(x):
    if x is None:
        raise SystemExit(0)
    return x * 2
""",
    "a value that cannot cross in place of the TypeError": """
def double(x):
    return object() if x is None else x * 2
""",
    "answer nested too deep": """
import json
kept = json.dumps
deep = '["l", [' * 100000 + ']]' * 100000
json.dumps = lambda m: kept(m) if 'ready' in m else '{"value": ' + deep + '}'
def double(x):
    return x
""",
    "answer too long": """
def double(x):
    return 'x' * (32 << 20)
""",
    "answer of an unknown tag": """
import json
kept = json.dumps
json.dumps = lambda m: kept(m if 'ready' in m else {'value': ['__import__', 'os']})
def double(x):
    return x
""",
    "answer whose decoding raises what the test awaits": """
import json
kept = json.dumps
def dumps(m):
    return kept({'value': ['i', None]}) if m.get('raised') == 'Odd' else kept(m)
json.dumps = dumps
class Odd(Exception):
    pass
Odd.__module__ = 'builtins'
def double(x):
    if x is None:
        raise Odd
    return x * 2
""",
    "generator without an end": """
def double(x):
    while True:
        yield x
""",
    "list without an end": """
def double(x):
    xs = []
    xs.append(xs)
    return xs
""",
    "coroutine": "async def double(x):\n    return x * 2",
    "recursion bomb": """
import sys
sys.setrecursionlimit(10 ** 9)
def double(x):
    return double(x) + 1
""",
    "no function": "double = 4",
    "another name": "def triple(x):\n    return x * 2",
    "does not parse": "def double(x) return x",
    "bool for int": "def double(x):\n    return True if x == 0.5 else (x * 2 if x else False) or x",
    "not a number": "def double(x):\n    return float('nan')",
    "closed pipes and asleep": """
import os, time
def double(x):
    os.closerange(3, 64)
    time.sleep(999)
""",
    "right once": """
seen = []
def double(x):
    seen.append(x)
    return x * 2 if len(seen) < 5 else None
""",
}


def test_the_right_program_passes() -> None:
    assert judge(RIGHT, TEST, "double", LIMITS).passed


@pytest.mark.parametrize("name", KNOWS_THE_SANDBOX)
def test_knowing_the_sandbox_does_not_help(name: str) -> None:
    verdict = judge(KNOWS_THE_SANDBOX[name], TEST, "double", LIMITS)
    assert not verdict.passed
    assert verdict.reason
