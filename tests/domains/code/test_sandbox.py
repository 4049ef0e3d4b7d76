"""What the sandbox does for honest programs, and how it ends those that take too much."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from foundation.domains.code.sandbox import Limits, Verdict, judge, limits_in_force, run
from foundation.errors import InputError

MODES = [
    pytest.param(
        "bubblewrap",
        marks=pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap"),
    ),
    "process",
]
bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
TEST = "def check(candidate):\n    assert candidate([3, 1]) == [1, 3]\n"
SORTS = "def arrange(xs):\n    return sorted(xs)\n"


@pytest.mark.parametrize("mode", MODES)
def test_a_program_runs_as_a_script_and_its_output_comes_back(mode: str) -> None:
    program = "import sys\nif __name__ == '__main__':\n    print('é')\nsys.stderr.write('w')"
    verdict = run(program, mode=mode)
    assert verdict.passed
    assert (verdict.reason, verdict.stdout, verdict.stderr) == (None, "é\n", "w")
    assert 0 < verdict.seconds < Limits().seconds


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("program", "limits", "reason"),
    [
        ("raise ValueError('no')", Limits(), "exit status 1: ValueError: no"),
        ("def f(:", Limits(), "exit status 1: SyntaxError: invalid syntax"),
        ("exit(3)", Limits(), "exit status 3"),
        ("import os; os.kill(os.getpid(), 11)", Limits(), "ended by SIGSEGV"),
        ("import time; time.sleep(60)", Limits(seconds=1.5), "over 1.5 seconds"),
        ("while True: pass", Limits(cpu_seconds=1, seconds=60), "over its CPU time"),
        ("b = bytearray(1 << 30)", Limits(), "exit status 1: MemoryError"),
        ("print('x' * 4096)", Limits(output_bytes=100), "wrote over 100 bytes to stdout"),
        (
            "import os\nfor _ in range(4): os.fork()\nb = b'x' * (100 << 20)\ninput",
            Limits(memory_bytes=256 << 20),
            "over 268435456 bytes of memory",
        ),
        (
            "with open('f', 'wb') as f: f.write(b'x' * 4096)",
            Limits(file_bytes=1024),
            "exit status 1: OSError: [Errno 27] File too large",
        ),
    ],
)
def test_the_reason_says_how_it_ended(mode: str, program: str, limits: Limits, reason: str) -> None:
    if "memory" in reason:
        program = program.replace("input", "import time; time.sleep(30)")
    verdict = run(program, limits=limits, mode=mode)
    assert (verdict.passed, verdict.reason) == (False, reason)
    assert len(verdict.stdout) <= limits.output_bytes


@pytest.mark.parametrize("mode", MODES)
def test_judging(mode: str) -> None:
    assert judge(SORTS, TEST, "arrange", mode=mode).passed
    wrong = judge("def arrange(xs):\n    return xs\n", TEST, "arrange", mode=mode)
    assert wrong.reason == "AssertionError at: assert candidate([3, 1]) == [1, 3]"
    broken = judge("def arrange(xs):\n    return xs.foo\n", TEST, "arrange", mode=mode)
    assert broken.reason is not None
    assert broken.reason.startswith("AttributeError: 'list' object has no attribute 'foo' at: ")


@bubblewrap
@pytest.mark.parametrize(
    "value",
    [
        "None",
        "True",
        "-7",
        "10 ** 5000",
        "0.1",
        "float('inf')",
        "1 - 2j",
        "'\\ud800é\\n'",
        "b'\\x00\\xff'",
        "[1, [2.0, 'x']]",
        "(1,)",
        "{1, 2}",
        "frozenset({(1, 2)})",
        "{(1, 2): [None], 'a': {}}",
    ],
)
def test_plain_values_cross_unchanged_both_ways(value: str) -> None:
    test = f"""
def check(candidate):
    sent = {value}
    got = candidate(sent)
    assert (type(got), got) == (type(sent), sent)
    assert candidate(x=sent) == sent
"""
    verdict = judge("def same(x):\n    return x\n", test, "same")
    assert verdict.passed, verdict.reason


@bubblewrap
def test_the_dicts_of_collections_count_as_dicts() -> None:
    program = "import collections\ndef count(s):\n    return collections.Counter(s)\n"
    test = "assert count('aab') == {'a': 2, 'b': 1}\n"
    assert judge(program, test, "count").passed


@bubblewrap
def test_exceptions_reach_the_test() -> None:
    program = "def half(n):\n    if n % 2: raise ValueError('odd')\n    return n // 2\n"
    test = """
try:
    half(3)
except ValueError as error:
    assert str(error) == 'odd'
else:
    assert False
assert half(4) == 2
"""
    assert judge(program, test, "half").passed


@bubblewrap
def test_the_tests_own_functions_come_from_what_is_given() -> None:
    """A helper that the candidate redefines must not be the one that checks it."""
    given = "def poly(x):\n    return x * x - 4\n\ndef root():\n    ...\n"
    test = "def check(candidate):\n    assert abs(poly(candidate())) < 1e-4\n"
    wrong = "def poly(x):\n    return 0\n\ndef root():\n    return 7\n"
    assert judge("def root():\n    return 2.0\n", test, "root", given=given).passed
    assert judge(wrong, test, "root", given=given).reason is not None


@bubblewrap
def test_many_threads_judge_at_once() -> None:
    def one(number: int) -> Verdict:
        program = f"def f(x):\n    print({number})\n    return x + {number % 2}\n"
        return judge(program, "assert f(1) == 1\n", "f")

    before = threading.active_count()
    descriptors = len(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(6) as pool:
        verdicts = list(pool.map(one, range(18)))
    assert [v.passed for v in verdicts] == [number % 2 == 0 for number in range(18)]
    assert [v.stdout for v in verdicts] == [f"{number}\n" for number in range(18)]
    assert threading.active_count() == before
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="apt-get install bubblewrap"):
        run("pass")
    assert run("pass", mode="process").passed


def test_a_kernel_that_forbids_namespaces_gets_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    """A stand-in says what bwrap says there: the real refusal needs a kernel set up for it."""
    bwrap = os.path.join(tmp_path, "bwrap")
    with open(bwrap, "w") as script:
        script.write(
            "#!/bin/sh\n"
            "echo 'bwrap: No permissions to create new namespace, likely because the kernel does"
            " not allow non-privileged user namespaces.' >&2\nexit 1\n"
        )
    os.chmod(bwrap, 0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(InputError, match="forbids namespaces") as caught:
        run("pass")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"cpu_seconds": 1.5}, {"processes": True}])
def test_limits_are_positive_numbers(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(limits))):
        Limits(**limits)  # type: ignore[arg-type]


def test_an_unknown_mode_is_refused() -> None:
    for call in (lambda: run("pass", mode="procedure"), lambda: limits_in_force("procedure")):
        with pytest.raises(InputError, match="did you mean 'process'"):
            call()


def test_the_weaker_mode_says_what_it_does_not_hold() -> None:
    assert limits_in_force("process")["network"] == "nothing"
    assert limits_in_force()["network"] != "nothing"
