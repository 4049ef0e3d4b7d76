"""The starter's adapter: loading, embedding, scoring, refusing."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foundation.adapter import Adapter, Output, Placement, Steps
from foundation.domains.molecule.adapter import SmilesGru
from foundation.domains.molecule.inputs import Generate, Molecule
from foundation.errors import SourceError
from foundation.spec import ModelSpec

Read = Callable[..., list[Output]]
SMILES = ["CCO", "c1ccccc1C(=O)O", "CCCCCCCCCCN", "O=C1CCCN1"]
SPEC = ModelSpec("molecule/tiny", "molecule", "", "path:x", parameters=1000)


def test_embeddings_do_not_depend_on_the_batch(starter: Any, read: Read) -> None:
    together = read(starter, "embed", SMILES)
    for text, output in zip(SMILES, together, strict=True):
        (alone,) = read(starter, "embed", [text])
        vector = output.extra["embedding"]
        assert vector.shape == (starter.width,)
        assert vector.dtype == np.float32
        assert vector == pytest.approx(alone.extra["embedding"], abs=1e-5)
        assert output.extra["canonical"] == alone.extra["canonical"]


def test_the_score_is_the_sum_over_tokens(starter: Any, read: Read) -> None:
    together = read(starter, "score", SMILES)
    for text, output in zip(SMILES, together, strict=True):
        tokens = torch.tensor([starter.script.write(output.value)])
        with torch.inference_mode():
            logits = starter.network.logits(starter.network(tokens[:, :-1]))
        logs = torch.log_softmax(logits, -1)[0]
        expected = sum(float(logs[i, t]) for i, t in enumerate(tokens[0, 1:]))
        assert output.extra["log_likelihood"] == pytest.approx(expected, abs=1e-4)
        assert output.extra["tokens"] == tokens.shape[1] - 1
        assert text


def test_other_spellings_of_a_molecule_are_the_same(starter: Any, read: Read) -> None:
    first, second = read(starter, "score", ["OCC", "C(O)C"])
    assert first.extra == second.extra
    assert first.value == "CCO"


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C1CC", "unclosed ring"),
        ("c1cccc1", "kekulize"),
        ("C(C)(C)(C)(C)C", "valence"),
        ("[As]", r"cannot write \[As\]"),
        ("CC[Au]Cl", r"cannot write \[Au\]"),
    ],
)
def test_an_unusable_molecule_is_refused_beside_good_ones(
    starter: Any, read: Read, smiles: str, reason: str
) -> None:
    good, bad, last = read(starter, "score", ["CCO", smiles, "CCN"])
    assert bad.refused
    assert re.search(reason, str(bad.reason))
    assert bad.value == smiles
    assert not good.refused
    assert "log_likelihood" in good.extra
    assert "log_likelihood" in last.extra


def test_a_batch_of_nothing_but_refused_molecules(starter: Any, read: Read) -> None:
    assert [o.refused for o in read(starter, "embed", ["C1", "xx"])] == [True, True]


def test_it_is_an_adapter_with_steps(starter: Any) -> None:
    adapter: Adapter = starter
    assert isinstance(starter, Steps)
    assert adapter.key("generate", Generate()) == adapter.key("generate", Generate(top_p=0.5))
    assert starter.slots("embed", (), 4) is None
    assert adapter.cost(SPEC).weights == 4000
    long, short = (adapter.cost(SPEC, Molecule(text)).size for text in ("CCCCCCCC", "C"))
    assert long > short


def test_closing_gives_the_network_back(starter_folder: Path) -> None:
    adapter = SmilesGru()
    adapter.load(SPEC, starter_folder, Placement())
    adapter.close()
    assert not hasattr(adapter, "network")


def test_bfloat16_writes_molecules(starter_folder: Path, generated: Any) -> None:
    adapter = SmilesGru()
    adapter.load(SPEC, starter_folder, Placement(dtype="bfloat16"))
    outputs = generated(adapter, {n: Generate() for n in range(4)})
    assert all(isinstance(output.value, str) for output in outputs.values())


@pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused(
    starter_folder: Path, tmp_path: Path, lost: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(starter_folder, folder)
    (folder / lost).unlink()
    with pytest.raises(SourceError, match="holds no SMILES model") as raised:
        SmilesGru().load(SPEC, folder, Placement())
    assert "\n" not in str(raised.value)


def test_weights_of_another_shape_are_refused(starter_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(starter_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"width": 24}))
    with pytest.raises(SourceError, match="holds no SMILES model"):
        SmilesGru().load(SPEC, folder, Placement())
