"""Every language model of the Hub: its YAML, and a tiny checkpoint of its class, really loaded."""

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
from foundation.adapter import Placement
from foundation.domains.language import DOMAIN
from foundation.domains.language.entailment import Entailment
from foundation.requests import settings
from foundation.spec import ModelSpec
from foundation.stream import Stream

CAUSAL = {
    "smollm2-360m": "LlamaConfig", "smollm2-1.7b": "LlamaConfig", "smollm3-3b": "SmolLM3Config",
    "llama-3.2-1b": "LlamaConfig", "qwen2.5-0.5b": "Qwen2Config", "qwen2.5-1.5b": "Qwen2Config",
    "qwen3-0.6b": "Qwen3Config",
}  # fmt: skip
ENCODERS = {
    "modernbert-base": "ModernBertConfig", "bge-small": "BertConfig", "bge-base": "BertConfig",
    "e5-small": "BertConfig",
}  # fmt: skip
GLINER = ("gliner2-base",)
NLI = {"deberta-nli": "DebertaV2Config", "deberta-nli-crossencoder": "DebertaV2Config"}
SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 128,
}  # fmt: skip
PROGRAM = """
import json, sys
from foundation import registry
from foundation.adapter import Placement
from foundation.model import Model
for name in sys.argv[1:]:
    model = Model(registry.spec(name), Placement("cpu", "float32"))
    task = model.spec.tasks[0]
    given = {"classify": {"texts": ["abc"], "labels": ["red", "blue"]}, "embed": {"texts": ["abc"]},
             "generate": {"prompts": ["abc"], "max_tokens": 3},
             "tag": {"texts": ["abc"], "labels": ["city"]}}[task]
    (row,) = model.results(task, given).table().to_pylist()
    kind = type(model.adapter.model).__name__
    print(json.dumps([name, model.weights.revision, kind, row["reason"]]), flush=True)
    model.close()
"""


def test_every_model_of_the_hub_is_tried_and_pinned() -> None:
    specs = [registry.spec(name) for name in registry.models() if name.startswith("language/")]
    hub = [spec for spec in specs if spec.source.startswith("hub:")]
    tried = {f"language/{name}" for name in (*CAUSAL, *ENCODERS, *NLI, *GLINER)}
    assert {spec.name for spec in hub} == tried
    for spec in hub:
        assert re.fullmatch(r"[0-9a-f]{40}", str(spec.revision))
        assert spec.parameters
        assert spec.licence != "unknown"


def checkpoint(name: str, folder: Path, tokenizers: dict[str, Path]) -> None:
    """A tiny model of the class, with a tokenizer of its kind."""
    torch.manual_seed(0)
    source = tokenizers["causal" if name in CAUSAL else "encoder"]
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    size = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id or 0}
    if name in CAUSAL:
        size |= {"num_key_value_heads": 2, "eos_token_id": 256, "bos_token_id": 256}
        config = getattr(transformers, CAUSAL[name])(**SIZES, **size)
        model = transformers.AutoModelForCausalLM.from_config(config)
    elif name in ENCODERS:
        config = getattr(transformers, ENCODERS[name])(**SIZES, **size)
        model = transformers.AutoModel.from_config(config)
    else:
        labels = {"id2label": {0: "entailment", 1: "neutral", 2: "contradiction"}}
        config = getattr(transformers, NLI[name])(**SIZES, **size, **labels)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture
def server() -> Any:
    path = Path(__file__).parents[2] / "foundation" / "hub_server.py"
    spec = importlib.util.spec_from_file_location("hub_server_of_language", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_loads_from_a_checkpoint_of_its_class(
    server: Any, causal_folder: Path, encoder_folder: Path, tiny_gliner: Callable[[Path], None],
    tmp_path: Path,
) -> None:  # fmt: skip
    names = [*CAUSAL, *ENCODERS, *NLI, *GLINER]
    with server.serving() as hub:
        for name in names:
            folder = tmp_path / name
            if name in GLINER:
                tiny_gliner(folder)
            else:
                checkpoint(name, folder, {"causal": causal_folder, "encoder": encoder_folder})
            paths = [path for path in folder.rglob("*") if path.is_file()]
            files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
            files["own.py"] = b"raise SystemExit"
            spec = registry.spec(f"language/{name}")
            repo = server.Repo(files, commit=str(spec.revision), gated=name == "llama-3.2-1b")
            hub.repos[spec.source.removeprefix("hub:")] = repo
        hub.token = "hf_ours"
        env = {
            "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
            "FOUNDATION_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin",
            "OMP_NUM_THREADS": "1", "HF_TOKEN": "hf_ours",
        }  # fmt: skip
        command = [sys.executable, "-c", PROGRAM, *(f"language/{name}" for name in names)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = {
        **{name: f"{kind.removesuffix('Config')}ForCausalLM" for name, kind in CAUSAL.items()},
        **{name: f"{kind.removesuffix('Config')}Model" for name, kind in ENCODERS.items()},
        **dict.fromkeys(NLI, "DebertaV2ForSequenceClassification"),
        **dict.fromkeys(GLINER, "SpanExtractor"),
    }
    assert found == [
        [f"language/{n}", registry.spec(f"language/{n}").revision, kinds[n], None] for n in names
    ]
    assert not any("own.py" in asked for asked in hub.asked)


def test_entailment_of_each_label_is_weighed(encoder_folder: Path, tmp_path: Path) -> None:
    checkpoint("deberta-nli", tmp_path / "nli", {"encoder": encoder_folder})
    model = Entailment()
    spec = ModelSpec("language/tiny", "language", "", f"path:{tmp_path / 'nli'}")
    model.load(spec, tmp_path / "nli", Placement("cpu", "float32"))
    labels = ["red", "blue", "green"]
    given = {"texts": ["abc", "a b c d e f g", "ab " * 60], "labels": labels}
    items = list(settings(DOMAIN, "classify", given).requests())
    made = {item.id: out for item, out in Stream(model, "classify", 2, 0).outputs(items)}
    outputs = [made[item.id] for item in items]
    for text, output in zip(["abc", "a b c d e f g"], outputs, strict=False):
        logits = []
        for label in labels:
            pair = model._tokenizer(text, f"This text is about {label}.", return_tensors="pt")
            with torch.inference_mode():
                row = model.model(**pair).logits[0]
            logits.append(float(row[0] - row[1:].logsumexp(0)))
        wanted = torch.tensor(logits).softmax(0)
        assert output.value == labels[int(wanted.argmax())]
        assert output.extra["probability"] == pytest.approx(float(wanted.max()), abs=1e-4)
    assert "more than the model's window" in str(outputs[2].reason)
