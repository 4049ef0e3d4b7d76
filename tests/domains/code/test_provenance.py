"""Completions tell altered from unaltered."""

from foundation.adapter import Placement
from foundation.model import Model
from foundation.spec import ModelSpec


def test_completions_carry_a_seal_each(tiny_code, told_apart, tmp_path) -> None:
    adapter = "foundation.domains.code.adapter:CausalCode"
    spec = ModelSpec("code/tiny", "code", adapter, f"path:{tiny_code()}", tasks=("complete",))
    made = Model(spec, Placement("cpu", "float32"))
    made.complete(prompts=["a = ", "b"], max_tokens=4, folder=tmp_path / "run").finish()
    told_apart(tmp_path / "run", "completions.jsonl", "results.parquet")
