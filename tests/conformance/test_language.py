"""The language models keep the contract, in each of their tasks."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from foundation.spec import ModelSpec
from foundation.testing.contract import AdapterContract

TEXTS = ["a cat", "the dog and the cat went home", "zzz", "rain", "so it goes, and goes on"]
HERE = "foundation.domains.language"


@pytest.fixture(scope="session")
def causal(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("causal")
    vocabulary = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96,
        eos_token_id=256, bos_token_id=256, pad_token_id=256,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return ModelSpec(
        name="language/tiny",
        domain="language",
        adapter=f"{HERE}.adapter:CausalText",
        source=f"path:{folder}",
        tasks=("generate", "score", "classify", "tag"),
        parameters=model.num_parameters(),
    )


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("encoder")
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters)]
    tokenizer = Tokenizer(models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False)
    model.save_pretrained(folder)
    return ModelSpec(
        name="language/tiny",
        domain="language",
        adapter=f"{HERE}.encoder:TextEncoder",
        source=f"path:{folder}",
        tasks=("embed", "classify", "tag"),
        parameters=model.num_parameters(),
    )


class _Causal(AdapterContract):
    @pytest.fixture
    def spec(self, causal: ModelSpec) -> ModelSpec:
        return causal


class _Encoder(AdapterContract):
    @pytest.fixture
    def spec(self, encoder: ModelSpec) -> ModelSpec:
        return encoder


class TestGenerate(_Causal):
    task = "generate"
    given = {"prompts": TEXTS, "temperature": 1.0, "max_tokens": 40, "stop": [*"aeiou"]}
    wrong = ({"count": 0}, {"temperature": -1}, {"stop": [""]}, {"max_tokens": 0}, {"promt": "x"})
    unreadable = " "
    drawn = True


class TestScore(_Causal):
    task = "score"
    given = {"texts": TEXTS}
    wrong = ({"texts": []}, {"temperature": 1})
    unreadable = "x" * 200


class TestPromptedClassify(_Causal):
    task = "classify"
    given = {"texts": TEXTS, "labels": ["animal", "weather"], "templates": ["{text}: {label}"]}
    wrong = ({"labels": ["one"]}, {"threshold": 2}, {"method": "magic"}, {"examples": "/no.csv"})
    unreadable = "x" * 200


class TestEmbed(_Encoder):
    task = "embed"
    given = {"texts": TEXTS}
    wrong = ({"texts": []}, {"temperature": 1})
    unreadable = " "


class TestHeadedClassify(_Encoder):
    task = "classify"
    wrong = ({"threshold": 2}, {"labels": ["cat", "cow"]}, {"examples": "/no/such.csv"})
    unreadable = " "

    @pytest.fixture(autouse=True)
    def few(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path_factory.mktemp("few") / "few.csv"
        path.write_text("text,label\na cat,pet\nthe dog,pet\nrain,sky\nsnow and rain,sky\n")
        monkeypatch.setattr(type(self), "given", {"texts": TEXTS, "examples": str(path)}, False)


SPANS = (
    '{"text": "a cat", "spans": [[2, 5, "pet"]]}\n'
    '{"text": "the dog sat", "spans": [[4, 7, "pet"]]}\n'
    '{"text": "rain", "spans": []}\n'
)


class _Tag:
    task = "tag"
    wrong = ({"threshold": 2}, {"labels": ["cow"]}, {"examples": "/no/such.jsonl"}, {"shots": 0})

    @pytest.fixture(autouse=True)
    def few(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path_factory.mktemp("few") / "few.jsonl"
        path.write_text(SPANS)
        given = {"texts": TEXTS, "examples": str(path), "shots": 1}
        monkeypatch.setattr(type(self), "given", given, False)


class TestHeadedTag(_Tag, _Encoder):
    unreadable = " "


class TestPromptedTag(_Tag, _Causal):
    unreadable = "x" * 200
