"""A version of the starter that draws in few steps without guidance, as a LoRA of its transformer.

For each step of the short way the student learns where the teacher arrives by several guided steps
between the same two times (progressive distillation, Salimans and Ho 2022, in one stage).
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foundation.domains.image import network, training
from foundation.domains.image.quiet import quiet
from foundation.domains.image.training import PictureTraining
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.tuning import lora

STEPS = 4
# The teacher's: of sixteen steps along these times guidance 2 drew more training captions right
# than 1.5 or 2.5 did.
GUIDANCE = 2.0
FINER = 4  # steps of the teacher for one of the student
RANK = 32


class Distillation:
    """Rows are those of the starter's own training; the loss is the student's error of pixels."""

    def __init__(self, inner: PictureTraining) -> None:
        self.inner = inner
        teacher = inner.learner.parts.requires_grad_(False).eval()
        student = deepcopy(teacher["transformer"])
        self.config = lora.lay(student, inner.targets(), RANK)
        self.parts = nn.ModuleDict({"student": student, **teacher})
        self.scheduler = scheduler()
        self.scheduler.set_timesteps(STEPS)
        self.empty = inner.words("", return_tensors="pt")["input_ids"]

    @classmethod
    def begin(cls, rows: Sequence[str], shape: dict[str, Any], seed: int) -> "Distillation":
        """InputError: there is nothing to distil."""
        raise InputError("a distillation starts from a model: give ++task.start=model")

    def module(self) -> nn.Module:
        return self.parts

    def size(self, row: str) -> int:
        return 1

    def collate(self, rows: Sequence[str], draws: Draws, augment: float) -> dict[str, Tensor]:
        """Pictures and their captions, none left empty."""
        return self.inner.collate(rows, draws, 0.0)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Summed error of the clean pictures that would lead where the teacher arrives.

        Each row is at a step of the student's own way from noise, whose errors it can then mend.
        """
        pixels = batch["pixels"]
        rows, device = len(pixels), pixels.device
        generator = None if self.parts.training else training.same_noise(batch)
        noise = torch.randn(pixels.shape, generator=generator, device=device)
        times = self.scheduler.sigmas.to(device)
        place = torch.arange(rows, device=device) % STEPS
        begin, end = times[place], times[place + 1]
        with torch.no_grad():
            said = self._read(batch["tokens"], batch["mask"])
            mixed = self._walked(self.inner.shape.noise * noise, place, times, said)
            wanted = self._arrived(mixed, begin, end, said)
            # The one clean picture towards which a step of that length arrives there.
            wanted = mixed - (mixed - wanted) * _wide(begin / (begin - end))
        guess = network.predict(self.parts["student"], mixed, begin, *said)
        return (guess - wanted).square().flatten(1).mean(1).sum(), rows

    def targets(self) -> Sequence[str]:
        return self.inner.targets()

    def save(self, folder: Path) -> None:
        """Write peft's folder of the student's LoRA, and its scheduler beside it."""
        with quiet():
            student = deepcopy(self.parts["student"]).to(torch.bfloat16)
        lora.save(student, self.config, folder, "image/starter")
        self.scheduler.save_pretrained(folder)

    def _walked(
        self, noise: Tensor, place: Tensor, times: Tensor, said: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Where the student is after as many steps as `place` says, [rows]."""
        pixels = noise
        for step in range(int(place.max())):
            more = place > step
            begin, end = (time.expand(int(more.sum())) for time in times[step : step + 2])
            states, mask = (each[more] for each in said)
            clean = network.predict(self.parts["student"], pixels[more], begin, states, mask)
            pixels = pixels.masked_scatter(_wide(more), _stepped(pixels[more], clean, begin, end))
        return pixels

    def _arrived(
        self, pixels: Tensor, begin: Tensor, end: Tensor, said: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Where the teacher's guided steps lead from `begin` to `end`."""
        # One empty caption is read for all rows.
        empty = self.empty.to(pixels.device)
        read = self._read(empty, torch.ones_like(empty, dtype=torch.bool))
        blank = [each.expand(len(pixels), *each.shape[1:]) for each in read]
        teacher, time = self.parts["transformer"], begin
        for step in range(1, FINER + 1):
            after = torch.lerp(begin, end, step / FINER)
            asked = network.predict(teacher, pixels, time, *said)
            plain = network.predict(teacher, pixels, time, *blank)
            clean = torch.lerp(plain, asked, GUIDANCE)
            pixels = _stepped(pixels, clean, time, after)
            time = after
        return pixels

    def _read(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the text encoder makes of captions, [rows, tokens, width], and their mask."""
        read = self.parts["text_encoder"](input_ids=tokens, attention_mask=mask)
        return read.last_hidden_state, mask


def read(folder: Path) -> Distillation:
    """The starter in a folder, as the teacher and the student's beginning."""
    return Distillation(training.read(folder))


def scheduler() -> Any:
    """Times 1, .77, .51, .20 and 0, of which all but the last are asked of the network.

    The starter's own scheduler would take its last of four steps from .009: three would do all.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=1.25, shift_terminal=0.2)


def _stepped(pixels: Tensor, clean: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """A step of Euler towards the clean pictures."""
    return pixels + (pixels - clean) * _wide((end - begin) / begin)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]
