"""A card says where a model is from and what is known of it, and "unknown" where nothing is."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from foundation import registry
from foundation.cli import main
from foundation.errors import InputError
from foundation.trust import card_text
from foundation.trust.card import _value, of_model, of_source
from foundation.trust.licences import allows

WEIGHTS = save({"w": np.ones(8, np.float32)})
README = """---
license: mit
datasets: [glue, sst2]
base_model: someone/base
model-index:
- name: m
  results:
  - dataset: {name: SST-2}
    metrics: [{type: accuracy, value: 0.91}]
---
# A model
```
# Limitations of a comment
```
## Intended uses & limitations
Not for \x1b[31mmedicine\x1b[0m | never.
### And more
It is small.
## Training data
Two sets.
"""


def folder(tmp_path: Path, readme: str | None = README) -> Path:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "config.json").write_text('{"architectures": ["BertModel"]}')
    if readme is not None:
        (tmp_path / "README.md").write_text(readme)
    return tmp_path


def test_a_folder_is_told_by_its_own_card(tmp_path: Path) -> None:
    text = of_source(str(folder(tmp_path)), None).markdown()
    assert f"`model.safetensors` `{hashlib.sha256(WEIGHTS).hexdigest()}`" in text
    assert "| licence | mit |" in text
    assert "keep the copyright notice" in text
    assert "Data sets named by its card: glue, sst2." in text
    assert "> Two sets." in text
    assert "| SST-2 | accuracy | 0.91 |" in text
    assert "| parameters | 8 |" in text
    assert "> It is small." in text, "a heading within a section belongs to it"
    assert "Limitations of a comment" not in text, "a comment of code is no heading"
    assert "\x1b" not in text


def test_what_is_not_known_is_unknown(tmp_path: Path) -> None:
    card = of_source(str(folder(tmp_path, readme=None)), None)
    assert card.licence == card.allows == card.data == card.figures == card.limits == "unknown"


def test_weights_in_another_models_place_do_not_take_its_licence(tmp_path: Path) -> None:
    spec = registry.spec("language/minilm", path=str(folder(tmp_path, readme=None)))
    card = of_model(spec)
    assert (card.licence, card.data) == ("unknown", "unknown")
    assert of_model(registry.spec("molecule/starter")).licence == "Apache-2.0"


def test_the_embedded_model_names_data_figures_with_their_command_and_limits() -> None:
    text = of_model(registry.spec("molecule/starter")).markdown()
    assert "foundation task=evaluate suite=moses" in text
    assert "MOSES training set" in text
    assert "without\nstereo" in text or "without stereo" in text


def test_the_command_writes_it_and_takes_figures_of_evaluations(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model=toy/words", "task=evaluate", "suite=letters", "hydra.run.dir=measured"]
    assert main(words) == 0
    assert main(["model=toy/words", "task=card", "task.records=measured", "hydra.run.dir=c"]) == 0
    out = capsys.readouterr().out
    assert "`foundation model=toy/words task=evaluate suite=letters" in out
    assert "| MIT |" in out
    assert (toy / "c" / "CARD.md").read_text() in out + "\n"
    assert _value({"mean": 0.5, "interval": (0.25, 0.75)}) == "0.5 (0.25 to 0.75)"
    assert _value({"mean": 0.5, "low": 0.25, "high": 0.75}) == "0.5 (0.25 to 0.75)"
    assert (_value({"mean": 2}), _value(0.125), _value(["x"])) == ("2", "0.125", None)
    other = json.loads((toy / "measured" / "record.json").read_text())
    other["revision"] = "0" * 16
    (toy / "measured" / "record.json").write_text(json.dumps(other))
    assert main(["model=toy/words", "task=card", "task.records=measured"]) == 2
    assert "measured revision 0000000000000000" in capsys.readouterr().err
    assert main(["model=toy/words", "task=card", "task.records=nowhere"]) == 2


def test_a_model_of_the_hub_is_told_without_its_weights(tmp_path: Path) -> None:
    server = _hub_server()
    with server.serving() as hub:
        files = {"README.md": README.encode(), "config.json": b"{}", "model.safetensors": WEIGHTS}
        hub.repos["org/name"] = server.Repo(files)
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "FOUNDATION_CACHE": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "foundation", "task=card", "task.source=hub:org/name"],
            env={**os.environ, **home}, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert hashlib.sha256(WEIGHTS).hexdigest() in done.stdout
        assert f"| revision | {'1' * 40} |" in done.stdout
        assert "| licence | mit |" in done.stdout
        assert not list(tmp_path.rglob("model.safetensors"))


def test_licences_of_our_own_models_are_known() -> None:
    stated = {registry.spec(name).licence for name in registry.models()} - {"none stated"}
    assert [licence for licence in stated if allows(licence) == "unknown"] == []
    assert allows("my own licence") == "unknown"


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_card(text: str) -> None:
    found = card_text.parse(f"---\n{text}\n---\n# limits\n{text}")
    list(found.results())
    assert "\x1b" not in str(found.told(card_text.LIMITS))


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="nowhere"):
        of_source("nowhere", None)


def _hub_server() -> object:
    path = Path(__file__).parents[1] / "hub_server.py"
    spec = importlib.util.spec_from_file_location("hub_server", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["hub_server"] = module
    spec.loader.exec_module(module)
    return module
