"""A GGUF file becomes a folder of safetensors once; what is damaged is made again or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foundation.errors import SourceError
from foundation.hub.gguf import MANIFEST, dequantised

gguf = pytest.importorskip("gguf")

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|unused|>"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def path(tiny_gguf: Path) -> Path:
    return tiny_gguf


def loaded(folder: Path) -> tuple[Any, Any]:
    import torch

    from foundation.pretrained import read_model, read_tokenizer

    return read_model(folder, "AutoModelForCausalLM", torch.float32), read_tokenizer(folder)


def test_the_folder_holds_the_very_weights_and_the_tokenizer(path: Path) -> None:
    model, tokenizer = loaded(dequantised(path))
    tensor = next(t for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight")
    wanted = gguf.dequantize(tensor.data, tensor.tensor_type)
    assert np.array_equal(model.get_input_embeddings().weight.detach().numpy(), wanted)
    assert tokenizer.decode(tokenizer("caf\u00e9").input_ids) == "caf\u00e9"
    assert tokenizer.eos_token == "<|im_end|>"
    assert set(SPECIAL) <= {token.content for token in tokenizer.added_tokens_decoder.values()}


def test_a_second_call_makes_nothing(path: Path) -> None:
    folder = dequantised(path)
    before = {f.name: f.stat().st_mtime_ns for f in folder.iterdir()}
    assert dequantised(path) == folder
    assert {f.name: f.stat().st_mtime_ns for f in folder.iterdir()} == before
    assert MANIFEST in before


@pytest.mark.parametrize("damage", ["cut", "lost", "manifest"])
def test_a_damaged_folder_is_made_again(path: Path, damage: str) -> None:
    folder = dequantised(path)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    if damage == "cut":
        weights.write_bytes(whole[:-1])
    elif damage == "lost":
        weights.unlink()
    else:
        (folder / MANIFEST).write_text("{")
    assert dequantised(path) == folder
    assert weights.read_bytes() == whole
    assert not list(folder.parent.glob("*.part"))


@pytest.mark.parametrize("content", [b"GGUF", b"GGUF" + b"\0" * 100, b"no model"])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot be read as a GGUF model") as caught:
        dequantised(path)
    assert len(str(caught.value).splitlines()) == 1
    assert not list((tmp_path / "cache" / "gguf").glob("*/"))
