"""The code models keep the contract, in each of their tasks."""

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from foundation.spec import ModelSpec
from foundation.testing.contract import AdapterContract

SPECIAL = ["<end>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"]
HOLES = ["x = <FILL_ME>\n", "def f(a):\n<FILL_ME>    return a\n", "if y:\n    <FILL_ME>",
         "<FILL_ME>\nz = 1\n", "class A:<FILL_ME>\n    b = 1\n"]  # fmt: skip
CODE = ["x = 1\n", "def f(a):\n    return a\n", "if y:\n    z = (", "zzz", "class A:\n    b = 1\n"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("code")
    vocabulary = {c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256 + len(SPECIAL), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=96,
        eos_token_id=256, bos_token_id=256, pad_token_id=256,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return ModelSpec(
        name="code/tiny",
        domain="code",
        adapter="foundation.domains.code.adapter:CausalCode",
        source=f"path:{folder}",
        tasks=("complete", "infill", "score"),
        parameters=model.num_parameters(),
    )


class _Code(AdapterContract):
    @pytest.fixture
    def spec(self, tiny: ModelSpec) -> ModelSpec:
        return tiny


class TestComplete(_Code):
    task = "complete"
    given = {"prompts": CODE, "temperature": 1.0, "max_tokens": 30, "stop": [*"aeiou"]}
    wrong = ({"count": 0}, {"temperature": -1}, {"until": "x"}, {"samples": 0}, {"promt": "x"})
    unreadable = " "
    drawn = True


class TestRanked(_Code):
    task = "complete"
    given = {"prompts": CODE[:2], "samples": 4, "max_tokens": 12, "count": 2, "stop": [*"aeiou"]}
    wrong = ({"sandbox": "vm"}, {"context": ["/no/such.py"]}, {"max_tokens": 0})
    unreadable = " "
    drawn = True


class TestInfill(_Code):
    task = "infill"
    given = {"prompts": HOLES, "temperature": 1.0, "max_tokens": 30, "stop": [*"aeiou"]}
    wrong = ({"hole": ""}, {"trim": 1}, {"top_p": 3})
    unreadable = "x = 1"
    drawn = True


class TestScore(_Code):
    task = "score"
    given = {"texts": CODE}
    wrong = ({"texts": []}, {"temperature": 1})
    unreadable = "x" * 200
