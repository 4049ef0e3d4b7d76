"""What a run says about itself."""

import json
import os
from pathlib import Path

from foundation import record


def test_a_record_names_all_that_made_the_results(double, tmp_path: Path) -> None:
    model = double()
    model.generate(count=7, seed=4, letters=3, folder=tmp_path).finish()
    told = json.loads((tmp_path / "record.json").read_text())
    assert told["identity"] == json.loads((tmp_path / "config.json").read_text())
    assert told["identity"]["seed"] == 4
    assert told["identity"]["settings"] == {"count": 7, "letters": 3}
    assert told["identity"]["weights"] == model.weights.digest
    assert told["digests"] == dict(model.weights.files)
    assert told["counts"]["rows"] == 7
    assert told["usage"] == {"letters": 21.0}
    assert told["files"] == ["results.parquet"]
    assert told["versions"]["numpy"]
    assert told["seconds"]["run"] > 0


def test_the_machine_is_described() -> None:
    machine = record.machine()
    assert machine["cores"] == len(os.sched_getaffinity(0))
    assert machine["memory"] > 1 << 28
    assert record.peak_memory()["process"] > 1 << 20
