"""Pictures with captions as the trainer sees them: LoRA or all weights of a pixel pipeline."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.tuning import difference_hash, lora
from foundation.tuning.data import records
from foundation.tuning.leakage import Likeness

if TYPE_CHECKING:
    import torch

    from foundation.domains.image.training import PictureTraining

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FIELDS = {"picture": ("file_name", "image", "path"), "text": ("text", "caption", "prompt")}
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")

Row = Mapping[str, Any]


def read(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a folder of pictures with captions: a metadata table, or a .txt beside each.

    The table, metadata.csv, .jsonl or .parquet, has the columns `file_name` and `text`, as in the
    Hub's image folders; a table named itself is read the same way.
    """
    from PIL import Image, UnidentifiedImageError

    root = path if path.is_dir() else path.parent

    def check(row: dict[str, Any]) -> str | None:
        row["picture"] = str(root / row["picture"])
        if not (row["text"] or "").strip():
            return "no caption"
        try:
            with Image.open(row["picture"]) as picture:
                least = min(picture.size)
                picture.verify()
        except (OSError, UnidentifiedImageError, SyntaxError):
            return f"{Path(row['picture']).name} cannot be read as a picture"
        return f"{Path(row['picture']).name} is {least} pixels small" if least < 16 else None

    listed = next((path / name for name in TABLES if (path / name).is_file()), None)
    if not path.is_dir() or listed is not None:
        yield from records(listed or path, FIELDS, columns, "pictures", None, check)
        return
    found = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"task.data: no picture is in {path}")
    for number, each in enumerate(found, 1):
        beside = each.with_suffix(".txt")
        text = beside.read_text("utf-8", "replace").strip() if beside.is_file() else ""
        row: dict[str, Any] = {"picture": str(each.relative_to(root)), "text": text}
        error = check(row)
        yield {**row, "error": f"picture {number}: {error}" if error else None}


def group(row: Row) -> str:
    """A picture by its folder and name, so that where the data lies does not change the split."""
    return "/".join(Path(str(row["picture"])).parts[-2:])


def _seen(row: Row) -> int:
    """The difference hash of a picture."""
    import numpy as np
    from PIL import Image

    with Image.open(row["picture"]) as picture:
        cells = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    return difference_hash.signature(cells)


LIKENESSES = (
    Likeness(
        "the same picture (difference hash)", _seen, difference_hash.keys,
        difference_hash.likeness, difference_hash.NEAR,
    ),
)  # fmt: skip


def merge(start: Start) -> Tunable:
    """A pipeline whose LoRA weights are merged as it is read."""
    return begin(start)


def begin(start: Start) -> Tunable:
    """A pixel pipeline, as the starter's, on pictures brought to its size."""
    from foundation.domains.image import training

    if start.method not in ("lora", "full"):
        raise InputError("pictures are learnt by task.method=lora or full")
    inner = training.read(start.folder)
    parts = inner.learner.parts
    if start.spec.deltas:
        parts["transformer"] = lora.merged(parts["transformer"], start.spec.deltas)
    return CaptionedPictures(start, inner)


class CaptionedPictures:
    """The error of the clean picture that is told from a noisy one and its caption."""

    def __init__(self, start: Start, inner: "PictureTraining") -> None:
        self.start, self.inner, self.adapted = start, inner, None
        self.shape = inner.shape
        inner.learner.train()
        # Of drawn scenes alone it is known what their patches show and their phrases say.
        inner.learner.shows.requires_grad_(False)
        inner.learner.says.requires_grad_(False)
        if start.method == "lora":
            # Few pictures would bend all its words.
            inner.learner.parts["text_encoder"].requires_grad_(False)

    def module(self) -> "torch.nn.Module":
        return self.inner.module()

    def base(self) -> "torch.nn.Module":
        return self.inner.learner.parts["transformer"]

    def targets(self) -> Sequence[str]:
        return self.inner.targets()

    def size(self, row: Row) -> int:
        return 1

    def collate(self, rows: Sequence[Row], draws: Draws, augment: float) -> Any:
        """Pictures, -1 to 1, the largest middle square brought to size; a share of no captions."""
        import torch

        told = (draws.uniform(2) >= augment).tolist()
        texts = [row["text"] if tell else "" for row, tell in zip(rows, told, strict=True)]
        words = self.inner.words(texts, padding="longest", truncation=True, return_tensors="pt")
        return {
            "pixels": torch.stack([self._pixels(row["picture"]) for row in rows]),
            "tokens": words["input_ids"],
            "mask": words["attention_mask"].bool(),
        }

    def loss(self, batch: Any) -> "tuple[torch.Tensor, int]":
        """Summed error, and the number of pictures; the same noise whenever it is measured."""
        return self.inner.loss(batch)

    def save(self, folder: Path) -> None:
        """Write a pipeline of diffusers, or peft's folder of its transformer's LoRA."""
        if self.adapted is not None:
            lora.save(self.base(), self.adapted, folder, self.start.spec.name)
        else:
            self.inner.save(folder)

    def _pixels(self, path: str) -> "torch.Tensor":
        import numpy as np
        import torch
        from PIL import Image, ImageOps

        side = self.shape.side
        with Image.open(path) as picture:
            square = ImageOps.fit(picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.array(square)).permute(2, 0, 1) / 127.5 - 1
