"""What a picture's file says of how it was drawn, and the request it says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

KEY = "foundation"
SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
CLOSE = 8
"""Of 255, by which a picture may differ from itself drawn in another batch."""
_DESCRIPTION = 0x010E  # EXIF's ImageDescription, which must be ASCII
_REDRAWN = (
    "negative", "width", "height", "steps", "guidance", "scheduler", "lora", "image_seed",
    "image", "mask", "strength", "speed", "format",
)  # fmt: skip
_QUALITY: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True},
    "png": {},
}


def save(picture: "Image.Image", file: Any, kind: str, told: Mapping[str, Any]) -> None:
    """Write a picture as `kind`, png, jpeg or webp, with what is told of it as JSON.

    A PNG has it in its text chunk "foundation", the others in EXIF's ImageDescription.
    """
    from PIL import Image, PngImagePlugin

    text = json.dumps(told)
    more = dict(_QUALITY[kind])
    if kind == "png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text(KEY, text)
        more["pnginfo"] = chunks
    else:
        exif = Image.Exif()
        exif[_DESCRIPTION] = json.dumps({KEY: told})
        more["exif"] = exif
    picture.save(file, kind.upper(), **more)


def read_request(path: Path) -> dict[str, Any]:
    """The request that a picture says it was drawn by; RequestError where it says nothing."""
    try:
        told = _told(path)
        settings = {name: told[name] for name in _REDRAWN if told.get(name) is not None}
        return {"prompt": told["prompt"], **settings}
    except Exception as error:  # Pillow fails with what it likes on foreign bytes
        raise RequestError(
            f"task.input: {path} does not say how it was drawn: give a picture that a run wrote"
        ) from error


def same(path: Path, other: Path) -> bool:
    """Whether two pictures show the same: no channel of a pixel differs by more than CLOSE."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as one, Image.open(other) as two:
        first, second = (np.asarray(picture.convert("RGB"), np.int16) for picture in (one, two))
    return first.shape == second.shape and int(np.abs(first - second).max()) <= CLOSE


def _told(path: Path) -> dict[str, Any]:
    from PIL import Image

    with Image.open(path) as picture:
        if picture.format == "PNG":
            return dict(json.loads(getattr(picture, "text", {})[KEY]))
        return dict(json.loads(picture.getexif()[_DESCRIPTION])[KEY])
