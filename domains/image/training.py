"""The starter as the trainer sees it: rectified flow towards pictures drawn as they are needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from foundation.domains.image import drawing, network, scenes
from foundation.domains.image.attention import Attended
from foundation.domains.image.scenes import COLOURS, SHAPES, Scene
from foundation.domains.image.wording import NOUNS, caption, phrases, vocabulary
from foundation.draws import Draws
from foundation.errors import SourceError

LEAST = 0.05  # the pipeline divides by no earlier time
TOLD = 0.1  # weight of what patches show and of what phrases say
SEEN = 0.08  # share of a patch that a thing covers to be what it shows
WORDINGS = 8
KINDS = [len(SHAPES) + 1, len(COLOURS) + 1]  # what a patch may show, nothing among it
SAID = [len(COLOURS) + 1, len(NOUNS) + 1]  # what a word's phrase may say, nothing among it


@dataclass(frozen=True)
class Drawn:
    """A scene's picture, 0 to 255, and caption.

    shown: shape and colour of each patch from 1, 0 for none.
    """

    pixels: "np.ndarray[Any, Any]"
    text: str
    shown: "np.ndarray[Any, Any]"


class Learner(nn.Module):
    """The network, and what is read from it while it learns."""

    def __init__(self, shape: network.Shape, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.shows = _Shows(shape.width)
        self.says = nn.Linear(shape.text_width, sum(SAID))
        painter: Any = self.parts["transformer"]
        reader: Any = self.parts["text_encoder"]
        painter.set_attn_processor(Attended())
        reader.set_attn_implementation("eager")  # for the same reason

    def forward(
        self,
        pixels: Tensor,
        mixed: Tensor,
        time: Tensor,
        tokens: Tensor,
        mask: Tensor,
        told: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Summed loss of the pictures; without `told`, of the pixels alone.

        The error of the clean picture predicted from `mixed` = (1 - t) x + t noise, over t: between
        the clean picture's own error and the flow's (Li and He 2025). With it what shape and
        colour each patch shows, read in the middle of the network: pixels alone say little about
        the difference between a star and a cross. And what colour and noun stand in each word's
        phrase, read from the text encoder by one linear layer: without it two objects' colours
        were drawn as if the caption were a bag of words.
        """
        read = self.parts["text_encoder"](input_ids=tokens, attention_mask=mask)
        states = read.last_hidden_state
        middle: list[Tensor] = []
        with nullcontext() if told is None else self._kept(middle):
            guess = network.predict(self.parts["transformer"], mixed, time, states, mask)
        wrong = (guess - pixels).square().flatten(1).mean(1)
        error: Tensor = (wrong / time.clamp(min=LEAST)).sum()
        if told is None:
            return error
        shown, said = told
        error = error + _mistaken(self.shows(middle[0]), shown, KINDS)
        return error + _mistaken(self.says(states), said, SAID)

    @contextmanager
    def _kept(self, states: list[Tensor]) -> Iterator[None]:
        """Keep in `states` what leaves the middle of the network meanwhile."""
        painter: Any = self.parts["transformer"]
        block = painter.blocks[len(painter.blocks) // 2]
        hook = block.register_forward_hook(lambda _block, _given, out: states.append(out))
        try:
            yield
        finally:
            hook.remove()


class PictureTraining:
    """Rows are `split/skill`; which scene and where its things lie come from the draws."""

    def __init__(self, shape: network.Shape, parts: dict[str, nn.Module], words: Any) -> None:
        self.shape, self.words = shape, words
        self.learner = Learner(shape, parts)

    @classmethod
    def begin(cls, rows: Sequence[str], shape: dict[str, Any], seed: int) -> "PictureTraining":
        """A fresh network."""
        torch.manual_seed(seed)
        made, words = network.Shape(**shape), vocabulary()
        if made.side != drawing.SIDE:
            raise SourceError(f"recipe.shape.side must be {drawing.SIDE}, as things are drawn")
        parts = {
            "transformer": network.transformer(made),
            "text_encoder": network.text_encoder(made, len(words)),
        }
        return cls(made, parts, network.tokenizer(words, made.tokens))

    def module(self) -> nn.Module:
        return self.learner

    def size(self, row: str) -> int:
        return 1

    def collate(self, rows: Sequence[str], draws: Draws, augment: float) -> dict[str, Tensor]:
        """Draw each row's picture, -1 to 1; a share `augment` of the captions is left empty."""
        drawn = [
            self._drawn(row, numbers)
            for row, numbers in zip(rows, self._numbers(rows, draws))  # noqa: B905
        ]
        told = draws.uniform(2) >= augment
        texts = [each.text if tell else "" for each, tell in zip(drawn, told, strict=True)]
        tokens = self.words(texts, padding="longest", truncation=True, return_tensors="pt")
        pixels = torch.from_numpy(np.stack([each.pixels for each in drawn]))
        return {
            "pixels": pixels.permute(0, 3, 1, 2).contiguous() / 127.5 - 1,
            "shown": torch.from_numpy(np.stack([each.shown for each in drawn])),
            "said": self._said(tokens["input_ids"]),
            "tokens": tokens["input_ids"],
            "mask": tokens["attention_mask"].bool(),
        }

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Summed loss of the pictures, and their number; each picture gets its own time.

        The times of a batch are spread evenly, which says more than as many drawn one by one.
        """
        learning = self.learner.training
        pixels, generator = batch["pixels"], None if learning else same_noise(batch)
        rows, device = len(pixels), pixels.device
        even = torch.rand((), generator=generator, device=device)
        even = (even + torch.arange(rows, device=device) / rows) % 1
        shift = self.shape.shift
        time = shift * even / (1 + (shift - 1) * even)
        noise = torch.randn(pixels.shape, generator=generator, device=device)
        mixed = torch.lerp(pixels, self.shape.noise * noise, time[:, None, None, None])
        # What a stranger's pictures show is not known.
        told = (batch["shown"], batch["said"]) if learning and "shown" in batch else None
        return self.learner(pixels, mixed, time, batch["tokens"], batch["mask"], told), rows

    def targets(self) -> Sequence[str]:
        return ("img_qkv_proj", "txt_kv_proj", "to_out.0", "gate_proj", "up_proj", "down_proj")

    def save(self, folder: Path) -> None:
        """Write a folder of diffusers."""
        parts = deepcopy(self.learner.parts).to("cpu").eval()
        network.save(network.pipeline(self.shape, parts, self.words), folder)  # type: ignore[arg-type]

    def _said(self, tokens: Tensor) -> Tensor:
        """Colour and noun of each token's phrase, [rows, tokens, 2]."""
        words = [self.words.convert_ids_to_tokens(row) for row in tokens.tolist()]
        return torch.tensor([phrases(row) for row in words])

    def _numbers(self, rows: Sequence[str], draws: Draws) -> Iterator[Iterator[float]]:
        """Each row's own numbers; held-out scenes take others than those trained on."""
        count = scenes.NUMBERS + drawing.NUMBERS + WORDINGS
        drawn = [draws.uniform(step, (count,)) for step in (0, 1)]
        for place, row in enumerate(rows):
            yield iter(drawn[row.startswith("held_out")][place].tolist())

    def _drawn(self, row: str, numbers: Iterator[float]) -> Drawn:
        split, skill = row.split("/")
        scene = scenes.compose(skill, split, numbers)
        picture = drawing.draw(scene, numbers)
        shown = _shown(scene, picture, self.shape.patch)
        return Drawn(picture.pixels, caption(scene, chain(numbers)), shown)


def _mistaken(logits: Tensor, told: Tensor, sizes: list[int]) -> Tensor:
    """Summed loss of `told` [rows, places, parts], each part with its share of the logits."""
    guesses, kinds = logits.float().flatten(0, 1).split(sizes, 1), told.flatten(0, 1).unbind(1)
    losses = [functional.cross_entropy(*pair) for pair in zip(guesses, kinds, strict=True)]
    return TOLD * len(told) * torch.stack(losses).sum()


class _Shows(nn.Sequential):
    """States of the network's middle -> logits of each patch's shape and colour."""

    def __init__(self, width: int) -> None:
        hidden = 2 * width
        super().__init__(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, sum(KINDS))
        )


