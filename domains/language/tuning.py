"""Texts as the trainer sees them: told by labels, gone on with by completions, or plain."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.domains.language.files import LABEL_COLUMNS, TEXT_COLUMNS
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.tuning import lora
from foundation.tuning.data import records
from foundation.tuning.heads import SAMPLE, Goal, Head
from foundation.tuning.leakage import Likeness
from foundation.tuning.minhash import NEAR, bands, likeness, signature

if TYPE_CHECKING:
    import torch

    from foundation.domains.language.tuned import Tuned

FIELDS = {
    "text": TEXT_COLUMNS,
    "label": LABEL_COLUMNS,
    "completion": ("completion", "response", "answer", "output"),
}
KEPT = 100_000
"""Vectors of texts that a head keeps in memory."""
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

    return causal.begin(start, lambda script, text: script.prompt(text, None, None))


def merge(start: Start) -> Tunable:
    """A model whose LoRA weights are merged as it is read; a tuned head stays."""
    from foundation.domains.language.tuned import holds_tuned
    from foundation.tuning import causal

    if holds_tuned(start.spec, start.folder):
        return LabelledText(start)
    return causal.begin(start, lambda script, text: script.prompt(text, None, None))


class LabelledText:
    """An encoder of transformers, its pooling, and a linear head."""

    def __init__(self, start: Start) -> None:
        import torch

        from foundation.domains.language.encoder import _pooling, _window
        from foundation.domains.language.tuned import read_tuned
        from foundation.hub.gguf import dequantised
        from foundation.pretrained import read_model, read_tokenizer

        folder = dequantised(start.folder) if start.folder.suffix == ".gguf" else start.folder
        self.start, self.adapted = start, None
        self.encoder = read_model(folder, "AutoModel", torch.float32, start.spec.deltas)
        self.tokenizer = read_tokenizer(folder)
        self.pooling, self.normalise = _pooling(folder, start.spec.options)
        self.window = _window(folder, start.spec.options, self.tokenizer, self.encoder.config)
        self.cut = min(self.window, int(start.options.get("length", WINDOW)))
        self.prefix = str(start.spec.options.get("prefix", ""))
        self._vectors: dict[str, torch.Tensor] = {}
        self.head = self._head(read_tuned(folder, start.spec))
        self.goal, self.labels = self.head.goal, self.head.goal.labels
        self.whole = torch.nn.ModuleDict({"base": self.encoder, "head": self.head.layer})
        if start.method != "head":
            self.encoder.train()

    def module(self) -> "torch.nn.Module":
        module: torch.nn.Module = self.head.layer if self.start.method == "head" else self.whole
        return module

    def base(self) -> "torch.nn.Module":
        base: torch.nn.Module = self.encoder
        return base

    def targets(self) -> Sequence[str]:
        return lora.linear_names(self.encoder)

    def recompute(self) -> None:
        self.encoder.gradient_checkpointing_enable({"use_reentrant": False})

    def size(self, row: Mapping[str, Any]) -> int:
        return min(len(row["text"]), 6 * self.cut)

    def wanted(self, row: Mapping[str, Any]) -> float:
        return self.goal.wanted(row)

    def collate(
        self, rows: Sequence[Mapping[str, Any]], draws: Draws, augment: float
    ) -> "dict[str, torch.Tensor]":
        """Tokens [rows, longest] with their mask, or vectors where the encoder is frozen."""
        texts = [row["text"] for row in rows]
        batch = {"targets": self.goal.tensor(rows)}
        if self.start.method == "head":
            return {**batch, "vectors": self._frozen(texts)}
        return {**batch, **self._tokens(texts)}

    def loss(self, batch: "dict[str, torch.Tensor]") -> "tuple[torch.Tensor, int]":
        """Summed cross entropy, and the number of texts."""
        return self.goal.loss(self._given(batch), batch["targets"])

    def predict(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        return self.goal.shown(self._given(batch))

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
        if not len(self.start.rows):
            assert tuned is not None
            return Head.of(Goal(tuned.labels), tuned.weight, tuned.bias)
        step = max(1, len(self.start.rows) // SAMPLE)
        chosen = [row["text"] for row in islice(self.start.rows, 0, None, step)]
        goal = Goal.of(self.start.rows, "label")
        return Head(goal, self._frozen(chosen), alike=self.normalise)

    def _given(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        return self.head(batch["vectors"] if "vectors" in batch else self._encoded(batch))

    def _encoded(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        """Tokens -> pooled states [rows, width], of length 1 where the model's are."""
        from torch.nn import functional

        from foundation.domains.language.encoder import _mean

        real = batch["mask"]
        states = self.encoder(input_ids=batch["tokens"], attention_mask=real.long())
        states = states.last_hidden_state
        pooled = states[:, 0].float() if self.pooling == "cls" else _mean(states, real)
        return functional.normalize(pooled, dim=1) if self.normalise else pooled

    def _tokens(self, texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        import torch

        rows = self.tokenizer(
            [self.prefix + text for text in texts],
            truncation=True,
            max_length=self.cut,
            verbose=False,
        )["input_ids"]
        longest = max(map(len, rows))
        pad = self.tokenizer.pad_token_id or 0
        tokens = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
        lengths = torch.tensor([[len(row)] for row in rows])
        return {"tokens": tokens, "mask": torch.arange(longest)[None] < lengths}

    def _frozen(self, texts: Sequence[str]) -> "torch.Tensor":
        """Vectors of the encoder as it is, the latest ones kept."""
        import torch

        new = sorted({text for text in texts if text not in self._vectors}, key=len)
        device = self.encoder.device
        with torch.no_grad():
            for first in range(0, len(new), 64):
                some = new[first : first + 64]
                batch = {n: v.to(device) for n, v in self._tokens(some).items()}
                found = self._encoded(batch).float().cpu()
                self._vectors.update(zip(some, found, strict=True))
        vectors = torch.stack([self._vectors[text] for text in texts])
        while len(self._vectors) > KEPT:
            del self._vectors[next(iter(self._vectors))]
        return vectors
