"""The network of silero-vad 6 at 16 kHz, its layers named as in the weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW, BEFORE, AFTER = 512, 64, 64  # samples: of a window, of the last one, mirrored behind it
WIDTH = 128


class Detector(nn.Module):
    """A spectrum, four convolutions and an LSTM that goes from window to window."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, padding=1, stride=2)
        self.conv3 = nn.Conv1d(64, 64, 3, padding=1, stride=2)
        self.conv4 = nn.Conv1d(64, WIDTH, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(WIDTH, WIDTH)
        self.final_conv = nn.Conv1d(WIDTH, 1, 1)

    def forward(self, windows: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
        """[rows, windows, BEFORE + WINDOW] -> probabilities [rows, windows], and the state."""
        flat = functional.pad(windows.flatten(0, 1), (0, AFTER), "reflect")
        real, imaginary = self.stft_conv(flat.unsqueeze(1)).chunk(2, dim=1)
        seen = (real**2 + imaginary**2).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = conv(seen).relu()
        hidden = []
        for step in seen.view(*windows.shape[:2], WIDTH).unbind(1):
            state = self.lstm_cell(step, state)
            hidden.append(state[0])
        told = self.final_conv(torch.stack(hidden, dim=2).relu())
        return told.squeeze(1).sigmoid(), state
