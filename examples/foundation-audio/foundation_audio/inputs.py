"""What is asked of a recording, and how files become requests and samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from foundation.errors import RequestError

RATE = 16_000
LONGEST = 6 * 3600  # seconds; what is longer would fill the memory
KINDS = {f".{kind.lower()}" for kind in soundfile.available_formats()} | {".opus", ".oga"}


@dataclass(frozen=True)
class Detect:
    """Speech in one recording.

    audio: a file that libsndfile reads (WAV, FLAC, Ogg, MP3, ...). threshold: the probability from
    which a window of 32 ms is speech, 0 to 1. gap: a silence that is shorter, in seconds, parts no
    speech; shortest: speech that is shorter, in seconds, is none.
    """

    audio: str
    threshold: float = 0.5
    gap: float = 0.1
    shortest: float = 0.25

    def __post_init__(self) -> None:
        for name, most in (("threshold", 1), ("gap", LONGEST), ("shortest", LONGEST)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise RequestError(f"{name} must be a number from 0 to {most}, got '{value}'")


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """A row for the file, or for each recording in the folder and those below it, by name."""
    if column:
        raise RequestError(f"task.column: {path.name} is no table and has no columns: leave it out")
    inside = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in KINDS]
    if path.is_dir() and not inside:
        raise RequestError(f"task.input: no recording is in {path}")
    yield from ({"audio": str(file)} for file in (inside or [path]))


def duration(path: str) -> float:
    """Seconds of a recording, read off its header; RequestError where there is none."""
    if not Path(path).is_file():
        raise RequestError(f"there is no file {path}")
    try:
        seconds = float(soundfile.info(path).duration)
    except soundfile.LibsndfileError as error:
        raise RequestError(f"{path} is no recording: {error.error_string}") from error
    if not 0 < seconds <= LONGEST:
        raise RequestError(f"{path} lasts {seconds:,.0f} s: give one of up to {LONGEST:,} s")
    return seconds


def samples(path: str) -> NDArray[np.float32]:
    """The recording's one channel, the mean of all, at 16 kHz; RequestError."""
    duration(path)
    try:
        values, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RequestError(f"{path} is damaged: {error.error_string}") from error
    if not np.isfinite(values).all():
        raise RequestError(f"{path} holds samples that are no numbers")
    common = gcd(rate, RATE)
    mono = resample_poly(values.mean(axis=1), RATE // common, rate // common)
    return np.asarray(mono, np.float32)
