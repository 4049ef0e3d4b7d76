"""Silero's voice activity detector behind the interface."""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from foundation.adapter import Cost, Output, Placement
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.spec import ModelSpec
from foundation_audio.inputs import RATE, Detect, duration, samples
from foundation_audio.network import BEFORE, WIDTH, WINDOW, Detector
from foundation_audio.outputs import told

BLOCK = 1024  # windows of each recording that are looked at together, half a minute


class SpeechDetector:
    """Finds speech; a recording's windows are looked at in turn, those of a batch side by side."""

    @classmethod
    def cost(cls, spec: ModelSpec, request: Detect | None = None) -> Cost:
        try:
            windows = 1 if request is None else int(duration(request.audio) * RATE / WINDOW) + 1
        except RequestError:  # becomes a row when its turn comes
            windows = 1
        memory = 4 * (windows * WINDOW + min(windows, BLOCK) * 4000)
        return Cost(4 * (spec.parameters or 0), memory, size=windows, work=1.1e6 * windows)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        file = folder if folder.is_file() else next(folder.glob("*.safetensors"))
        self.detector = Detector().eval().requires_grad_(False)
        self.detector.load_state_dict(load_file(file))
        self.detector.to(placement.device, getattr(torch, placement.dtype))

    def key(self, task: str, request: Detect) -> Hashable:
        return task  # thresholds are applied to each recording by itself

    def run(self, task: str, batch: Sequence[Detect], draws: Draws) -> Iterator[tuple[int, Output]]:
        waves = {}
        for row, request in enumerate(batch):
            try:
                waves[row] = torch.from_numpy(samples(request.audio))
            except RequestError as error:
                yield row, Output(None, str(error), refused=True)
        for row, found in zip(waves, self._probabilities([*waves.values()]), strict=True):
            seconds = len(waves[row]) / RATE
            value, columns = told(found, WINDOW / RATE, seconds, batch[row])
            yield row, Output(value, extra=columns, usage={"audio_seconds": seconds})

    def _probabilities(self, waves: list[torch.Tensor]) -> list[list[float]]:
        """Of each wave's windows; the shorter ones are followed by silence, which changes none."""
        if not waves:
            return []
        counts = [-(-len(wave) // WINDOW) for wave in waves]
        padded = torch.zeros(len(waves), BEFORE + max(counts) * WINDOW)
        padded[:, BEFORE : BEFORE + max(map(len, waves))] = pad_sequence(waves, batch_first=True)
        like = self.detector.final_conv.weight
        state: Any = (like.new_zeros(len(waves), WIDTH), like.new_zeros(len(waves), WIDTH))
        found = []
        for block in padded.unfold(1, BEFORE + WINDOW, WINDOW).split(BLOCK, dim=1):
            some, state = self.detector(block.to(like), state)
            found.append(some.float().cpu())
        rows = torch.cat(found, dim=1).tolist()
        return [row[:count] for row, count in zip(rows, counts, strict=True)]

    def close(self) -> None:
        del self.detector
