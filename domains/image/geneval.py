"""suite=geneval: GenEval's prompts drawn by any pipeline, and judged where there is a detector.

Ghosh, Hajishirzi, Schmidt, "GenEval" (2023), https://arxiv.org/abs/2310.11513
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from foundation.domains.image.geneval_rules import Looks, judged
from foundation.durable import link, write_text
from foundation.errors import InputError

if TYPE_CHECKING:
    from foundation.model import Model


def run(
    model: "Model",
    suite: Mapping[str, Any],
    folder: Path,
    seed: int,
    report: Callable[..., None],
) -> dict[str, Any]:
    """Draw each prompt `suite.pictures` times, lay the pictures out, and judge them.

    The layout `geneval/<prompt>/metadata.jsonl` and `samples/<n>.png` is what GenEval's own
    evaluation reads. With `suite.detector`, the shares of right pictures by task, `score` their
    mean, with intervals over prompts; each verdict stands in verdicts.csv.
    """
    asked = prompts(suite.get("prompts"))[: suite.get("limit")]
    detector = _detector(suite)  # before hours of drawing
    count = int(suite["pictures"])
    given = {"prompts": [each["prompt"] for each in asked], "count": count}
    results = model.results(
        "generate", {**suite.get("settings", {}), **given}, seed=seed, folder=folder / "pictures"
    )
    for made, _ in enumerate(results, 1):
        report(made)
    rows = results.table().select(["id", "output", "reason"]).to_pylist()
    _lay_out(folder, asked, rows, count)
    if detector is None:
        return {"pictures": len(rows), "score": None}
    model.close()
    return {"pictures": len(rows), **_figures(folder, asked, rows, count, detector)}


def prompts(path: Any) -> list[dict[str, Any]]:
    """The records of evaluation_metadata.jsonl; InputError where it is not there or not that."""
    if path is None:
        raise InputError(
            "suite=geneval needs suite.prompts=<evaluation_metadata.jsonl of GenEval's repository>"
        )
    place = Path(str(path)).expanduser()
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines if line.strip()]
        for number, record in enumerate(records, 1):
            if not all(name in record for name in ("tag", "prompt", "include")):
                raise InputError(f"suite.prompts: {place} line {number} lacks tag, prompt, include")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"suite.prompts: {place} cannot be read: {error}") from error
    if not records:
        raise InputError(f"suite.prompts: {place} holds no prompts")
    return records


def _detector(suite: Mapping[str, Any]) -> Any:
    if suite.get("detector") is None:
        return None
    from foundation.domains.image.detecting import Detector

    return Detector(suite["detector"], suite.get("detector_revision"), suite["colours"])


def _lay_out(
    folder: Path, asked: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], count: int
) -> None:
    """Links to the pictures, or copies where the disk has none."""
    for number, record in enumerate(asked):
        place = folder / "geneval" / f"{number:05d}"
        (place / "samples").mkdir(parents=True, exist_ok=True)
        write_text(place / "metadata.jsonl", json.dumps(record) + "\n")
    for row in rows:
        if row["output"] is None:
            continue
        prompt, sample = divmod(row["id"], count)
        source = folder / "pictures" / row["output"]
        target = folder / "geneval" / f"{prompt:05d}" / "samples" / f"{sample:04d}{source.suffix}"
        link(source, target)


def _figures(
    folder: Path,
    asked: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    count: int,
    looks: Looks,
) -> dict[str, Any]:
    from foundation.domains.image.pictures import opened
    from foundation.domains.image.suite import shares

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "tag", "prompt", "right", "reason"])
    marks = np.zeros((len(asked), count))
    for row in rows:
        prompt, sample = divmod(row["id"], count)
        record = asked[prompt]
        fine, why = False, row["reason"]
        if row["output"] is not None:
            fine, why = judged(opened(str(folder / "pictures" / row["output"])), record, looks)
        marks[prompt, sample] = fine
        writer.writerow([row["id"], record["tag"], record["prompt"], str(fine).lower(), why])
    write_text(folder / "verdicts.csv", text.getvalue())
    tags = [str(record["tag"]) for record in asked]
    return shares(tags, marks, list(dict.fromkeys(tags)))
