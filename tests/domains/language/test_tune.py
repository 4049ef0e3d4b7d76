"""task=tune on texts, from the file to a folder that answers."""

import json
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from foundation.cli import main

ANIMALS = [
    "the dog barks",
    "a cat sleeps",
    "the cow moos",
    "a dog runs",
    "cats and dogs",
    "a cow eats",
]
METALS = [
    "iron rusts",
    "gold is soft",
    "zinc and iron",
    "a bar of gold",
    "the zinc melts",
    "iron ore",
]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = [f"{text} {n},{kind}" for kind, some in (("animal", ANIMALS), ("metal", METALS))
            for text in some for n in ("a", "b", "c")]  # fmt: skip
    path = tmp_path / "train.csv"
    path.write_text("question,intent\n" + "\n".join(rows) + "\n")
    return path


def tune(model: Path, table: Path, method: str, out: str, *more: str) -> int:
    return main([
        "model=language/minilm", f"model.path={model}", "task=tune", f"task.method={method}",
        f"task.data={table}", "task.columns={text: question, label: intent}",
        "recipe.precision=float32", "placement=cpu", f"hydra.run.dir={out}",
        *([] if "task.held_out" in str(more) else ["task.leakage=1", "task.validation=0.3"]), *more,
    ])  # fmt: skip


def answers(out: str, *words: str) -> list[str]:
    code = main([*words, "task=classify", 'task.texts=["a dog", "some iron"]', "placement=cpu",
                 "placement.dtype=float32", f"hydra.run.dir={out}"])  # fmt: skip
    assert code == 0
    return pq.read_table(f"{out}/results.parquet")["output"].to_pylist()


