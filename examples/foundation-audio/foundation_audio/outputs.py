"""Speech as spans of seconds: in words, as RTTM, and as bars in a notebook."""

import html as markup
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing
from foundation_audio.inputs import Detect

if TYPE_CHECKING:
    import pyarrow

Span = tuple[float, float]
FALL = 0.15  # speech goes on until the probability is this much below the threshold
PAD = 0.03  # seconds before and after, so that no sound is cut
SHOWN = 20


def told(
    probabilities: Sequence[float], step: float, seconds: float, request: Detect
) -> tuple[str, dict[str, Any]]:
    """The answer in words, `0.35-1.92 2.30-3.10`, in seconds, and the columns of its row."""
    found = spans(probabilities, step, seconds, request)
    columns = {
        "seconds": seconds,
        "speech": sum(end - start for start, end in found),
        "probability": max(probabilities),
        "starts": [start for start, _ in found],
        "ends": [end for _, end in found],
    }
    return " ".join(f"{start:.2f}-{end:.2f}" for start, end in found) or "no speech", columns


def spans(
    probabilities: Sequence[float], step: float, seconds: float, request: Detect
) -> list[Span]:
    """Spans of speech, in seconds, of the probabilities of windows that last `step` seconds."""
    runs: list[list[float]] = []
    speaking = False
    for number, probability in enumerate(probabilities):
        speaking = probability >= request.threshold - FALL * speaking
        if not speaking:
            continue
        start, end = number * step, (number + 1) * step
        if runs and start - runs[-1][1] < max(request.gap, step / 2):
            runs[-1][1] = end
        else:
            runs.append([start, end])
    kept = [(start, end) for start, end in runs if end - start >= request.shortest]
    return [(max(start - PAD, 0.0), min(end + PAD, seconds)) for start, end in kept]


def write(folder: Path, task: str, table: Path) -> list[Path]:
    """Write `speech.rttm`, the spans as tools for speech read them (NIST's Rich Transcription)."""
    import pyarrow.parquet as pq

    path = folder / "speech.rttm"
    columns = ["input", "starts", "ends"]
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        for batch in pq.ParquetFile(table).iter_batches(columns=columns):
            for row in batch.to_pylist():
                name = Path(row["input"] or "?").stem.replace(" ", "_")
                for start, end in zip(row["starts"] or (), row["ends"] or (), strict=True):
                    span = f"{start:.3f} {end - start:.3f}"
                    file.write(f"SPEAKER {name} 1 {span} <NA> <NA> speech <NA> <NA>\n")
    return [path]


def html(table: "pyarrow.Table", folder: Path) -> str:
    """A bar a recording, filled where there is speech; the first ones."""
    rows = table.slice(0, SHOWN).to_pylist()
    lines = "".join(
        f"<tr><td>{markup.escape(Path(row['input'] or '?').name)}</td><td>{_bar(row)}</td>"
        f"<td>{markup.escape(row['output'] or row['reason'] or '')}</td></tr>"
        for row in rows
    )
    return f"<table>{lines}</table>"


def _bar(row: dict[str, Any]) -> str:
    """The recording in 300 pixels, in colours that can be read on white and on black."""
    scale = 300 / (row["seconds"] or 1)
    bars = "".join(
        f"<rect x='{start * scale:.1f}' width='{(end - start) * scale:.1f}' height='14' "
        "fill='#2f81c7'/>"
        for start, end in zip(row["starts"] or (), row["ends"] or (), strict=True)
    )
    return f"<svg width='300' height='14'><rect width='300' height='14' fill='#8884'/>{bars}</svg>"
