"""Any causal language model of transformers as the trainer sees it: completions, or plain text."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start
from foundation.draws import Draws
from foundation.tuning import lora

if TYPE_CHECKING:
    import torch

    from foundation.decoding.script import Script

LENGTH = 256
IGNORED = -100

Row = Mapping[str, Any]
Prompt = Callable[[Any, Row, int], list[int]]
"""The tokens of a row that its completion goes on from, at most so many."""
Vary = Callable[[Row, Sequence[float]], Row]
"""A row made anew by three random numbers in [0, 1), where the recipe augments it; with `whole` its
text is learnt beside its completion."""


class CausalTraining:
    """Rows have a `text`, which is gone on with by a `completion` where they have one.

    Of rows with a completion the loss is that of the completion's tokens and the end's, and a
    prompt that is too long loses its beginning; of plain texts it is that of all tokens, and of a
    longer one each pass sees a window drawn at random.
    """

    def __init__(
        self, model: Any, script: "Script", start: Start, prompt: Prompt, vary: Vary | None = None
    ) -> None:
        self.model, self.script, self.start = model.train(), script, start
        self._prompt, self._vary = prompt, vary
        self.adapted: Any = None
        wanted = int(start.options.get("length", LENGTH))
        self.length = min(wanted, script.window)

    def module(self) -> "torch.nn.Module":
        module: torch.nn.Module = self.model
        return module

    def base(self) -> "torch.nn.Module":
        return self.module()

    def targets(self) -> Sequence[str]:
        names = lora.linear_names(self.module())
        return [name for name in names if name not in ("lm_head", "embed_out")]

    def recompute(self) -> None:
        self.model.enable_input_require_grads()
        self.model.gradient_checkpointing_enable({"use_reentrant": False})

    def size(self, row: Row) -> int:
        """Characters, of which long rows have no more than a window's."""
        characters = sum(len(value) for value in row.values() if isinstance(value, str))
        return min(characters, 6 * self.length)

    def collate(
        self, rows: Sequence[Row], draws: Draws, augment: float
    ) -> "dict[str, torch.Tensor]":
        """Tokens and targets [rows, longest]; padding and prompts are no targets."""
        import torch

        if augment and self._vary is not None:
            chances = draws.uniform(1, (4,)).tolist()
            rows = [
                self._vary(row, numbers[1:]) if numbers[0] < augment else row
                for row, numbers in zip(rows, chances, strict=True)
            ]
        where = draws.uniform(0).tolist()
        pairs = [self._tokens(row, at) for row, at in zip(rows, where, strict=True)]
        longest = max(len(tokens) for tokens, _ in pairs)
        tokens = torch.zeros(len(pairs), longest, dtype=torch.long)
        targets = torch.full((len(pairs), longest), IGNORED)
        for number, (row, known) in enumerate(pairs):
            tokens[number, : len(row)] = torch.tensor(row)
            targets[number, known : len(row)] = torch.tensor(row[known:])
        return {"tokens": tokens, "targets": targets}

    def loss(self, batch: "dict[str, torch.Tensor]") -> "tuple[torch.Tensor, int]":
        """Summed cross entropy of the next token, and the number of tokens."""
        from torch.nn import functional

        # Padding is at the end, where causal attention never looks.
        states = self.model(input_ids=batch["tokens"], use_cache=False).logits
        targets = batch["targets"][:, 1:].flatten()
        told = states[:, :-1].flatten(0, 1)
        asked = targets != IGNORED
        total = functional.cross_entropy(told[asked].float(), targets[asked], reduction="sum")
        return total, int(asked.sum())

    def save(self, folder: Path) -> None:
        """Write a folder of transformers, or of peft where LoRA is laid on."""
        if self.adapted is not None:
            self.adapted.task_type = "CAUSAL_LM"
            lora.save(self.base(), self.adapted, folder, self.start.spec.name)
        else:
            from foundation.pretrained import quiet

            with quiet():
                self.model.save_pretrained(folder)
        self.script.save(folder)

    def _tokens(self, row: Row, where: float) -> tuple[list[int], int]:
        """A row's tokens, and how many of them at the start are no targets."""
        completion = row.get("completion")
        if completion is None:
            return self._window(self.script.tokens(row["text"]), where), 1
        after = [*self.script.words(completion), self.script.end][: self.length - 1]
        before = self._prompt(self.script, row, self.length - len(after))
        return [*before, *after][: self.length], 1 if row.get("whole") else len(before)

    def _window(self, tokens: list[int], where: float) -> list[int]:
        tokens = [*tokens, self.script.end]
        first = int(where * (len(tokens) - self.length + 1)) if len(tokens) > self.length else 0
        return tokens[first : first + self.length]


def begin(start: Start, prompt: Prompt, vary: Vary | None = None) -> CausalTraining:
    """The model of a folder, with its LoRA weights merged in; of fresh weights to pretrain."""
    import torch

    from foundation.decoding.script import read_script
    from foundation.hub.gguf import plain
    from foundation.pretrained import fresh_model, read_model

    folder = plain(start.folder)
    if start.method == "pretrain":
        model = fresh_model(folder, "AutoModelForCausalLM", start.options["shape"])
    else:
        model = read_model(folder, "AutoModelForCausalLM", torch.float32, start.spec.deltas)
    script = read_script(folder, model.config, model.generation_config)
    return CausalTraining(model, script, start, prompt, vary)
