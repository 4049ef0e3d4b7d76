"""`suite=speech`: speech found in noise, beside the best that loudness alone could tell."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from foundation.errors import InputError
from foundation.model import Model
from foundation_audio import inputs
from foundation_audio.inputs import RATE

SILENCE = 2  # seconds of noise alone, before and after
FRAME = RATE // 100
BELOW = 40  # decibels under the loudest frame of a clean recording, where its speech ends
DRAWS = 1000


def run(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Callable[..., None]
) -> dict[str, Any]:
    """F1 of frames of 10 ms at each ratio of speech to noise, 95 % intervals over recordings.

    `f1_loudness` are those of a threshold on the frames' energy, the best one in hindsight.
    """
    place = Path(suite["data"] or Path(__file__).parent / "speech").expanduser()
    files = [row["audio"] for row in inputs.read(place)][: suite["limit"]]
    if len(files) < 2:
        raise InputError(f"suite.data: {place} must hold at least two recordings")
    found: dict[str, Any] = {"recordings": len(files)}
    for snr in suite["snr"]:
        made = [_mixed(inputs.samples(file), snr, [seed, n]) for n, file in enumerate(files)]
        (folder / f"{snr}dB").mkdir(exist_ok=True)
        paths = [str(folder / f"{snr}dB" / f"{n}.wav") for n in range(len(made))]
        for path, (wave, _) in zip(paths, made, strict=True):
            soundfile.write(path, wave, RATE, subtype="FLOAT")
        rows = model.detect(audios=paths, folder=folder / f"{snr}dB" / "run").table().to_pylist()
        truth = [spoken for _, spoken in made]
        told = [_frames(row, len(one)) for row, one in zip(rows, truth, strict=True)]
        found[f"f1_{snr}dB"] = _f1(told, truth, seed)
        found[f"f1_loudness_{snr}dB"] = _by_loudness([wave for wave, _ in made], truth, seed)
        report(snr)
    return found


def _mixed(clean: NDArray[Any], snr: float, seed: list[int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A recording in pink noise, and which of its frames are speech."""
    padded = np.pad(clean, SILENCE * RATE)
    loud = _loudness(padded)
    spoken = loud > loud.max() - BELOW
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(len(padded)))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(padded))
    power = np.mean(padded[np.repeat(spoken, FRAME).nonzero()[0]] ** 2)
    noise *= np.sqrt(power / np.mean(noise**2) / 10 ** (snr / 10))
    return (0.3 * (padded + noise) / np.abs(padded + noise).max()).astype(np.float32), spoken


def _loudness(wave: NDArray[Any]) -> NDArray[Any]:
    """Decibels of each frame."""
    frames = wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME)
    return 10 * np.log10((frames**2).mean(axis=1) + 1e-12)


def _frames(row: Mapping[str, Any], count: int) -> NDArray[np.bool_]:
    """Which frames lie in the spans of a result."""
    middles = (np.arange(count) + 0.5) * FRAME / RATE
    spans = zip(row["starts"] or (), row["ends"] or (), strict=True)
    inside = [(start <= middles) & (middles < end) for start, end in spans]
    return np.any(inside, axis=0) if inside else np.zeros(count, bool)


def _f1(told: Sequence[Any], truth: Sequence[Any], seed: int) -> dict[str, float]:
    """F1 over all frames, with the middle 95 % of recordings drawn with replacement."""
    counts = np.array(
        [[(one & two).sum(), one.sum() + two.sum()] for one, two in zip(told, truth, strict=True)]
    )
    drawn = np.random.default_rng(seed).integers(0, len(counts), (DRAWS, len(counts)))
    both, either = counts[drawn].sum(axis=1).T
    low, high = np.percentile(2 * both / np.maximum(either, 1), [2.5, 97.5])
    mean = 2 * counts[:, 0].sum() / max(counts[:, 1].sum(), 1)
    return {"mean": float(mean), "low": float(low), "high": float(high)}


def _by_loudness(waves: Sequence[Any], truth: Sequence[Any], seed: int) -> dict[str, float]:
    louds = [_loudness(wave) for wave in waves]
    thresholds = np.percentile(np.concatenate(louds), np.arange(1, 100))
    tried = [_f1([loud > one for loud in louds], truth, seed) for one in thresholds]
    return max(tried, key=lambda figures: figures["mean"])
