"""Texts as the trainer sees them: told by labels, gone on with by completions, or plain."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.domains.language.files import LABEL_COLUMNS, TEXT_COLUMNS
from foundation.errors import InputError
from foundation.tuning import lora
from foundation.tuning.data import records
from foundation.tuning.heads import Goal, Head
from foundation.tuning.leakage import Likeness
from foundation.tuning.minhash import NEAR, bands, likeness, signature
from foundation.tuning.told import Row, Told

if TYPE_CHECKING:
    import torch

    from foundation.decoding.script import Script
    from foundation.domains.language.tuned import Tuned

FIELDS = {
    "text": TEXT_COLUMNS,
    "label": LABEL_COLUMNS,
    "completion": ("completion", "response", "answer", "output"),
}
WINDOW = 128
"""Tokens of a text that are trained on, where a recipe says nothing (options.length)."""


def read(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a table or a folder of tables: text, and a label or a completion."""
    from foundation import tables

    kinds: set[str] | None = None

    def check(row: dict[str, Any]) -> str | None:
        nonlocal kinds
        text = (row["text"] or "").strip()
        if not text:
            return "an empty text"
        if "\ufffd" in text:
            return "not text in UTF-8"
        if kinds is None:
            kinds = {name for name in ("label", "completion") if row[name] is not None}
        lacking = [name for name in sorted(kinds) if not (row[name] or "").strip()]
        if lacking:
            return f"no {lacking[0]}"
        return unusable(row["label"])

    return records(path, FIELDS, columns, "texts", {".txt": tables.lines}, check)


def unusable(label: str | None) -> str | None:
    """Why a label is none: tables write what is missing in several ways."""
    return f"the label is '{label}'" if str(label).lower() in ("nan", "null") else None


def group(row: Mapping[str, Any]) -> str:
    """Equal texts are never parted, blanks and case aside."""
    return " ".join(row["text"].casefold().split())


LIKENESSES = (
    Likeness("the same text", group, lambda text: (text,)),
    Likeness(
        "near duplicates (MinHash)", lambda row: signature(str(row["text"])), bands, likeness, NEAR
    ),
)


def begin(start: Start) -> Tunable:
    """A classifier of labelled texts, or a generative model of texts and completions."""
    first = start.rows[0]
    if first.get("label") is not None:
        if start.method == "pretrain":
            raise InputError("task.method=pretrain learns to write: leave the labels out")
        return LabelledText(start)
    if "generate" not in start.spec.tasks:
        raise InputError(
            f"{start.spec.name} cannot write: task.data needs a column "
            f"{' or '.join(FIELDS['label'])} (task.columns={{label: <name>}})"
        )
    if start.method == "head":
        raise InputError("task.method=head needs labels: give a column label, or use lora or full")
    from foundation.tuning import causal

    return causal.begin(start, _prompt)


def _prompt(script: "Script", row: Mapping[str, Any], room: int) -> list[int]:
    """A text as its model is asked, the end of it where there is no room for more."""
    return script.prompt(row["text"], None, None)[-room:]


def merge(start: Start) -> Tunable:
    """A model whose LoRA weights are merged as it is read; a tuned head stays."""
    from foundation.domains.language.tuned import holds_tuned
    from foundation.tuning import causal

    if holds_tuned(start.spec, start.folder):
        return LabelledText(start)
    return causal.begin(start, _prompt)


class LabelledText(Told):
    """An encoder of transformers, its pooling, and a linear head."""

    def __init__(self, start: Start) -> None:
        import torch

        from foundation.domains.language.encoder import _pooling, _window
        from foundation.domains.language.tuned import read_tuned
        from foundation.hub.gguf import plain
        from foundation.pretrained import read_model, read_tokenizer

        folder = plain(start.folder)
        self.encoder = read_model(folder, "AutoModel", torch.float32, start.spec.deltas)
        super().__init__(start, self.encoder)
        self.tokenizer = read_tokenizer(folder)
        self.pooling, self.normalise = _pooling(folder, start.spec.options)
        self.window = _window(folder, start.spec.options, self.tokenizer, self.encoder.config)
        self.cut = min(self.window, int(start.options.get("length", WINDOW)))
        self.prefix = str(start.spec.options.get("prefix", ""))
        self.lay(self._head(read_tuned(folder, start.spec)))
        if start.method != "head":
            self.encoder.train()

    def item(self, row: Row) -> str:
        return str(row["text"])

    def size(self, row: Row) -> int:
        return min(len(row["text"]), 6 * self.cut)

    def batch(self, items: Sequence[str]) -> "dict[str, torch.Tensor]":
        """Tokens [rows, longest] with their mask."""
        import torch

        rows = self.tokenizer(
            [self.prefix + text for text in items],
            truncation=True,
            max_length=self.cut,
            verbose=False,
        )["input_ids"]
        longest = max(map(len, rows))
        pad = self.tokenizer.pad_token_id or 0
        tokens = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
        lengths = torch.tensor([[len(row)] for row in rows])
        return {"tokens": tokens, "mask": torch.arange(longest)[None] < lengths}

    def encoded(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """Tokens -> pooled states [rows, width], of length 1 where the model's are."""
        from torch.nn import functional

        from foundation.domains.language.encoder import _mean

        real = batch["mask"]
        states = self.encoder(input_ids=batch["tokens"], attention_mask=real.long())
        states = states.last_hidden_state
        pooled = states[:, 0].float() if self.pooling == "cls" else _mean(states, real)
        return functional.normalize(pooled, dim=1) if self.normalise else pooled

    def targets(self) -> Sequence[str]:
        return lora.linear_names(self.encoder)

    def recompute(self) -> None:
        self.encoder.gradient_checkpointing_enable({"use_reentrant": False})

    def save(self, folder: Path) -> None:
        """Write a folder of sentence-transformers; see `tuned`."""
        from foundation.domains.language.tuned import write_tuned
        from foundation.pretrained import quiet

        folder.mkdir(parents=True, exist_ok=True)
        config = self.encoder.config
        if self.adapted is not None:
            lora.save(self.encoder, self.adapted, folder, self.start.spec.name)
        else:
            with quiet():
                self.encoder.save_pretrained(folder)
        write_tuned(
            folder, config, self.labels, self.pooling, self.normalise, self.window,
            self.head.weights(),
        )  # fmt: skip
        self.tokenizer.save_pretrained(folder)

    def _head(self, tuned: "Tuned | None") -> Head:
        """A fresh head for the rows' labels, or the tuned one where there are no rows."""
        if len(self.start.rows):
            return self.fresh("label", alike=self.normalise)
        assert tuned is not None
        return Head.of(Goal(tuned.labels), tuned.weight, tuned.bias)
