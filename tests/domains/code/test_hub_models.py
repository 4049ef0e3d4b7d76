"""Every model of the Hub that has a YAML: its class, its markers, through the real downloads."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from foundation import registry

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": 256,
    "eos_token_id": 256, "pad_token_id": 256,
}  # fmt: skip
STARCODER = ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
QWEN = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|file_sep|>")
# The class that config.json of the repository names, and what its vocabulary marks a hole with.
MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "code/qwen2.5-coder-0.5b": ("Qwen2Config", QWEN),
    "code/qwen2.5-coder-1.5b": ("Qwen2Config", QWEN),
    "code/qwen2.5-coder-7b": ("Qwen2Config", QWEN),
    "code/starcoder2-3b": ("Starcoder2Config", (*STARCODER, "<file_sep>")),
    "code/granite-3b-code": ("LlamaConfig", (*STARCODER, "<filename>")),
    "code/deepseek-coder-1.3b": (
        "LlamaConfig",
        (
            "<\uff5cfim\u2581begin\uff5c>",
            "<\uff5cfim\u2581hole\uff5c>",
            "<\uff5cfim\u2581end\uff5c>",
        ),
    ),
    "code/mellum-4b": ("LlamaConfig", (*STARCODER, "<filename>", "<assistant>")),
    "code/seed-coder-8b": (
        "LlamaConfig",
        ("<[fim-prefix]>", "<[fim-middle]>", "<[fim-suffix]>"),
    ),
}  # fmt: skip
# One that has no YAML, as docs/code.md has it: another's, with its own source and commit.
CODEGEMMA = {"source": "hub:google/codegemma-2b", "revision": "c" * 40, "parameters": 2506172416}
ASKED: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in MODELS), ("code/starcoder2-3b", CODEGEMMA),
]  # fmt: skip
KINDS = [*MODELS.values(), ("GemmaConfig", (*QWEN[:3], "<|file_separator|>"))]
PROGRAM = """
import json, sys
import foundation as fm
for name, given in json.loads(sys.argv[1]):
    model = fm.load(name, placement="cpu", **given)
    kinds = [type(model.adapter.model).__name__]
    filled = model.infill(prompts=["def f(x):\\n<FILL_ME>    return y\\n"], max_tokens=4)
    gone_on = model.complete(prompts=["def f(x):\\n"], max_tokens=4)
    rows = filled.table().to_pylist() + gone_on.table().to_pylist()
    kinds += [row["output"] is not None and row["tokens"] > 0 for row in rows]
    print(json.dumps([name, model.weights.revision, *kinds]), flush=True)
    model.close()
"""


def test_every_model_of_the_hub_is_tried_and_pinned() -> None:
    specs = [registry.spec(name) for name in registry.models() if name.startswith("code/")]
    hub = [spec for spec in specs if spec.source.startswith("hub:")]
    assert {spec.name for spec in hub} == set(MODELS)
    for spec in hub:
        assert re.fullmatch(r"[0-9a-f]{40}", str(spec.revision))
        assert spec.parameters
        assert spec.licence != "unknown"


@pytest.fixture
def server() -> Any:
    path = Path(__file__).parents[2] / "foundation" / "hub_server.py"
    spec = importlib.util.spec_from_file_location("hub_server_of_code", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_loads_from_a_checkpoint_of_its_class(
    server: Any, tiny_code: Callable[..., Path], tmp_path: Path
) -> None:
    with server.serving() as hub:
        for (name, given), (config, special) in zip(ASKED, KINDS, strict=True):
            folder = tiny_code(*special)
            torch.manual_seed(0)
            size = 257 + len(special)
            made = getattr(transformers, config)(vocab_size=size, **SIZES)
            transformers.AutoModelForCausalLM.from_config(made).save_pretrained(folder)
            files = {file.name: file.read_bytes() for file in folder.iterdir()}
            files["own.py"] = b"raise SystemExit"
            spec = registry.spec(name, **given)
            commit = str(spec.revision)
            hub.repos[spec.source.removeprefix("hub:")] = server.Repo(files, commit=commit)
        env = {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
            "FOUNDATION_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin",
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(ASKED)],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    for line, (name, given), (config, _) in zip(said, ASKED, KINDS, strict=True):
        kind = config.removesuffix("Config") + "ForCausalLM"
        commit = registry.spec(name, **given).revision
        assert json.loads(line) == [name, commit, kind, True, True]
    assert not any("own.py" in asked for asked in hub.asked)
