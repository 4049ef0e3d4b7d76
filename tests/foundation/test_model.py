"""What can be asked of a model, and what a resumed run keeps."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.adapter import Placement
from foundation.errors import InputError, RunFolderError, UnknownName
from foundation.model import Model
from foundation.testing.double import Request, word


def test_a_task_is_a_method(double) -> None:
    model = double()
    table = model.generate(count=5, seed=2, starts=["x"], letters=3).table()
    expected = [word(2, i, Request("x", 3)) for i in range(5)]
    assert table["output"].to_pylist() == expected
    assert "generate" in dir(model)
    assert repr(model) == "<Model double/whole on cpu: generate, echo>"
    with pytest.raises(AttributeError, match="has no task 'generat'"):
        _ = model.generat


def test_another_batch_or_kind_of_model_gives_the_same_words(double) -> None:
    words = [
        double(model).generate(count=50, seed=1, batch=batch).table()["output"].to_pylist()
        for model, batch in [("Whole", 7), ("Stepped", 7), ("Whole", 50), ("Stepped", 1)]
    ]
    assert words[1:] == words[:-1]


def test_the_checks_and_unique_are_columns(double) -> None:
    frame = double().generate(count=200, letters=1, columns=["letters", "unique"]).to_pandas()
    assert list(frame.columns[8:]) == ["letters", "tail", "unique"]
    valid = frame[frame.valid]
    assert set(frame[~frame.valid].reason) == {"ends with a"}
    assert (~valid.duplicated("tail") == valid.unique).all()
    only = double().generate(count=3, columns=["steps"]).table()
    assert only.column_names[8:] == ["steps"]


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "a", True])
def test_a_seed_is_a_whole_number_of_64_bits(double, seed) -> None:
    with pytest.raises(InputError, match="seed must be a whole number"):
        double().generate(seed=seed)


def test_the_largest_seed_can_be_used(double) -> None:
    table = double().generate(count=2, seed=2**64 - 1).table()
    assert table["seed"].to_pylist() == [2**64 - 1] * 2


def test_a_task_that_the_model_lacks_is_refused(double) -> None:
    with pytest.raises(UnknownName, match="did you mean 'echo'"):
        double().results("ecko", {})


def test_out_of_memory_is_in_the_record_of_its_run_alone(double, tmp_path: Path) -> None:
    model = double("Stepped", fits=3)
    model.generate(count=10, batch=8, folder=tmp_path / "a").finish()
    model.generate(count=10, batch=2, folder=tmp_path / "b").finish()
    events = [json.loads((tmp_path / n / "record.json").read_text())["events"] for n in "ab"]
    assert events == [[f"out of memory: batch halved to {n}" for n in (4, 2)], []]


def test_a_measured_dtype_is_kept_by_the_runs_that_go_on(double, tmp_path: Path) -> None:
    spec = double().spec
    begun = Model(spec, Placement("cpu", "bfloat16"))
    begun.results("generate", {"count": 4}, folder=tmp_path).run.close()
    measured = Model(spec, Placement("cpu", "auto"))
    measured._dtype = "float32"
    results = measured.results("generate", {"count": 4}, folder=tmp_path)
    results.finish()
    assert measured.dtype == "bfloat16"
    assert json.loads((tmp_path / "record.json").read_text())["placement"]["dtype"] == "bfloat16"


def test_a_dtype_that_was_asked_for_is_not_changed_by_a_resume(double, tmp_path: Path) -> None:
    spec = double().spec
    Model(spec, Placement("cpu", "bfloat16")).results("echo", {}, folder=tmp_path).run.close()
    with pytest.raises(RunFolderError, match="dtype: bfloat16 there, float32 here"):
        Model(spec, Placement("cpu", "float32")).results("echo", {}, folder=tmp_path)


def test_other_weights_are_refused_on_resume(double, tmp_path: Path) -> None:
    from foundation.testing import double as doubles

    one, other = (doubles.spec(tmp_path / name, bytes=n) for name, n in [("a", 8), ("b", 9)])
    Model(one, Placement()).results("echo", {}, folder=tmp_path / "run").run.close()
    other = replace(other, source=one.source, options=one.options)
    (tmp_path / "b" / "model.safetensors").replace(tmp_path / "a" / "model.safetensors")
    with pytest.raises(RunFolderError, match="weights: "):
        Model(other, Placement()).results("echo", {}, folder=tmp_path / "run")


def test_a_finished_folder_is_read_and_not_run_again(double, tmp_path: Path) -> None:
    before = double().generate(count=6, folder=tmp_path).table()
    model = double()
    again = model.generate(count=6, folder=tmp_path)
    assert again.table().equals(before)
    assert [result.id for result in again] == list(range(6))
    assert model._adapter is None


def test_what_cannot_be_streamed_says_so(double) -> None:
    with pytest.raises(InputError, match="cannot stream: use its task generate"):
        double().stream(count=1)
    with pytest.raises(InputError, match="stream takes one request"):
        double().stream(count=2)


def test_a_pipe_is_read_once(double, tmp_path: Path) -> None:
    pipe = tmp_path / "starts"
    os.mkfifo(pipe)
    words = [f"w{n}-" for n in range(40)]
    writer = threading.Thread(target=lambda: pipe.write_text("\n".join(words) + "\n"))
    writer.start()
    rows = double().echo(input=str(pipe)).table().to_pylist()
    writer.join()
    assert [row["input"] for row in rows] == words
