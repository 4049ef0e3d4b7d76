"""A toy domain, installed as somebody else's package would be, and the command as users run it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from foundation import registry

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
WIDTH, HEADS, HIDDEN, VOCABULARY = 32, 4, 64, 261
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|unused|>"]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The toy domain is installed, and an empty working directory."""
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.chdir(tmp_path)
    # The processes that check results look for the toy domain, too.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(TOY)]))
    registry.domains.cache_clear()
    yield tmp_path
    registry.domains.cache_clear()


@pytest.fixture
def start(toy: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start `foundation <words>` as a process of its own."""

    def begin(*words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "foundation", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return begin


@pytest.fixture
def tiny_gguf(tmp_path: Path) -> Path:
    """A llama of one layer, its matrices in blocks of 4 bits, with bytes as tokens."""
    from tokenizers import pre_tokenizers

    gguf = pytest.importorskip("gguf")
    path = tmp_path / "tiny.gguf"

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*sorted(pre_tokenizers.ByteLevel.alphabet()), *SPECIAL, "ab"])
    writer.add_token_types([1] * 256 + [3] * 4 + [1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(258)
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH),
              "attn_output": (WIDTH, WIDTH), "ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH),
              "ffn_down": (WIDTH, HIDDEN)}  # fmt: skip
    rng = np.random.default_rng(0)
    kind = gguf.GGMLQuantizationType.Q4_1
    tensors = {f"blk.0.{name}.weight": shape for name, shape in shapes.items()}
    for name, shape in {"token_embd.weight": (VOCABULARY, WIDTH), **tensors}.items():
        blocks = gguf.quantize(rng.normal(size=shape).astype(np.float32), kind)
        writer.add_tensor(name, blocks, raw_dtype=kind)
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"):
        writer.add_tensor(name, np.ones(WIDTH, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
