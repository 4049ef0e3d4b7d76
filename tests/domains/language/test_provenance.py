"""Whatever is written about texts tells altered from unaltered."""

from foundation.adapter import Placement
from foundation.model import Model
from foundation.spec import ModelSpec


def model(folder, adapter: str) -> Model:
    tasks = ("generate", "classify", "tag", "embed")
    name = f"foundation.domains.language.{adapter}"
    spec = ModelSpec("language/tiny", "language", name, f"path:{folder}", tasks=tasks)
    return Model(spec, Placement("cpu", "float32"))


def test_answers_carry_a_seal_each(causal_folder, told_apart, tmp_path) -> None:
    made = model(causal_folder, "adapter:CausalText")
    made.generate(prompts=["a", "\u00e9\u2028"], max_tokens=3, folder=tmp_path / "run").finish()
    told_apart(tmp_path / "run", "texts.jsonl", "results.parquet")


def test_labels_and_spans_are_held_by_their_record(encoder_folder, told_apart, tmp_path) -> None:
    made = model(encoder_folder, "encoder:TextEncoder")
    (tmp_path / "few.csv").write_text("text,label\na b,x\nc d,y\n")
    made.classify(texts=["a"], examples=str(tmp_path / "few.csv"), folder=tmp_path / "run").finish()
    told_apart(tmp_path / "run", "results.parquet")
    assert (tmp_path / "run" / "labels.csv").is_file()
