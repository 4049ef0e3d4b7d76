"""A GGUF file written by llama.cpp on its packed weights, beside the same weights dequantised."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foundation import registry
from foundation.adapter import Placement
from foundation.errors import InputError, MissingExtra, SourceError
from foundation.model import Model

PROMPTS = ["ab", "a longer prompt", "z" * 70, "ba", "ab"]
TEXT = "language/smollm2-135m"
Load = Callable[..., Model]


@pytest.fixture
def load(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path / "cache"))

    def loaded(
        name: str = "language/smollm2-135m", path: Path = tiny_gguf, **options: Any
    ) -> Model:
        spec = registry.spec(name, path=str(path), options=options)
        return Model(spec, Placement("cpu", "float32"))

    return loaded


def rows(model: Model, prompts: list[str], **more: Any) -> list[dict[str, Any]]:
    given = {"prompts": prompts, "max_tokens": 12, "chat": False, **more}
    return model.results("generate", given, seed=3).table().to_pylist()


def test_rows_are_what_they_are_alone_and_near_the_dequantised_ones(load: Load) -> None:
    pytest.importorskip("llama_cpp")
    packed = load(backend="llama.cpp")
    alone, together = (rows(packed, PROMPTS, batch=size) for size in (1, 4))
    assert [row["output"] for row in alone] == [row["output"] for row in together]
    assert "70 tokens are more than the model's window of 64" in alone[2]["reason"]
    assert all(row["valid"] for place, row in enumerate(alone) if place != 2)
    greedy = rows(packed, PROMPTS[:1], temperature=0.0, max_tokens=1)
    whole = rows(load(), PROMPTS[:1], temperature=0.0, max_tokens=1)
    assert greedy[0]["log_likelihood"] == pytest.approx(whole[0]["log_likelihood"], abs=0.2)


def test_a_text_can_be_read_while_it_is_written_and_left(load: Load) -> None:
    pytest.importorskip("llama_cpp")
    packed = load(backend="llama.cpp")
    given = {"prompts": ["ab"], "max_tokens": 12, "chat": False}
    (row,) = rows(packed, ["ab"])
    assert "".join(packed.stream(seed=3, **given)) == row["output"]
    with_rest = packed.stream(seed=3, **given)
    next(with_rest)
    with_rest.close()
    assert rows(packed, ["ab"])[0]["output"] == row["output"]


def test_code_is_completed_too(load: Load) -> None:
    pytest.importorskip("llama_cpp")
    packed = load("code/smollm2-135m", backend="llama.cpp")
    given = {"prompts": ["def f(x):"], "samples": 3, "max_tokens": 6, "until": "model"}
    (row,) = packed.results("complete", given).table().to_pylist()
    assert sum(row["times"]) == 3


def test_what_it_cannot_do_is_said(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="backend must be one of"):
        _ = load(backend="llama").adapter
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError):
        _ = load(path=tmp_path / "folder", backend="llama.cpp").adapter
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "llama_cpp" else found(name)
    )
    with pytest.raises(MissingExtra, match=r"pip install 'foundation-toolkit\[llama\]'"):
        _ = load(backend="llama.cpp").adapter


def test_it_only_writes(load: Load) -> None:
    pytest.importorskip("llama_cpp")
    with pytest.raises(InputError, match="only writes here: for task=score"):
        load(backend="llama.cpp").results("score", {"texts": ["ab"]}).finish()
