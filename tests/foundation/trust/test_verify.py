"""Altered is told from unaltered: a run, a file in it, a file that was copied away."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foundation.cli import main
from foundation.trust.verify import verify


@pytest.fixture
def run(double, tmp_path: Path) -> Path:
    double().generate(count=7, folder=tmp_path / "run").finish()
    return tmp_path / "run"


def say(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["task=verify", *words])
    out = capsys.readouterr()
    return code, (out.out + out.err).strip()


def test_one_byte_of_any_file_of_a_run_is_found(run, told_apart) -> None:
    told_apart(run, "results.parquet")


def test_the_command_says_which_and_exits_with_2(run, tmp_path, capsys) -> None:
    assert say(capsys, f"task.input={run}")[1].startswith("unaltered: 3 files")
    (run / "config.json").write_text("{}")
    (run / "results.parquet").unlink()
    (run / "notes.txt").write_text("mine")
    code, line = say(capsys, f"task.input={run}")
    assert code == 2
    assert line.startswith("altered: config.json is altered")
    assert "results.parquet is missing" in line
    assert "notes.txt is added" in line
    code, line = say(capsys, f"task.input={tmp_path}")
    assert (code, "run/config.json is altered" in line) == (2, True)


def test_a_field_of_the_record_is_held(run) -> None:
    path = run / "record.json"
    told = json.loads(path.read_text())
    told["counts"]["valid"] -= 1
    path.write_text(json.dumps(told, indent=2) + "\n")
    assert [found.state for found in verify(run)] == ["altered"]
    assert verify(path)[0].state == "altered"


def test_a_value_or_the_metadata_of_a_table_changed_is_found(run, tmp_path) -> None:
    table = pq.read_table(run / "results.parquet")
    metadata = pq.read_metadata(run / "results.parquet").metadata
    texts = ["lies", *table["output"].to_pylist()[1:]]
    changed = table.set_column(2, table.schema.field(2), pa.array(texts))
    for rows, told in (
        (changed, metadata[b"foundation"]),
        (table, metadata[b"foundation"].replace(b'"seed": 0', b'"seed": 1')),
    ):
        pq.write_table(rows.replace_schema_metadata({"foundation": told}), tmp_path / "b.parquet")
        assert verify(tmp_path / "b.parquet")[0].state == "altered"
    shutil.copy(run / "results.parquet", tmp_path / "a.parquet")
    (finding,) = verify(tmp_path / "a.parquet")
    assert (finding.state, "double/" in finding.why, "seed 0" in finding.why) == (
        "unaltered", True, True,
    )  # fmt: skip


def test_a_copied_file_that_says_nothing_is_looked_up_in_a_record(run, tmp_path, capsys) -> None:
    shutil.copy(run / "config.json", tmp_path / "mine.json")
    code, line = say(capsys, f"task.input={tmp_path / 'mine.json'}")
    assert code == 2
    assert line.startswith("not known: ")
    known = (f"task.input={tmp_path / 'mine.json'}", f"task.record={run}")
    assert say(capsys, *known)[0] == 0
    (tmp_path / "mine.json").write_text("{}")
    assert say(capsys, *known)[0] == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "task=verify needs task.input="),
        (["task.inptu=x"], "did you mean 'task.input'?"),
        (["task.input=nowhere"], "task.input: there is no nowhere"),
        (["task.input=."], "is no run folder that finished"),
        (["task.input=a", "task.record=nowhere"], "task.record: there is no nowhere"),
    ],
)
def test_what_cannot_be_verified_is_refused(words, line, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("")
    code, told = say(capsys, *words)
    assert code == 2
    assert line in told
    assert "\n" not in told


def test_a_record_that_names_what_lies_outside_is_refused(run, tmp_path) -> None:
    from foundation.errors import InputError
    from foundation.trust.seal import BLANK, sealed

    for name in ("../secret", "/etc/passwd"):
        text = sealed(json.dumps({"sha256": {name: "0"}, "seal": BLANK}))
        (run / "record.json").write_text(text)
        with pytest.raises(InputError, match="outside the run folder"):
            verify(run)
