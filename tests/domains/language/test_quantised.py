"""Models whose weights are quantised to 8 or 4 bits while they are loaded."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from foundation import registry
from foundation.adapter import Placement
from foundation.domains.language.adapter import CausalText
from foundation.errors import InputError, MissingExtra, SourceError
from foundation.model import Model

CPU = Placement("cpu", "float32")
PROMPTS = ["ab", "a longer prompt than the others", "z", "the last one"]
LINEAR = {8: "Linear8bitLt", 4: "Linear4bit"}


@pytest.fixture(scope="module")
def wide_folder(causal_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers are whole blocks of 64 weights, as those of real ones are."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(causal_folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=128,
        bos_token_id=256, eos_token_id=256, pad_token_id=256,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("wide")
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def model(folder: Path, bits: int | None) -> Model:
    return Model(registry.spec("language/smollm2-135m", path=str(folder), bits=bits), CPU)


def rows(made: Model, batch: int) -> list[dict[str, Any]]:
    given = {"prompts": PROMPTS, "max_tokens": 12, "chat": False, "batch": batch}
    return made.results("generate", given).table().to_pylist()


@pytest.mark.parametrize("bits", LINEAR)
def test_a_quantised_row_is_what_it_is_alone(wide_folder: Path, bits: int) -> None:
    pytest.importorskip("bitsandbytes")
    made = model(wide_folder, bits)
    assert isinstance(made.adapter, CausalText)
    layers = made.adapter.model.model.layers
    assert type(layers[0].mlp.up_proj).__name__ == LINEAR[bits]
    alone, together = rows(made, 1), rows(made, 4)
    assert [row["output"] for row in alone] == [row["output"] for row in together]
    assert all(row["valid"] for row in alone)


@pytest.mark.parametrize(("bits", "off"), [(8, 0.05), (4, 0.5)])
def test_quantised_weights_score_nearly_as_the_whole_ones(
    wide_folder: Path, bits: int, off: float
) -> None:
    pytest.importorskip("bitsandbytes")
    found = []
    for each in (None, bits):
        table = model(wide_folder, each).results("score", {"texts": PROMPTS}).table()
        row = table.slice(1, 1).to_pylist()[0]
        found.append(row["log_likelihood"] / row["tokens"])
    assert 0 < abs(found[0] - found[1]) < off


def test_a_checkpoint_that_is_quantised_already_loads_as_it_is(
    wide_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(load_in_8bit=True)
    saved = AutoModelForCausalLM.from_pretrained(
        wide_folder, quantization_config=config, device_map={"": "cpu"}
    )
    saved.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(wide_folder).save_pretrained(tmp_path)
    made = model(tmp_path, None)
    assert isinstance(made.adapter, CausalText)
    assert type(made.adapter.model.model.layers[0].mlp.up_proj).__name__ == LINEAR[8]
    assert all(row["valid"] for row in rows(made, 2))
    with pytest.raises(SourceError, match=r"quantised already: leave out model\.bits"):
        _ = model(tmp_path, 4).adapter


def test_what_cannot_be_quantised_says_so_before_loading(
    wide_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"model\.bits must be 4 or 8, got 3"):
        registry.spec("language/smollm2-135m", bits=3)
    with pytest.raises(InputError, match="language/minilm cannot be quantised"):
        registry.spec("language/minilm", bits=8)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else found(name)
    )
    with pytest.raises(MissingExtra, match=r"pip install 'foundation-toolkit\[quantised\]'"):
        _ = model(wide_folder, 8).adapter


def test_a_run_goes_on_only_in_the_bits_it_began_with(wide_folder: Path) -> None:
    identity = model(wide_folder, 8).results("score", {"texts": ["a"]}).run.config
    assert identity["bits"] == 8
