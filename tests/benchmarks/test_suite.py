import json
import subprocess
import sys

import pytest

from benchmarks.pairs import Sample
from benchmarks.process import Usage, measure
from benchmarks.suite import commits, growth, peers, running
from benchmarks.suite.cases import SideSpec, case, missing, words
from benchmarks.suite.catalogue import every
from benchmarks.suite.running import Options, run_case
from foundation.errors import InputError


def _benchmarks(*typed):
    command = [sys.executable, "-m", "benchmarks", *typed]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_suite_runs_its_cases_and_leaves_a_record(tmp_path):
    done = _benchmarks("case=[help]", f"out={tmp_path}", "pairs=2", "cases.help.repeats=0")
    assert done.returncode == 0, done.stderr
    assert "help: " in done.stdout
    record = json.loads((tmp_path / "help.json").read_text())
    assert record["schema"] == 3
    assert record["samples"][0]["foreign"]["steal"] >= 0
    assert all("energy" in sample["usage"] for sample in record["samples"])
    assert record["answers"]
    assert {sample["side"] for sample in record["samples"]} == {"bare", "ours"}
    assert "/python" not in json.dumps(record["sides"])


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["suite=smok"], "smok"),
        (["compare=[a]"], "takes two"),
        (["compare=[nowhere,nowhere]"], "no record at nowhere"),
        (["install=[nobody]"], "unknown peer 'nobody'"),
        (["write=[pag]"], "did you mean 'page'?"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(typed, told):
    done = _benchmarks(*typed)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_case_and_every_suite_is_sound():
    from hydra import compose, initialize_config_dir

    from benchmarks.__main__ import CONF

    known = {each.name: each for each in every()}
    assert len(known) > 20
    with initialize_config_dir(CONF, version_base="1.3"):
        for suite in ("smoke", "performance", "quality", "peers"):
            config = compose("config", [f"suite={suite}"])
            assert config.cases
            for name, values in config.cases.items():
                assert case(name, values).kind == known[name].kind
    for each in known.values():
        assert {peer for peer in each.peers.values()} <= set(peers.names()), each.name


def test_sizes_data_and_the_interpreter_are_filled_into_commands():
    command = "{foundation} task.count={count} 'a b={folder}/{pair}'"
    found = words(command, {"count": 5, "folder": "/x y"})
    assert found == (sys.executable, "-m", "foundation", "task.count=5", "a b=/x y/{pair}")


@pytest.mark.parametrize(
    "values",
    [
        {"title": "x"},
        {"title": "x", "script": "a", "evaluate": "b"},
        {"title": "x", "script": "a", "pears": 1},
        {"title": "x", "sides": {"a": "true", "b": "false"}},
    ],
)
def test_a_case_that_is_none_is_refused(values):
    with pytest.raises(InputError, match="case odd"):
        case("odd", values)


def test_a_case_without_its_data_says_which_and_runs_nothing(tmp_path):
    lacking = case("x", {"title": "x", "script": "nothing", "data": {"moses": "a folder"}})
    assert missing(lacking, {}) == "give data.moses=... (a folder)"
    outcome = run_case(lacking, Options(tmp_path))
    assert outcome.lines == ["x: not run: give data.moses=... (a folder)"]
    assert not outcome.failed


@pytest.fixture
def no_peer(monkeypatch):
    def python(name):
        raise InputError(f"not installed: {name}")

    monkeypatch.setattr(peers, "python", python)


@pytest.mark.usefixtures("no_peer")
def test_a_side_whose_peer_is_missing_is_left_out_with_the_reason(tmp_path):
    sides = {"peer": {"command": "{python} -c pass", "peer": "molsets"}, "ours": "{python} -c pass"}
    made = case("x", {"title": "x", "sides": sides, "warmups": 0, "pairs": 1, "repeats": 0})
    outcome = run_case(made, Options(tmp_path))
    assert outcome.lines[0] == "x: peer is left out: not installed: molsets"
    assert "peer" in json.loads(outcome.record.read_text())["refused"]


@pytest.mark.usefixtures("no_peer")
def test_a_script_whose_peer_is_missing_is_not_run(tmp_path):
    made = case("x", {"title": "x", "script": "nothing", "peers": {"llama": "reinvent"}})
    outcome = run_case(made, Options(tmp_path, {}))
    assert "not run" in outcome.lines[0]
    assert not outcome.failed


def test_a_side_that_fails_is_a_failure_of_its_case(tmp_path):
    sides = {"bad": "{python} -c 1/0", "ours": "{python} -c pass"}
    outcome = run_case(case("x", {"title": "x", "sides": sides}), Options(tmp_path))
    assert outcome.failed
    assert "ZeroDivisionError" in outcome.lines[0]


def _samples(disturbed):
    return [
        Sample(side, pair, 0, 0.0, Usage(wall, wall, 1), None, "busy" * (pair in disturbed))
        for pair in range(6)
        for side, wall in (("other", 2.0 + pair / 100), ("ours", 1.0 + pair / 100))
    ]


def test_a_case_that_stays_disturbed_cannot_tell():
    made = case("x", {"title": "x", "sides": {"other": "a", "ours": "b"}, "claims": {"wall": 1.5}})
    calm, restless = _samples(()), _samples((0, 1, 2))
    found = running.ratios(made, calm)
    assert running.answers(made, calm, found, 6)["wall: other/ours"].endswith("at least 1.5: yes")
    few = running.ratios(made, restless)
    told = running.answers(made, restless, few, 6)["wall: other/ours"]
    assert told.endswith("cannot tell: others disturbed all but 3 of 6 pairs")


def test_processor_time_is_told_of_disturbed_pairs_too():
    made = case("x", {"title": "x", "sides": {"other": "a", "ours": "b"}, "measures": ["cpu"]})
    restless = _samples(range(6))
    found = running.ratios(made, restless)
    assert found["cpu: other/ours"].pairs == 6
    assert running.answers(made, restless, found, 6)["cpu: other/ours"].endswith("more")


def test_the_price_of_a_thousand_results_follows_from_the_hour():
    usual = {"ours": {"seconds_each": 0.5}, "bare": {}}
    assert running.prices(usual, 7.2) == {"ours": pytest.approx(1.0)}


def test_growth_is_the_exponent_of_the_work():
    found = growth.exponent([1, 4, 16], [[2.0, 3.0], [8.1, 12.0], [31.0, 47.0]])
    assert found.exponent == pytest.approx(1, abs=0.02)
    assert found.low <= found.exponent <= found.high
    assert growth.slope([1, 4, 16], [5, 80, 1280]) == pytest.approx(2)


def test_a_start_that_is_the_same_for_any_work_drops_out():
    assert growth.beyond_start([1, 4, 16], [10 + 1, 10 + 4, 10 + 16]) == pytest.approx(1)
    assert growth.beyond_start([1, 4, 16], [10 + 1, 10 + 16, 10 + 256]) == pytest.approx(2)
    assert growth.beyond_start([1, 4, 16], [3.0, 3.0, 3.0]) is None


def test_growth_runs_each_size(tmp_path):
    side = "{python} -c 'import json; print(json.dumps({\"took\": float({count})}))'"
    made = case(
        "x",
        {
            "title": "x", "sizes": {"count": 10}, "sides": {"ours": side}, "warmups": 0,
            "growth": {"size": "count", "side": "ours", "measures": ["took"], "rounds": 2},
        },
    )  # fmt: skip
    outcome = run_case(made, Options(tmp_path))
    grown = json.loads(outcome.record.read_text())["growth"]["took"]
    assert grown["work"] == [10, 40, 160]
    assert grown["exponent"] == pytest.approx(1)


def test_a_peer_that_does_not_install_keeps_its_error(tmp_path):
    pins, kept, results = tmp_path / "pins", tmp_path / "kept", tmp_path / "results"
    pins.mkdir()
    (pins / "odd.txt").write_text(f"{tmp_path}/no-such-package.whl\n")
    with pytest.raises(InputError, match="not installed"):
        peers.python("odd", pins, kept)
    error = peers.install("odd", results, pins, kept)
    assert error
    assert peers.states(results, pins)["odd"]["error"] == error
    with pytest.raises(InputError, match="does not install"):
        peers.python("odd", pins, kept)
    (pins / "odd.txt").write_text("other\n")
    with pytest.raises(InputError, match="have changed"):
        peers.python("odd", pins, kept)


def test_another_commit_is_a_side(tmp_path):
    def git(*typed):
        named = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run([*named, *typed], cwd=tmp_path, check=True)

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "here.py").write_text("first")
    git("init", "-q"), git("add", "."), git("commit", "-qm", "first")
    (tmp_path / "code" / "here.py").write_text("second")
    git("commit", "-qam", "second")
    folder = commits.checkout("HEAD~1", tmp_path, tmp_path / "kept")
    assert (folder / "code" / "here.py").read_text() == "first"
    with pytest.raises(InputError, match="not in this repository"):
        commits.checkout("nothing", tmp_path, tmp_path / "kept")


def test_a_side_of_another_commit_imports_that_code(monkeypatch, tmp_path):
    (tmp_path / "foundation").mkdir()
    (tmp_path / "foundation" / "__init__.py").write_text("WHEN = 'then'")
    monkeypatch.setattr(commits, "checkout", lambda commit: tmp_path)
    command = "{python} -c 'import foundation, json; print(json.dumps({\"is\": foundation.WHEN}))'"
    side = running._side("then", SideSpec(command, commit="abc"), {})
    assert measure(side.command, side.environment).report == {"is": "then"}
