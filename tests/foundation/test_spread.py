"""Weights that wait on the disk give the vectors of weights in memory."""

from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.adapter import Placement
from foundation.placement.spread import loading, placed
from foundation.pretrained import read_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=2000, hidden_size=64, num_hidden_layers=4, num_attention_heads=4,
        intermediate_size=128, max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(tmp_path)
    return tmp_path


def states(folder: Path, placement: Placement) -> tuple[np.ndarray, set[str]]:
    model = read_model(folder, "AutoModel", torch.float32, placement=placement)
    with torch.inference_mode():
        tokens = torch.arange(10, device=model.device)[None]
        found = model(input_ids=tokens).last_hidden_state.numpy()
    return found, {str(place) for place in getattr(model, "hf_device_map", {}).values()}


def test_weights_on_the_disk_give_the_same_states(folder) -> None:
    plain, where = states(folder, Placement("cpu", "float32"))
    assert where == set()
    away, where = states(folder, Placement("cpu", "float32", offload="disk", memory=300_000))
    assert "disk" in where
    np.testing.assert_array_equal(plain, away)


def test_one_device_needs_nothing_special() -> None:
    assert loading(Placement("cpu", "float32")) == {}
    assert loading(Placement("cuda:0", "float32", offload="never")) == {}
    module = torch.nn.Linear(2, 2)
    assert placed(module, Placement("cpu")) is module
