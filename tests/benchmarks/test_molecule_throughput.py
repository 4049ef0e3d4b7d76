import json

import pytest

from benchmarks import molecule_throughput
from benchmarks.pairs import Sample
from benchmarks.process import Usage


def _samples():
    """A loop of 10 ms a molecule that read for 2 s; ours of 1 ms and 0.5 s of start."""
    took = {
        "loop": Usage(24.0, 24.0, 1, {"seconds_each": 0.010, "reading": 2.0}),
        "command": Usage(2.5, 4.0, 1),
        "api": Usage(9.0, 9.0, 1, {"seconds_each": 0.001}),
    }
    return [Sample(side, pair, 0, 0.0, usage) for pair in range(3) for side, usage in took.items()]


def test_reading_the_training_set_is_not_held_against_the_loop():
    found = molecule_throughput.ratios(_samples())
    assert found["whole"].ratio == pytest.approx(22 / 2.5)
    assert found["steady"].ratio == pytest.approx(10)


def test_the_record_has_both_cases_and_what_they_say(monkeypatch, tmp_path, capsys):
    best = {"dtype": "float32", "batch": 64, "seconds_each": 0.01}
    monkeypatch.setattr(molecule_throughput, "calibrate", lambda data: {"best": best, "tried": []})
    ran = []

    def run(sides, rounds, **_):
        ran.append({side.name: side.command for side in sides})
        return _samples()

    monkeypatch.setattr(molecule_throughput, "run", run)
    molecule_throughput.main(["--data", "moses", "--count", "2000", "--out", str(tmp_path)])
    record = json.loads((tmp_path / "molecule_throughput.json").read_text())
    short = record["cases"]["short"]
    assert short["answers"]["steady"].endswith("at least 5: yes")
    assert short["speeds"] == pytest.approx(
        {"loop_a_second": 100, "api_a_second": 1000, "command_a_second": 800, "command_start": 0.5}
    )
    assert "task.columns=[parses,sanitises,canonical,unique,novel]" in ran[0]["command"]
    assert not any("columns" in word for word in ran[1]["command"])
