"""A map of classes: classes.tif, with the probability beside, and classes.png with its key."""

import colorsys
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.domains.geospatial import cog, scene
from foundation.domains.geospatial.facts import Facts

NONE = 255
LEVELS = 254  # of probability, 0 to 1


def write(
    folder: Path, facts: Facts, rows: Iterable[NDArray[np.float32]], classes: Sequence[str]
) -> None:
    """Probabilities [some rows, columns, classes] from the top, NaN for none, as a map.

    classes.tif has two bands of uint8: the number of the class, and its probability * 254; 255 is
    none. Its tag `classes` names them in their order.
    """
    step = scene.apart(facts)
    picture, colours = [], palette(len(classes))

    def bands() -> Iterable[NDArray[np.uint8]]:
        top = 0
        for likely in rows:
            there = np.isfinite(likely[..., 0])
            told = np.where(there, np.nan_to_num(likely).argmax(-1), NONE).astype(np.uint8)
            sure = np.where(there, LEVELS * np.nan_to_num(likely).max(-1), NONE).astype(np.uint8)
            picture.append(colours[told[-top % step :: step, ::step]])
            top += len(likely)
            yield np.stack([told, sure])

    cog.write(
        folder / "classes.tif",
        facts,
        bands(),
        ("class", "probability"),
        dtype="uint8",
        nodata=NONE,
        overviews="mode",
        tags={"classes": json.dumps(list(classes))},
    )
    drawn = np.concatenate(picture)
    scene.picture(folder / "classes.png", drawn, dict(zip(classes, colours, strict=False)))


def palette(count: int) -> NDArray[np.uint8]:
    """Colours of classes that are told apart, [256, 4]; NONE is transparent."""
    found = np.zeros((256, 4), np.uint8)
    for number in range(count):
        light = 0.85 if number % 2 else 0.6
        colour = colorsys.hsv_to_rgb(number / max(1, count), 0.65, light)
        found[number] = [*(int(255 * share) for share in colour), 255]
    return found
