import json
import math
import random
import subprocess
import sys
import time

import pytest

from benchmarks import pairs
from benchmarks.interval import interval, ratio
from benchmarks.pairs import Side
from benchmarks.process import CommandFailed, measure

PYTHON = sys.executable


def test_equal_sides_are_called_different_about_as_rarely_as_promised():
    chance = random.Random(0)
    wrong = 0
    for trial in range(200):
        first, second = ([math.exp(chance.gauss(0, 0.1)) for _ in range(8)] for _ in range(2))
        wrong += ratio(first, second, seed=trial).says() != "cannot tell"
    assert wrong <= 20  # 5 % of 200, and what chance adds in 1 of 1,000 such tests


def test_a_ratio_is_found_with_its_interval():
    chance = random.Random(1)
    slow = [3 * math.exp(chance.gauss(0, 0.05)) for _ in range(10)]
    fast = [math.exp(chance.gauss(0, 0.05)) for _ in range(10)]
    found = ratio(slow, fast)
    assert found.low < 3 < found.high
    assert found.high / found.low < 1.15
    assert found.says() == "above"
    assert found.says(10) == "below"
    assert ratio(fast, slow).ratio == pytest.approx(1 / found.ratio)


def test_what_drifts_with_both_sides_of_a_pair_does_not_widen_the_interval():
    drift = [1, 2, 4, 8, 16, 32]
    found = ratio([2.0 * d for d in drift], drift)
    assert (found.low, found.ratio, found.high) == pytest.approx((2, 2, 2))


def test_more_measurements_see_smaller_differences():
    chance = random.Random(2)
    spread = [chance.gauss(0, 1) for _ in range(400)]
    assert interval(spread).smallest < interval(spread[:25]).smallest / 3


def test_one_measurement_has_no_interval():
    with pytest.raises(ValueError, match="two"):
        interval([1.0])


def test_a_claim_inside_the_interval_cannot_be_told():
    found = ratio([4.0, 5.0, 6.0, 5.0], [1.0, 1.0, 1.0, 1.0])
    assert pairs.line("x", found, 5).endswith("cannot tell")
    assert pairs.line("x", found, 2).endswith("yes")
    assert pairs.line("x", found, 9).endswith("no")


def test_a_process_is_measured_with_its_descendants():
    burn = (
        "import time\nwhile time.process_time() < .3: pass\nb = bytearray(60 << 20); time.sleep(.4)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    alone = measure([PYTHON, "-c", "pass"])
    used = measure([PYTHON, "-c", code])
    assert used.cpu >= 0.3
    assert used.wall >= 0.7
    assert used.memory > alone.memory + (60 << 20)


def test_the_last_line_is_the_report():
    code = "print('hello'); print('{\"seconds_each\": 0.5}')"
    assert measure([PYTHON, "-c", code]).report == {"seconds_each": 0.5}
    assert measure([PYTHON, "-c", "print('hello')"]).report == {}


def test_a_side_has_an_environment_of_its_own(monkeypatch):
    monkeypatch.setenv("GONE", "1")
    code = "import json, os; print(json.dumps([dict(os.environ)][0]))"
    seen = measure([PYTHON, "-c", code], {"GIVEN": "2", "GONE": None}).report
    assert seen["GIVEN"] == "2"
    assert "GONE" not in seen


def test_a_command_that_fails_is_told_with_what_it_said():
    with pytest.raises(CommandFailed, match=r"code 3\nno such thing"):
        measure([PYTHON, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"])


def test_a_command_that_hangs_is_ended_with_its_children():
    code = "import subprocess; subprocess.run(['sleep', '60.125'])"
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="longer than 1 s"):
        measure([PYTHON, "-c", code], timeout=1)
    assert time.monotonic() - began < 30
    assert "sleep 60.125" not in _running()


def test_a_runner_that_is_ended_ends_its_command():
    code = "from benchmarks.process import measure; measure(['sleep', '61.125'])"
    runner = subprocess.Popen([PYTHON, "-c", code])
    while "sleep 61.125" not in _running():
        time.sleep(0.05)
    time.sleep(0.2)
    runner.terminate()
    assert runner.wait() == 143
    assert "sleep 61.125" not in _running()


def _running() -> str:
    found = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True).stdout
    return "\n".join(line for line in found.splitlines() if "-c" not in line)


def test_pairs_are_interleaved_in_random_order_after_a_warm_up(tmp_path):
    log = tmp_path / "log"
    code = "import sys; print(*sys.argv[2:], file=open(sys.argv[1], 'a'))"
    sides = [Side(n, (PYTHON, "-c", code, str(log), n, "{pair}")) for n in "ab"]
    samples = pairs.run(sides, 6, seed=3)
    ran = [line.split() for line in log.read_text().splitlines()]
    assert [int(pair) for _, pair in ran] == sorted([*range(-1, 6)] * 2)
    assert [(s.side, s.pair) for s in samples] == [(n, int(p)) for n, p in ran[2:]]
    assert {s.side for s in samples if s.place == 0} == {"a", "b"}


def test_the_command_line_leaves_a_record(tmp_path, capsys):
    script = tmp_path / "side.py"
    script.write_text("import sys; print('{\"seconds_each\": %s}' % sys.argv[1])")
    arguments = ["--side", f"slow={PYTHON} {script} 3.0", "--side", f"fast={PYTHON} {script} 1.5"]
    arguments += ["--env", "slow:A=1", "--pairs", "3", "--warmups", "0"]
    arguments += ["--measure", "seconds_each", "--at-least", "1.9", "--out", str(tmp_path / "out")]
    pairs.main(["--name", "sides", *arguments])
    assert "slow/fast: 2 (2 to 2, 3 pairs), at least 1.9: yes" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "sides.json").read_text())
    assert record["ratios"]["slow/fast"]["ratio"] == pytest.approx(2)
    assert record["sides"][0]["environment"] == {"A": "1"}
    assert len(record["samples"]) == 6
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["precision"]["fastest"] in ("float32", "bfloat16")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sides.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--side", "a=true"],
        ["--side", "a=true", "--side", "a=true"],
        ["--side", "a=true", "--side", "true"],
        ["--side", "a=true", "--side", "b=true", "--pairs", "1"],
        ["--side", "a=true", "--side", "b=true", "--env", "c:X=1"],
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        pairs.main(["--name", "x", *arguments])
    assert refused.value.code == 2
    assert "error" in capsys.readouterr().err