def _shown(scene: Scene, picture: drawing.Picture, patch: int) -> "np.ndarray[Any, Any]":
    """Shape and colour of the thing that covers most of each patch, [patches, 2]."""
    things, side = len(picture.covers), drawing.SIDE // patch
    covered = picture.covers.reshape(things, side, patch, side, patch).mean((2, 4))
    covered = covered.reshape(things, -1)
    most = covered.argmax(0)
    kinds = [[SHAPES.index(k.shape) + 1, COLOURS.index(k.colour) + 1] for k in scene.kinds]
    return np.where(covered.max(0)[:, None] >= SEEN, np.array(kinds)[most], 0)


def same_noise(batch: dict[str, Tensor]) -> torch.Generator:
    """The same noise each time a batch is measured."""
    return torch.Generator(batch["pixels"].device).manual_seed(len(batch["pixels"]))


def read(folder: Path) -> PictureTraining:
    """Read what `save` wrote, to train on from there; weights become float32."""
    from diffusers import PRXPixelPipeline

    from foundation.domains.image.quiet import quiet

    try:
        with quiet():
            pipe = PRXPixelPipeline.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SourceError(f"{folder} holds no pixel pipeline to train: {reason}") from error
    parts = {"transformer": pipe.transformer.train(), "text_encoder": pipe.text_encoder.train()}
    return PictureTraining(network.read_shape(pipe), parts, pipe.tokenizer)
