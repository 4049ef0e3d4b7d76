"""Picture files as they come in: opened once to be checked, and upright RGB when they are used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def check_picture(name: str, value: Any) -> None:
    """RequestError in one line for a file that is not there or no picture."""
    if not isinstance(value, str) or not value.strip():
        raise RequestError(f"{name} is no path of a picture: {value!r}")
    _ = size(value)


def size(path: str) -> tuple[int, int]:
    """Width and height of a picture, upright, from its head alone."""
    from PIL import Image

    try:
        with Image.open(Path(path).expanduser()) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = picture.size
    except Exception as error:  # Pillow fails with what it likes on foreign bytes
        raise _refusal(path, error) from error
    return (height, width) if turned else (width, height)


def opened(path: str, mode: str = "RGB") -> "Image.Image":
    """A picture as its camera held it; transparent parts lie on white. RequestError."""
    from PIL import Image, ImageOps

    try:
        with Image.open(Path(path).expanduser()) as picture:
            upright = ImageOps.exif_transpose(picture)
            upright.load()
    except Exception as error:
        raise _refusal(path, error) from error
    if "A" in upright.getbands() or "transparency" in upright.info:
        ground = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(ground, upright.convert("RGBA"))
    return upright.convert(mode)


def _refusal(path: str, error: Exception) -> RequestError:
    where = Path(path).expanduser()
    if not where.exists():
        return RequestError(f"there is no picture {path}: check the path")
    if where.is_dir():
        return RequestError(f"{path} is a folder: name a picture in it")
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return RequestError(f"{path} is no picture that can be read: {first}")
