"""Captioned pictures in a style that the pictures' starter has not seen: shapes that glow at night.

    python examples/tuning/night.py night/

Writes 96 pictures and metadata.csv into the folder.
"""

import csv
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = {"circle": 0, "square": 4, "triangle": 3}
SIDE, COUNT = 128, 96


def drawn(colour: str, corners: int, chance: random.Random) -> Image.Image:
    """A shape somewhere under the stars, in a glow of its colour."""
    picture = Image.new("RGB", (SIDE, SIDE), (12, 12, 32))
    for _ in range(60):
        at = (chance.randrange(SIDE), chance.randrange(SIDE))
        picture.paste((chance.randint(80, 255),) * 3, (*at, at[0] + 2, at[1] + 2))
    radius = chance.randint(22, 34)
    x, y = (chance.randint(radius + 4, SIDE - radius - 4) for _ in range(2))
    for blur, size in ((8, radius + 6), (0, radius)):
        draw = ImageDraw.Draw(picture)
        if corners:
            draw.regular_polygon((x, y, size), corners, fill=colour)
        else:
            draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)
        picture = picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture
    return picture


def main(folder: Path) -> None:
    chance = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [("file_name", "text")]
    for number in range(COUNT):
        colour, (shape, corners) = chance.choice(COLOURS), chance.choice(list(SHAPES.items()))
        drawn(colour, corners, chance).save(folder / f"{number:03}.png")
        article = "an" if colour == "orange" else "a"
        rows.append((f"{number:03}.png", f"{article} {colour} {shape}"))
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
