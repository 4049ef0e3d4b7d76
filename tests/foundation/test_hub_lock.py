"""A project's lock: what it pins is refused when it is changed, and nothing else is."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from foundation import hub
from foundation.cli import main
from foundation.errors import Altered, InputError
from foundation.hub.lock import NAME


@pytest.fixture
def project(toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("mine", "other"):
        (toy / name).mkdir()
        save_file({"w": np.ones(3)}, toy / name / "model.safetensors")
        (toy / name / "config.json").write_text("{}")
    return toy


def run(*words: str) -> int:
    return main(["model=toy/words", *words])


def test_a_changed_model_is_refused_in_one_line(project, capsys) -> None:
    words = ("model.path=mine", "task.count=2")
    assert run("task=lock", "model.path=mine") == 0
    assert "1 source pinned in foundation.lock: path:mine" in capsys.readouterr().out
    assert run(*words) == 0
    save_file({"w": np.zeros(3)}, project / "mine" / "model.safetensors")
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("path:mine is not what foundation.lock pins: model.safetensors is ")
    assert line.endswith("pin it again with task=lock")
    assert run("model.path=other", "task.count=2") == 0, "what is not pinned is let through"
    assert run("task=lock", "model.path=other") == 0
    assert run(*words) == 2, "another source pinned leaves this one as it was"
    assert run("task=lock", "model.path=mine") == 0
    assert run(*words) == 0


def test_a_file_that_was_not_there_is_refused(project) -> None:
    assert run("task=lock", "model.path=mine") == 0
    (project / "mine" / "more.json").write_text("{}")
    with pytest.raises(Altered, match=r"more\.json is not there"):
        hub.resolve("path:mine")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sources": {"a": 1}}', '{"sources": []}'])
def test_what_is_no_lock_is_refused(project, text) -> None:
    (project / NAME).write_text(text)
    with pytest.raises(InputError, match="make it with task=lock"):
        hub.resolve("path:mine")
    assert run("task=lock", "model.path=mine") == 2
    assert (project / NAME).read_text() == text


def test_the_lock_reads_as_json_and_names_revision_and_files(project) -> None:
    assert run("task=lock", "model.path=mine") == 0
    told = json.loads((project / NAME).read_text())
    assert told["version"] == 1
    assert set(told["sources"]["path:mine"]["files"]) == {"config.json", "model.safetensors"}
