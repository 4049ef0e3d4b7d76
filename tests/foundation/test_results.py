"""Results while they run, after a failure, and when they are done."""

import gc
from pathlib import Path

import pytest

from foundation.errors import InputError, Interrupted


def test_results_come_while_it_runs_and_can_be_read_again(double) -> None:
    results = double().generate(count="inf", batch=4)
    seen = []
    for result in results:
        seen.append(result)
        if len(seen) == 100:
            break
    assert "unknown number" in repr(results)
    assert len({result.id for result in seen}) == 100
    finite = double().generate(count=10)
    once = {result.id: result.output for result in finite}
    assert {result.id: result.output for result in finite} == once
    assert len(finite) == 10


def test_a_list_of_results_runs_them_once(double) -> None:
    results = double().generate(count=10)
    assert len(results) == 10
    assert not (results.run.folder / "record.json").exists()
    assert [result.id for result in list(results)] == list(range(10))
    with pytest.raises(TypeError, match="not known"):
        len(double().generate(count="inf"))


def test_a_loop_that_was_left_is_gone_on_with(double) -> None:
    results = double("Stepped").generate(count=300, batch=4)
    for result in results:
        if result.id > 20:
            break
    assert results.finish().made == 300
    assert results.table()["id"].to_pylist() == list(range(300))


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_failed_or_was_interrupted_is_not_taken_for_finished(double, error) -> None:
    model = double()
    results = model.generate(count=300, batch=4)
    calls = iter(range(100))

    def work(rows: int, began: float) -> None:
        if next(calls, 0) == 40:
            raise error

    model.adapter.work = work
    with pytest.raises(error):
        results.finish()
    assert not (results.run.folder / "record.json").exists()
    assert results.table()["id"].to_pylist() == list(range(300))


def test_a_signal_says_how_much_is_written_and_how_to_go_on(double, tmp_path: Path) -> None:
    numbers = iter([None] * 5 + [15] * 100)
    results = double().results(
        "generate", {"count": 300, "batch": 4}, folder=tmp_path, stop=lambda: next(numbers)
    )
    with pytest.raises(
        Interrupted, match=rf"stopped: \d+ of 300 written; .*resume={tmp_path}"
    ) as e:
        results.finish()
    assert e.value.exit_code == 143
    results.run.close()
    assert double().generate(count=300, batch=4, folder=tmp_path).finish().made == 300


def test_a_temporary_run_is_saved_or_goes_with_its_results(double, tmp_path: Path) -> None:
    results = double().generate(count=3)
    folder = results.run.folder
    saved = results.save(tmp_path / "kept")
    assert (saved / "results.parquet").exists()
    with pytest.raises(InputError, match="is not empty"):
        results.save(tmp_path / "kept")
    assert folder.exists()
    del results
    gc.collect()
    assert not folder.exists()
