import json
import math
import random

import pytest

from benchmarks.__main__ import answer
from benchmarks.interval import ratio
from benchmarks.suite.comparing import compare


def _record(folder, name, times, spread=0.005, pairs=10, answers=None, metrics=None):
    chance = random.Random(f"{name}{times}{folder.name}")
    slow = [times * math.exp(chance.gauss(0, spread)) for _ in range(pairs)]
    found = {"wall: a/b": vars(ratio(slow, [1.0] * pairs))}
    folder.mkdir(exist_ok=True)
    body = {"schema": 2, "ratios": found, "answers": answers or {}, "metrics": metrics or {}}
    (folder / f"{name}.json").write_text(json.dumps(body))


@pytest.fixture
def two(tmp_path):
    return tmp_path / "a", tmp_path / "b"


def _says(two):
    return {(each.record, each.name): each.says for each in compare(*two)}


def test_what_changed_what_did_not_and_what_cannot_be_told(two):
    for folder, times in zip(two, ((2.0, 2.0, 2.0), (2.2, 2.0, 2.1)), strict=True):
        _record(folder, "faster", times[0])
        _record(folder, "equal", times[1], spread=0.002)
        _record(folder, "restless", times[2], spread=0.3)
    assert _says(two) == {
        ("faster", "wall: a/b"): "changed",
        ("equal", "wall: a/b"): "unchanged",
        ("restless", "wall: a/b"): "cannot tell",
    }


def test_a_disturbed_record_tells_nothing(two):
    told = {"wall: a/b": "wall: a/b: cannot tell: others disturbed all but 2 of 6 pairs"}
    _record(two[0], "x", 2.0)
    _record(two[1], "x", 9.0, answers=told)
    assert _says(two)[("x", "wall: a/b")].startswith("cannot tell")


def test_a_ratio_that_a_disturbed_record_lacks_is_not_gone(two):
    _record(two[0], "x", 2.0), _record(two[1], "x", 2.0)
    body = json.loads((two[1] / "x.json").read_text())
    body["answers"] = {"wall: a/b": "wall: a/b: cannot tell: others disturbed all but 0 of 6 pairs"}
    (two[1] / "x.json").write_text(json.dumps(body | {"ratios": {}}))
    assert _says(two)[("x", "wall: a/b")].startswith("cannot tell")
    assert answer({"compare": [*map(str, two)], "margin": 0.01, "gate": 0.05}) == 0


def test_records_that_only_one_side_has(two):
    _record(two[0], "gone", 2.0), _record(two[1], "new", 2.0)
    assert _says(two) == {("gone", "record"): "gone", ("new", "record"): "new"}


def test_metrics_change_beyond_both_intervals(two):
    before = {"accuracy": {"mean": 0.8, "low": 0.78, "high": 0.82}}
    before["f1"] = {"mean": 0.5, "interval": [0.4, 0.6]}
    after = {"accuracy": {"mean": 0.9, "low": 0.88, "high": 0.92}}
    after["f1"] = {"mean": 0.52, "interval": [0.42, 0.6]}
    _record(two[0], "x", 1.0, metrics=before), _record(two[1], "x", 1.0, metrics=after)
    says = _says(two)
    assert says[("x", "accuracy")] == "changed"
    assert says[("x", "f1")] == "cannot tell"


@pytest.mark.parametrize(("after", "code"), [(2.0, 0), (1.98, 0), (1.6, 1), (2.6, 0)])
def test_the_gate_closes_on_a_ratio_that_fell(two, capsys, after, code):
    _record(two[0], "x", 2.0), _record(two[1], "x", after)
    assert answer({"compare": [*map(str, two)], "margin": 0.01, "gate": 0.05}) == code
    assert ("beyond the gate" in capsys.readouterr().err) == bool(code)


def test_the_gate_stays_open_where_nothing_can_be_told(two):
    _record(two[0], "x", 2.0), _record(two[1], "x", 1.7, spread=0.5)
    assert answer({"compare": [*map(str, two)], "margin": 0.01, "gate": 0.05}) == 0


def test_records_before_the_suite_can_be_compared_too():
    from benchmarks.record import RESULTS

    same = compare(RESULTS / "molecule_throughput.json", RESULTS / "molecule_throughput.json")
    assert {"short: steady", "all: whole"} <= {each.name for each in same}
    assert all(each.times == pytest.approx(1) for each in same)
