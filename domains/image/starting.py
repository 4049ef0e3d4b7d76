"""Pictures that begin from a picture: image-to-image and inpainting, where a pipeline has them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from foundation.domains.image.inputs import Generate
from foundation.domains.image.loading import parameters
from foundation.domains.image.pictures import opened
from foundation.domains.image.quiet import BROKEN, quiet
from foundation.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Views:
    """The pipelines that draw with one model's parts: from text, from a picture, within a mask."""

    def __init__(self, pipe: Any) -> None:
        self._made = {"text": pipe}

    def of(self, request: Generate) -> Any:
        """The pipeline for a request; RequestError where the model has none of that kind."""
        kind = "text" if request.image is None else "image" if request.mask is None else "inpaint"
        if kind not in self._made:
            self._made[kind] = self._make(kind)
        return self._made[kind]

    def _make(self, kind: str) -> Any:
        import diffusers

        plain = self._made["text"]
        needed = "mask_image" if kind == "inpaint" else "image"
        if needed in parameters(plain):
            return plain
        auto = "Inpainting" if kind == "inpaint" else "Image2Image"
        try:
            with quiet():
                made = getattr(diffusers, f"AutoPipelineFor{auto}").from_pipe(plain)
        except BROKEN as error:
            what = "within a mask" if kind == "inpaint" else "from a picture"
            raise RequestError(f"image: {type(plain).__name__} does not draw {what}") from error
        made.set_progress_bar_config(disable=True)
        return made


def alone(pipe: Any, request: Generate) -> bool:
    """Whether a picture is drawn alone: some pipelines take a list as one picture's sources."""
    return request.image is not None and "strength" not in parameters(pipe)


def started(pipe: Any, batch: Sequence[Generate], size: tuple[int, int]) -> dict[str, Any]:
    """What a call is given of the pictures it begins from, brought to `size`, width and height."""
    first = batch[0]
    if first.image is None:
        return {}
    taken = parameters(pipe)
    if first.strength is not None and "strength" not in taken:
        raise RequestError(f"strength: {type(pipe).__name__} draws the whole picture anew")
    given: dict[str, Any] = {"image": [_sized(str(each.image), size) for each in batch]}
    if first.mask is not None:
        given["mask_image"] = [_sized(str(each.mask), size, "L") for each in batch]
    if first.strength is not None:
        given["strength"] = float(first.strength)
    return given


def kept(
    pictures: "NDArray[np.float32]", batch: Sequence[Generate], size: tuple[int, int]
) -> "NDArray[np.float32]":
    """Pictures with what their masks keep laid over them: a VAE changes all it passes on."""
    import numpy as np

    if batch[0].mask is None:
        return pictures
    for row, request in enumerate(batch):
        anew = np.asarray(_sized(str(request.mask), size, "L"))[..., None] >= 128
        before = np.asarray(_sized(str(request.image), size), dtype=np.float32) / 255
        pictures[row] = np.where(anew, pictures[row], before)
    return pictures


def _sized(path: str, size: tuple[int, int], mode: str = "RGB") -> Any:
    picture = opened(path, mode)
    return picture if picture.size == size else picture.resize(size)
