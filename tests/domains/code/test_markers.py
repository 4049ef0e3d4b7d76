"""Each family's markers and their order are found in the vocabulary; the config overrules them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.domains.code import DOMAIN
from foundation.domains.code.adapter import CausalCode
from foundation.domains.code.markers import FAMILIES
from foundation.errors import InputError, RequestError
from foundation.model import Model
from foundation.requests import settings
from foundation.spec import ModelSpec
from foundation.stream import Stream

STARCODER = ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
QWEN = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>")
PREFIX, SUFFIX = "def f(x):\n", "    return y\n"
PSM = f"{{}}{PREFIX}{{}}{SUFFIX}{{}}"
CASES = {
    # What a vocabulary of the family holds, and how a hole is then shown to the model.
    "StarCoder": (
        (*STARCODER, "<filename>", "<reponame>"),
        PSM.format("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ),
    "StarCoder2": (
        (*STARCODER, "<file_sep>", "<repo_name>"),
        PSM.format("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ),
    "StableCode": (STARCODER, PSM.format("<fim_prefix>", "<fim_suffix>", "<fim_middle>")),
    "Granite": (
        (*STARCODER, "<filename>", "<gh_stars>"),
        PSM.format("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ),
    "SantaCoder": (
        ("<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>"),
        PSM.format("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ),
    "Qwen2.5-Coder": (
        (*QWEN, "<|repo_name|>", "<|file_sep|>"),
        PSM.format("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ),
    "CodeGemma": (
        (*QWEN[:3], "<|file_separator|>"),
        PSM.format("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ),
    "DeepSeek-Coder": (
        (
            "<\uff5cfim\u2581hole\uff5c>",
            "<\uff5cfim\u2581begin\uff5c>",
            "<\uff5cfim\u2581end\uff5c>",
        ),
        PSM.format(
            "<\uff5cfim\u2581begin\uff5c>",
            "<\uff5cfim\u2581hole\uff5c>",
            "<\uff5cfim\u2581end\uff5c>",
        ),
    ),
    "CodeLlama": (
        ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>"),
        PSM.format("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"),
    ),
    "Codestral": (
        ("[INST]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]"),
        f"[SUFFIX]{SUFFIX}[PREFIX]{PREFIX}",
    ),
    "Mellum": (
        (*STARCODER, "<filename>", "<reponame>", "<system>", "<user>", "<assistant>"),
        f"<fim_suffix>{SUFFIX}<fim_prefix>{PREFIX}<fim_middle>",
    ),
    "Seed-Coder": (
        ("<[fim-prefix]>", "<[fim-middle]>", "<[fim-suffix]>"),
        f"<[fim-suffix]>{SUFFIX}<[fim-prefix]>{PREFIX}<[fim-middle]>",
    ),
    "GLM": (
        ("<|user|>", "<|assistant|>", "<|code_prefix|>", "<|code_middle|>", "<|code_suffix|>"),
        f"<|user|>\n<|code_suffix|>{SUFFIX}<|code_prefix|>{PREFIX}<|code_middle|><|assistant|>\n",
    ),
}  # fmt: skip
Make = Callable[..., Path]
Load = Callable[..., CausalCode]


@pytest.mark.parametrize("name", CASES)
def test_a_family_is_known_by_its_vocabulary(name: str, tiny_code: Make, load_code: Load) -> None:
    special, shown = CASES[name]
    model = load_code(tiny_code(*special))
    tokens = model.infilling.prompt(PREFIX, SUFFIX)
    assert model.script._tokenizer.decode(tokens, skip_special_tokens=False) == shown
    known = model.script.vocabulary
    assert {known[token] for token in special} <= model.infilling.ends
    items = settings(DOMAIN, "infill", {"prompts": [f"{PREFIX}<FILL_ME>{SUFFIX}"], "max_tokens": 4})
    ((_, output),) = Stream(model, "infill", 1, 0).outputs(items.requests())
    assert not output.refused
    assert not any(token in output.value for token in special)


def test_every_family_of_the_table_is_tried() -> None:
    shared = {"StarCoder, StableCode, Granite": "StarCoder"}
    assert {shared.get(family.name, family.name) for family in FAMILIES} <= set(CASES)


def test_a_template_of_the_config_takes_the_place_of_what_was_found(
    tiny_code: Make, load_code: Load
) -> None:
    folder = tiny_code(*STARCODER, "<hole>")
    model = load_code(folder, infill=["{prefix}", "<hole>", "{suffix}", "<fim_middle>"])
    tokens = model.infilling.prompt("a", "b")
    assert model.script._tokenizer.decode(tokens) == "a<hole>b<fim_middle>"
    assert model.script.vocabulary["<hole>"] in model.infilling.ends
    with pytest.raises(RequestError, match="'<gap>' is no token of this model"):
        load_code(folder, infill=["{prefix}", "<gap>", "{suffix}"])
    with pytest.raises(RequestError, match="infill must hold"):
        load_code(folder, infill=["{prefix}", "<hole>"])


def test_a_model_without_markers_says_that_it_cannot_infill(tiny_code: Make) -> None:
    spec = ModelSpec(
        name="code/plain",
        domain="code",
        adapter="foundation.domains.code.adapter:CausalCode",
        source=f"path:{tiny_code('<other>')}",
        tasks=("complete", "infill"),
    )
    from foundation.adapter import Placement

    model = Model(spec, Placement("cpu", "float32"))
    with pytest.raises(InputError, match="code/plain cannot infill: its vocabulary has"):
        list(model.infill(prompts=["x = <FILL_ME>\n"]))
    (row,) = model.complete(prompts=["x = <FILL_ME>\n"], max_tokens=3).table().to_pylist()
    assert row["suffix"] == "\n"


def test_the_built_in_model_cannot_and_says_what_it_can() -> None:
    from foundation import registry
    from foundation.adapter import Placement

    model = Model(registry.spec("code/smollm2-135m"), Placement())
    with pytest.raises(InputError, match=r"code/smollm2-135m cannot infill.*complete, score"):
        model.results("infill", {"prompts": ["x = <FILL_ME>"]})
