"""The starter as the trainer sees it: rectified flow towards pictures drawn as they are needed."""

from collections.abc import Iterator, Sequence
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
from foundation.domains.image.wording import caption, vocabulary
from foundation.draws import Draws
from foundation.errors import SourceError

EMA = 0.9995
LEAST = 0.05  # the pipeline divides by no earlier time
TOLD = 0.1  # weight of what patches show
SEEN = 0.08  # share of a patch that a thing covers to be what it shows
WORDINGS = 8


@dataclass(frozen=True)
class Drawn:
    """A scene's picture and caption. shown: shape and colour of each patch from 1, 0 for none."""

    pixels: Tensor
    text: str
    shown: Tensor


class PictureTraining:
    """Rows are `split/skill`; which scene and where its things lie come from the draws.

    The averaged weights are part of the module, so that a checkpoint holds them.
    """

    def __init__(self, shape: network.Shape, parts: dict[str, nn.Module], words: Any) -> None:
        self.shape, self.words = shape, words
        self.parts = nn.ModuleDict(parts)
        self.averaged = deepcopy(self.parts).requires_grad_(False).eval()
        self.whole = nn.ModuleDict(
            {"parts": self.parts, "averaged": self.averaged, "shows": _Shows(shape.width)}
        )
        self.whole.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        for each in (self.parts, self.averaged):
            painter: Any = each["transformer"]
            painter.set_attn_processor(Attended())
        painter = self.parts["transformer"]
        painter.blocks[shape.depth // 2].register_forward_hook(self._keep)
        self._kept: Tensor | None = None

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
        return self.whole

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
        return {
            "pixels": torch.stack([each.pixels for each in drawn]),
            "shown": torch.stack([each.shown for each in drawn]),
            "tokens": tokens["input_ids"],
            "mask": tokens["attention_mask"].bool(),
        }

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Summed loss of the pictures, and their number.

        The error of the clean picture predicted from x_t = (1 - t) x + t noise, over t: between
        the clean picture's own error and the flow's (Li and He 2025). With it, while training,
        what shape and colour each patch shows, read in the middle of the network: pixels alone
        say little about the difference between a star and a cross.
        """
        if not self.whole.training:
            return self._error(self.averaged, batch, _generator(batch)), len(batch["mask"])
        self._average()
        error = self._error(self.parts, batch, None)
        assert self._kept is not None
        shown = self.whole["shows"](self._kept).float().flatten(0, 1)
        kinds, self._kept = batch["shown"].flatten(0, 1), None
        told = functional.cross_entropy(shown[:, : len(SHAPES) + 1], kinds[:, 0])
        told = told + functional.cross_entropy(shown[:, len(SHAPES) + 1 :], kinds[:, 1])
        return error + TOLD * len(batch["mask"]) * told, len(batch["mask"])

    def targets(self) -> Sequence[str]:
        return ("img_qkv_proj", "txt_kv_proj", "to_out.0", "gate_proj", "up_proj", "down_proj")

    def save(self, folder: Path) -> None:
        """Write the averaged weights as a folder of diffusers."""
        parts = deepcopy(self.averaged).to("cpu")
        network.save(network.pipeline(self.shape, parts, self.words), folder)  # type: ignore[arg-type]

    def _error(
        self, parts: nn.ModuleDict, batch: dict[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        pixels = batch["pixels"]
        rows, device = len(pixels), pixels.device
        even = torch.rand(rows, generator=generator, device=device)
        shift = self.shape.shift
        time = shift * even / (1 + (shift - 1) * even)
        noise = torch.randn(pixels.shape, generator=generator, device=device)
        mixed = torch.lerp(pixels, self.shape.noise * noise, time[:, None, None, None])
        text = parts["text_encoder"](input_ids=batch["tokens"], attention_mask=batch["mask"])
        guess = parts["transformer"](
            hidden_states=mixed,
            timestep=time,
            encoder_hidden_states=text.last_hidden_state,
            attention_mask=batch["mask"],
            return_dict=False,
        )[0]
        wrong = (guess.float() - pixels).square().flatten(1).mean(1)
        total: Tensor = (wrong / time.clamp(min=LEAST)).sum()
        return total

    def _keep(self, _module: nn.Module, _given: Any, states: Tensor) -> None:
        self._kept = states

    def _average(self) -> None:
        """Move the averaged weights towards those of the last step."""
        steps = self.whole.get_buffer("steps")
        done = int(steps)
        share = 1 - min(EMA, (1 + done) / (10 + done)) if done else 1.0
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()),
                [each.detach() for each in self.parts.parameters()],
                share,
            )
        steps += 1

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
        pixels = torch.from_numpy(picture.pixels).permute(2, 0, 1) / 127.5 - 1
        shown = torch.from_numpy(_shown(scene, picture, self.shape.patch))
        return Drawn(pixels, caption(scene, chain(numbers)), shown)


class _Shows(nn.Sequential):
    """States of the network's middle -> logits of each patch's shape and colour."""

    def __init__(self, width: int) -> None:
        hidden, kinds = 2 * width, len(SHAPES) + 1 + len(COLOURS) + 1
        super().__init__(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, kinds)
        )


def _shown(scene: Scene, picture: drawing.Picture, patch: int) -> "np.ndarray[Any, Any]":
    """Shape and colour of the thing that covers most of each patch, [patches, 2]."""
    things, side = len(picture.covers), drawing.SIDE // patch
    covered = picture.covers.reshape(things, side, patch, side, patch).mean((2, 4))
    covered = covered.reshape(things, -1)
    most = covered.argmax(0)
    kinds = [[SHAPES.index(k.shape) + 1, COLOURS.index(k.colour) + 1] for k in scene.kinds]
    return np.where(covered.max(0)[:, None] >= SEEN, np.array(kinds)[most], 0)


def _generator(batch: dict[str, Tensor]) -> torch.Generator:
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
