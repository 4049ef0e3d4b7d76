"""The command line, end to end on a toy domain from another package."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation import arguments
from foundation.cli import main

MODEL = "model=toy/words"
GROUPS = {"model": ["toy/words"], "task": ["generate"], "recipe": [], "suite": [], "placement": []}

REFUSED = [
    (["model=toy/wrds"], "unknown model 'toy/wrds': did you mean 'toy/words'?"),
    ([MODEL, "task=genrate"], "unknown task 'genrate': did you mean 'generate'?"),
    ([MODEL, "suite=leters"], "unknown suite 'leters': did you mean 'letters'?"),
    (["sede=3"], "unknown setting 'sede': did you mean 'seed'?"),
    ([MODEL, "modle.path=x"], "unknown setting 'modle.path': did you mean 'model'?"),
    ([MODEL, "task.cuont=5"], "unknown setting 'task.cuont': did you mean 'task.count'?"),
    ([MODEL, "task.leters=5"], "unknown setting 'task.leters': did you mean 'task.letters'?"),
    ([MODEL, "model.pth=x"], "unknown setting 'model.pth': did you mean 'model.path'?"),
    (
        [MODEL, "placement.devise=cpu"],
        "unknown setting 'placement.devise': did you mean 'placement.device'?",
    ),
    ([MODEL, "placement.device=cudda"], "placement=cudda: one of auto, cpu, cuda, cuda:<number>"),
    ([MODEL, "task.count=abc"], "task.count must be a whole number of at least 1, got 'abc'"),
    ([MODEL, "task.count=0"], "task.count must be a whole number of at least 1, got '0'"),
    ([MODEL, "seed=abc"], "seed must be a whole number from 0 to 2**64 - 1, got 'abc'"),
    ([MODEL, "seed=-1"], "seed must be a whole number from 0 to 2**64 - 1, got '-1'"),
    ([MODEL, "task=evaluate"], "task=evaluate needs a suite: give suite=<name> (letters)"),
    ([MODEL, "task=evaluate", "suite=moses"], "unknown suite 'moses' of toy: known: letters"),
    (
        [MODEL, "task=evaluate", "suite=letters", "suite.limit=0"],
        "suite.limit must be a whole number of at least 1, got '0'",
    ),
    ([MODEL, "suite=letters"], "suite=... is for task=evaluate and task=fetch"),
    (
        [MODEL, "task=tune"],
        "task=tune needs a recipe: give recipe=<name>; foundation --help has them",
    ),
    (
        [MODEL, "task=tune", "engine.workers=2"],
        "engine=... is for tasks that answer requests, and task=tune trains: leave it out and",
    ),
    (
        [MODEL, "task=steer", "engine=ray"],
        "engine=... is for tasks that answer requests, and task=steer trains: leave it out\n",
    ),
    (
        [MODEL, "task=evaluate", "suite=letters", "engine.ranges=2", "engine.range=0"],
        "engine.range and engine.output are for a task of requests, not task=evaluate: leave",
    ),
    ([MODEL, "generate"], "cannot read 'generate': did you mean task=generate?"),
    ([MODEL, "--foo"], "unknown option '--foo'"),
    ([MODEL, "task.starts=[a"], "cannot read ++task.starts=[a: quote its value"),
    ([MODEL, "--config-dir", "nowhere"], "--config-dir: there is no folder nowhere"),
]


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=[w[-1] for w, _ in REFUSED])
def test_what_cannot_be_is_refused_in_one_line_and_leaves_nothing(
    toy: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert out == ""
    assert list(toy.rglob("*")) == []


def test_a_missing_model_folder_is_refused_and_leaves_nothing(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([MODEL, "model.path=nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert list(toy.rglob("*")) == []


def test_a_run_ends_with_its_folder_on_the_last_line(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([MODEL, "task.count=40", "task.letters=3", "seed=5"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    made = re.fullmatch(r"40 words, ([\d.]+)% valid: (.*)", last)
    assert made
    folder = Path(made[2])
    shape = r"runs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-toy-words-generate-[0-9a-f]{4}"
    assert re.fullmatch(shape, str(folder.relative_to(toy)))
    rows = pq.read_table(folder / "results.parquet").to_pylist()
    assert [row["id"] for row in rows] == list(range(40))
    assert all(len(row["output"]) == 3 for row in rows)
    assert sum(row["valid"] for row in rows) / 40 == pytest.approx(float(made[1]) / 100)
    record = json.loads((folder / "record.json").read_text())
    assert record["config"]["seed"] == 5
    assert list(toy.iterdir()) == [toy / "runs"]


def test_the_same_seed_gives_the_same_words(toy: Path) -> None:
    for folder, seed in [("a", 1), ("b", 1), ("c", 2)]:
        assert main([MODEL, f"seed={seed}", f"hydra.run.dir={folder}"]) == 0
    a, b, c = (pq.read_table(toy / f / "results.parquet")["output"].to_pylist() for f in "abc")
    assert a == b != c


def test_a_finished_run_says_so_and_other_settings_are_refused(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([MODEL, "resume=F", "task.letters=4"]) == 0
    before = (toy / "F" / "results.parquet").read_bytes()
    # What was typed when F began need not be typed again.
    assert main(["resume=F"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("finished already: 20 rows")
    assert main(["resume=F", "task.letters=5"]) == 2
    assert "4" in capsys.readouterr().err
    assert (toy / "F" / "results.parquet").read_bytes() == before


def test_a_failure_inside_is_one_line_and_its_traceback_is_in_the_log(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([MODEL, "task.fail=inside", "resume=F"]) == 1
    err = capsys.readouterr().err.splitlines()
    log = toy / "F" / "run.log"
    assert err[-1] == f"internal error: ValueError: the model broke; the traceback is in {log}"
    assert not any("Traceback" in line for line in err)
    assert "Traceback" in log.read_text()
    assert "in two lines" in log.read_text()


def test_a_full_disk_says_how_to_go_on(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([MODEL, "task.fail=full", "resume=F"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("the disk is full: free some space")
    assert last.endswith(f"foundation resume={toy / 'F'}")


def test_a_run_folder_that_cannot_be_made_is_one_line(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy / "file").write_text("")
    assert main([MODEL, "resume=file/F"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "file/F" in err


def test_somebody_elses_folder_is_refused_and_kept(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (toy / "F").mkdir()
    (toy / "F" / "thesis.txt").write_text("mine")
    assert main([MODEL, "resume=F"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in (toy / "F").iterdir()] == ["thesis.txt"]


def test_a_sweep_goes_on_where_it_stopped(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([MODEL, "-m", "resume=S", "seed=1,2"]) == 0
    shutil.rmtree(toy / "S" / "1-toy-words-generate")
    assert main([MODEL, "-m", "resume=S", "seed=1,2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("finished already") for line in lines) == 1
    rows = _table(toy / "S" / "summary.csv")
    assert [(row["status"], row["rows"]) for row in rows] == [("done", "20")] * 2


def test_a_sweep_may_run_in_other_processes(toy: Path) -> None:
    words = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", MODEL, "seed=1,2,3"]
    ran = subprocess.run(
        [sys.executable, "-m", "foundation", *words, "hydra.sweep.dir=S", "placement=lease"],
        capture_output=True, text=True,
        env={**os.environ, "FOUNDATION_LEASES": str(toy / "leases")},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("3 runs: ")
    assert [row["status"] for row in _table(toy / "S/summary.csv")] == ["done"] * 3
    assert list((toy / "leases").iterdir()) == []


def test_a_sweep_runs_every_combination_and_ends_with_one_table(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["seed=1,2", "task.fail=null,inside", "-m", MODEL, "hydra.sweep.dir=S"]
    assert main(words) == 1
    rows = _table(toy / "S" / "summary.csv")
    assert [row["status"] for row in rows] == ["done", "failed", "done", "failed"]
    assert [row["run"] for row in rows] == [f"{n}-toy-words-generate" for n in range(4)]
    assert [row["rows"] for row in rows] == ["20", "", "20", ""]
    assert "seed=2" in rows[2]["overrides"]
    assert capsys.readouterr().out.splitlines()[-1] == f"4 runs: {toy / 'S' / 'summary.csv'}"
    assert list(toy.iterdir()) == [toy / "S"]


def test_a_job_that_was_sent_back_to_the_queue_does_not_pass_for_finished(toy: Path) -> None:
    assert main([MODEL, "-m", "task.fail=requeued", "hydra.sweep.dir=S"]) == -1
    assert main([MODEL, "-m", "task.fail=requeued,null", "hydra.sweep.dir=T"]) == -1
    assert not (toy / "T/1-toy-words-generate").exists()


def test_a_suites_figures_are_recorded(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [MODEL, "task=evaluate", "suite=letters", "suite.limit=3", "resume=E"]
    assert main(words) == 0
    record = json.loads((toy / "E" / "record.json").read_text())
    share = record["metrics"]["distinct"]["mean"]
    assert 0 < share <= 15 / 26
    assert f"distinct {share:.4g}" in capsys.readouterr().out
    assert main(["resume=E"]) == 0
    assert capsys.readouterr().out.startswith("finished already")


def test_fetch_brings_the_model(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([MODEL, "task=fetch"]) == 0
    assert re.match(r"\d+ files? .* are here and verified", capsys.readouterr().out)
    assert list(toy.rglob("*")) == []


def test_a_reader_that_has_gone_is_no_error(toy: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "foundation", "task=models"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def _table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


OVERRIDES = st.lists(
    st.tuples(
        st.sampled_from(["task.a", "model.path", "recipe.rate", "seed", "placement.device"]),
        st.text("abc[],'\" =-", max_size=6),
    ).map("=".join)
)


@given(OVERRIDES, st.booleans())
def test_prepared_arguments_keep_their_order_and_values(words: list[str], sweep: bool) -> None:
    typed = [*words[:1], *(["-m"] if sweep else []), *words[1:]]
    ready = arguments.prepare(typed, GROUPS)
    assert ready[: int(sweep)] == ["-m"] * sweep
    assert [word.removeprefix("++") for word in ready[int(sweep) :]] == words
    for word in ready[int(sweep) :]:
        assert word.startswith("++") == word.removeprefix("++").startswith(
            ("task.", "model.", "rec")
        )
