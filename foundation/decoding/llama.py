"""GGUF files by llama.cpp itself, on their packed weights: an optional backend (extra `llama`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from foundation.adapter import Output, Placement
from foundation.decoding.rows import Plan, Row, admitted, write
from foundation.decoding.script import Script
from foundation.draws import Draws
from foundation.errors import MissingExtra, SourceError
from foundation.pretrained import quiet

CONTEXT = 8192
"""Tokens of the longest row, where neither the model nor `model.options.context` has less."""


class LlamaModel:
    """One row at a time through llama.cpp; `window`: tokens of the longest row."""

    def __init__(self, path: Path, placement: Placement, context: int) -> None:
        import llama_cpp

        self._api = llama_cpp
        layers = -1 if placement.device.startswith("cuda") else 0
        more = {"n_threads": placement.threads, "n_threads_batch": placement.threads}
        try:
            self._llama = llama_cpp.Llama(
                str(path), n_ctx=context, n_gpu_layers=layers, verbose=False, **more
            )
        except (ValueError, RuntimeError) as error:
            raise SourceError(f"{path} cannot be read by llama.cpp: {error}") from error
        self.window = min(context, llama_cpp.llama_model_n_ctx_train(self._llama.model))

    def begin(self, tokens: Sequence[int]) -> torch.Tensor:
        """A row's given tokens -> logits of what follows them, float32 [1, vocabulary]."""
        self._llama.reset()
        return self.go_on(tokens)

    def go_on(self, tokens: Sequence[int]) -> torch.Tensor:
        """Its next tokens -> logits of what follows them, float32 [1, vocabulary]."""
        import numpy as np

        self._llama.eval(list(tokens))
        logits = self._api.llama_get_logits_ith(self._llama.ctx, -1)
        found = np.ctypeslib.as_array(logits, shape=(1, self._llama.n_vocab()))
        return torch.from_numpy(found.copy())


class LlamaSlots:
    """Rows of a GGUF model, written one after another: each is what it is alone."""

    def __init__(self, model: LlamaModel, plan: Plan) -> None:
        self._model, self._plan = model, plan
        self._waiting: dict[int, Row] = {}
        self._now: int | None = None
        self._ended: list[tuple[int, Output]] = []

    def insert(self, slot: int, request: Any, draws: Draws) -> None:
        row = admitted(self._plan, request, draws, self._model.window)
        if isinstance(row, Output):
            self._ended.append((slot, row))
        else:
            self._waiting[slot] = row

    def remove(self, slot: int) -> None:
        self._waiting.pop(slot, None)
        self._now = None if self._now == slot else self._now

    def step(self) -> Sequence[tuple[int, Output]]:
        """Write one token of the row that came first."""
        if self._waiting:
            slot, row = next(iter(self._waiting.items()))
            if self._now == slot:
                logits = self._model.go_on(row.new[-1:])
                row.position += 1
            else:
                logits = self._model.begin(row.work.tokens)
                self._now, row.position = slot, len(row.work.tokens)
            (output,) = write([row], logits, self._model.window)
            if output is not None:
                self.remove(slot)
                self._ended.append((slot, output))
        ended, self._ended = self._ended, []
        return ended


def read_llama(path: Path, placement: Placement, context: int = CONTEXT) -> tuple[Any, Script]:
    """The model of a GGUF file, with its script; MissingExtra without llama-cpp-python."""
    import importlib.util

    if path.suffix != ".gguf":
        raise SourceError(f"llama.cpp reads one GGUF file, not {path}: leave out options.backend")
    if importlib.util.find_spec("llama_cpp") is None:
        raise MissingExtra("llama-cpp-python", "llama")
    from transformers import AutoTokenizer

    model = LlamaModel(path, placement, context)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(
            path.parent, gguf_file=path.name, local_files_only=True
        )
    return model, Script(tokenizer, model.window)
