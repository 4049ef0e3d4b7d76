"""Tiny models of the architectures, with real tokenizers, made anew for the tests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DebertaV2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from foundation.adapter import Placement
from foundation.domains.language.adapter import CausalText
from foundation.domains.language.encoder import TextEncoder
from foundation.spec import ModelSpec

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|unused|>"]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WINDOW = 128


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes and a few special tokens, with ChatML as its template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIAL[0], eos_token=SPECIAL[0]
    )
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="session")
def causal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=WINDOW,
        bos_token_id=256, eos_token_id=256, pad_token_id=256,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("encoder")
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    tokenizer = Tokenizer(models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    modules = [{"type": f"sentence_transformers.models.{m}"} for m in ("Pooling", "Normalize")]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return folder


@pytest.fixture(scope="session")
def tiny_gliner(encoder_folder: Path) -> Callable[[Path], None]:
    """Writes a tiny extractor of gliner2; its encoder counts no positions, as DeBERTa's."""
    from gliner2 import ExtractorConfig
    from gliner2.inference.engine import SpanExtractor

    def write(folder: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
        torch.manual_seed(0)
        encoder = DebertaV2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=64, position_biased_input=False,
            relative_attention=True, position_buckets=16,
        )  # fmt: skip
        config = ExtractorConfig(model_name="tiny", max_width=4)
        model = SpanExtractor(config, encoder_config=encoder, tokenizer=tokenizer)
        model.save_pretrained(str(folder))

    return write


@pytest.fixture(scope="session")
def causal(causal_folder: Path) -> CausalText:
    return loaded(CausalText(), causal_folder)


@pytest.fixture(scope="session")
def encoder(encoder_folder: Path) -> TextEncoder:
    return loaded(TextEncoder(), encoder_folder)


def loaded(adapter: Any, folder: Path) -> Any:
    spec = ModelSpec("language/tiny", "language", "", f"path:{folder}")
    adapter.load(spec, folder, Placement("cpu", "float32"))
    return adapter