@pytest.mark.parametrize("method", ["head", "lora", "full"])
def test_a_tuned_classifier_carries_its_labels(encoder_folder, table, method, capsys) -> None:
    more = ["recipe.steps=60", "recipe.rate=0.01"]
    assert tune(encoder_folder, table, method, "out", *more) == 0
    assert "accuracy" in capsys.readouterr().out
    base = [] if method == "lora" else ["model.path=out/model"]
    if method == "lora":
        names = {path.name for path in Path("out/model").iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= names
        assert "model.safetensors" not in names
        base = ["model.path=out/model", f"model.source=path:{encoder_folder}", "model.sha256=null"]
    assert answers("asked", "model=language/minilm", *base) == ["animal", "metal"]
    record = json.loads(Path("out/record.json").read_text())
    assert record["metrics"]["accuracy"] > 0.5
    assert record["counts"]["rows"] + record["counts"]["held_out"] == 36


def test_merged_lora_says_what_the_two_together_say(encoder_folder, table) -> None:
    from foundation import registry
    from foundation.adapter import Placement
    from foundation.model import Model

    assert tune(encoder_folder, table, "lora", "out", "recipe.steps=20", "recipe.rate=0.01") == 0
    base = ["model=language/minilm", f"model.source=path:{encoder_folder}", "model.sha256=null"]
    code = main([*base, "model.path=out/model", "task=merge", "hydra.run.dir=merged"])
    assert code == 0
    spec = {"source": f"path:{encoder_folder}", "sha256": {}}
    vectors = []
    for over in ({**spec, "path": "out/model"}, {"path": "merged/model"}):
        model = Model(registry.spec("language/minilm", **over), Placement())
        vectors.append(model.embed(texts=ANIMALS).table()["embedding"].to_pylist())
        model.close()
    np.testing.assert_allclose(*vectors, atol=1e-5)
    said = answers("asked", "model=language/minilm", "model.path=merged/model")
    assert set(said) <= {"animal", "metal"}


def test_peft_and_sentence_encoders_load_what_is_written(encoder_folder, table) -> None:
    from peft import PeftModel
    from transformers import AutoModel

    assert tune(encoder_folder, table, "lora", "out", "recipe.steps=5") == 0
    plain = AutoModel.from_pretrained(encoder_folder)
    tokens = torch.tensor([[2, 5, 6, 3]])
    before = plain(tokens).last_hidden_state
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's own
        tuned = PeftModel.from_pretrained(plain, "out/model").eval()
    after = tuned(input_ids=tokens).last_hidden_state
    assert not torch.allclose(before, after)
    modules = json.loads(Path("out/model/modules.json").read_text())
    assert [m["type"].rpartition(".")[2] for m in modules][-1] == "Dense"
    for module in modules[1:]:
        assert (Path("out/model") / module["path"]).is_dir()


@pytest.mark.parametrize("kind", ["text", "completion"])
def test_a_model_that_writes_learns_texts_and_completions(causal_folder, table, kind) -> None:
    rows = [{"text": "say", "completion": "yes"}, {"text": "ask", "completion": "why"}] * 6
    if kind == "text":
        rows = [{"text": "yes " * (9 + n % 5)} for n in range(12)]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code = main([
        "model=language/smollm2-135m", f"model.path={causal_folder}", "task=tune",
        "task.method=lora", "task.data=rows.jsonl", "recipe.steps=30", "recipe.rate=0.02",
        "recipe.log=10", "task.validation=0", "recipe.precision=float32", "hydra.run.dir=out",
    ])  # fmt: skip
    assert code == 0
    losses = pq.read_table("out/curve.parquet")["loss"].to_pylist()
    assert losses[-1] < losses[0]
    code = main([
        "model=language/smollm2-135m", f"model.source=path:{causal_folder}", "model.sha256=null",
        "model.path=out/model", "task=generate", 'task.prompts=["say"]', "task.max_tokens=4",
        "hydra.run.dir=said",
    ])  # fmt: skip
    assert code == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text,label\na,x\nb,x\nc,x\n", "only the label 'x'"),
        ("text,label\na,x\na,x\na,x\n", "all 3 rows"),
        ("", "holds no texts"),
        ("text,label\n", "holds no texts"),
        ("text,label\na,\nb,\n", "record 1: no label"),
        ("text\na\nb\n", "cannot write: task.data needs a column label"),
        ("text,label\n,x\n,y\n", "no row of .* can be used; the first: record 1: no text"),
    ],
)
def test_data_that_teaches_nothing_is_told_in_a_line(encoder_folder, table, text, told, capsys):
    import re

    Path("bad.csv").write_text(text)
    words = ["model=language/minilm", f"model.path={encoder_folder}", "task=tune"]
    assert main([*words, "task.method=head", "task.data=bad.csv", "hydra.run.dir=out"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert re.search(told, lines[0])


def test_rows_that_cannot_be_used_are_counted_with_their_record(encoder_folder, table, capsys):
    lines = table.read_text().splitlines()
    lines.insert(7, "a text without a label,")
    lines.insert(9, "a text,nan")
    table.write_text("\n".join(lines))
    Path("held.csv").write_text("question,intent\na dog,animal\niron,metal\nx,plant\n")
    more = ["recipe.steps=2", "task.held_out=held.csv"]
    assert tune(encoder_folder, table, "head", "out", *more) == 0
    assert "3 rows refused" in capsys.readouterr().out
    refused = Path("out/refused.csv").read_text()
    assert "record 7: no intent" in refused
    assert "record 9: the label is 'nan'" in refused
    assert "held out: the label 'plant' is none of those trained on" in refused


def test_held_out_rows_that_are_trained_on_are_refused_unless_told(encoder_folder, table, capsys):
    more = ["recipe.steps=2", f"task.held_out={table}"]
    assert tune(encoder_folder, table, "head", "out", *more) == 2
    assert "36 of 36 held-out rows are in the training data" in capsys.readouterr().err
    assert tune(encoder_folder, table, "head", "out2", *more, "task.leakage=1") == 0
    leaks = json.loads(Path("out2/leakage.json").read_text())
    assert [leak["share"] for leak in leaks] == [1.0, 1.0]
