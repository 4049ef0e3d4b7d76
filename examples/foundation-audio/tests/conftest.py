"""A detector with random weights, and recordings of tones and of speech."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from foundation_audio.network import Detector
from safetensors.torch import save_file

from foundation.spec import ModelSpec

SPEECH = Path(__file__).parents[1] / "foundation_audio" / "speech"


@pytest.fixture
def tiny(tmp_path: Path) -> ModelSpec:
    """Random weights that hear something in some windows and nothing in others."""
    torch.manual_seed(0)
    detector = Detector()
    with torch.no_grad():
        detector.stft_conv.weight *= 1000
        detector.final_conv.weight *= 40
    folder = tmp_path / "tiny"
    folder.mkdir()
    save_file(detector.state_dict(), folder / "model.safetensors")
    return ModelSpec(
        name="audio/tiny",
        domain="audio",
        adapter="foundation_audio.adapter:SpeechDetector",
        source=f"path:{folder}",
        tasks=("detect",),
        parameters=sum(weight.numel() for weight in detector.parameters()),
    )


@pytest.fixture
def recordings(tmp_path: Path) -> list[str]:
    """Bursts of noise, of several rates, channels and kinds, and one voice."""
    random = np.random.default_rng(0)
    paths = [str(SPEECH / "ferry.ogg")]
    for number, (rate, kind) in enumerate(
        [(16_000, "wav"), (44_100, "flac"), (8_000, "wav"), (48_000, "wav"), (16_000, "flac")]
    ):
        seconds = 1.0 + 0.7 * number
        loud = np.sin(np.arange(int(seconds * rate)) / rate * (2 + number)) > 0
        wave = 0.1 * random.standard_normal((len(loud), 1 + number % 2)) * loud[:, None]
        paths.append(str(tmp_path / f"{number}.{kind}"))
        soundfile.write(paths[-1], wave, rate)
    return paths
