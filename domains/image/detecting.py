"""Objects in pictures, by a detector or a segmenter of transformers with COCO's classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from foundation import registry
from foundation.domains.image.geneval_rules import Seen
from foundation.errors import SourceError

if TYPE_CHECKING:
    from PIL import Image

# GenEval's names of what COCO calls otherwise.
NAMES = {
    "mouse": "computer mouse", "keyboard": "computer keyboard", "remote": "tv remote",
    "hair dryer": "hair drier",
}  # fmt: skip
COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
GREY = 153


class Detector:
    """Finds objects; their colours are named by `colours`, a model of the registry."""

    def __init__(self, source: str, revision: str | None, colours: str) -> None:
        import torch
        from transformers import AutoConfig, AutoImageProcessor

        from foundation.hub import resolve
        from foundation.pretrained import quiet, read_model

        folder = resolve(source, revision=revision).path
        with quiet():
            try:
                config = AutoConfig.from_pretrained(folder, local_files_only=True)
                self._prepare = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            except (OSError, ValueError) as error:
                said = str(error).partition("\n")[0]
                raise SourceError(f"{folder} is no detector: {said}") from error
        self._masks = any("Segmentation" in name for name in config.architectures or ())
        kind = "AutoModelForUniversalSegmentation" if self._masks else "AutoModelForObjectDetection"
        self._model = read_model(folder, kind, torch.float32)
        self._labels = config.id2label
        self._colours = colours
        self._naming: Any = None

    def objects(self, picture: "Image.Image", sure: float) -> Sequence[Seen]:
        """The objects found with at least that confidence."""
        import torch

        given = self._prepare(images=picture, return_tensors="pt")
        size = [(picture.height, picture.width)]
        with torch.inference_mode():
            made = self._model(**given)
        if self._masks:
            found = self._prepare.post_process_instance_segmentation(
                made, threshold=sure, target_sizes=size, return_binary_maps=True
            )[0]
            return [
                self._seen(part["label_id"], part["score"], None, np.asarray(mask) > 0)
                for part, mask in zip(found["segments_info"], found["segmentation"], strict=True)
                if np.asarray(mask).any()
            ]
        found = self._prepare.post_process_object_detection(
            made, threshold=sure, target_sizes=size
        )[0]
        parts = zip(found["labels"], found["scores"], found["boxes"], strict=True)
        return [
            self._seen(int(label), float(score), tuple(box.tolist()), None)
            for label, score, box in parts
        ]

    def colour(self, picture: "Image.Image", seen: Seen) -> str:
        """The colour of an object, of which alone is looked at."""
        from PIL import Image

        pixels = np.asarray(picture)
        if seen.mask is not None:
            pixels = np.where(seen.mask[..., None], pixels, np.uint8(GREY))
        left, top, right, bottom = (round(side) for side in seen.box)
        crop = Image.fromarray(pixels[max(top, 0) : bottom + 1, max(left, 0) : right + 1])
        templates = (
            f"a photo of a {{label}} {seen.name}",
            f"a photo of a {{label}}-colored {seen.name}",
            "a photo of a {label} object",
        )
        likely = self._named().likely([crop], COLOURS, templates)[0]
        return COLOURS[int(likely.argmax())]

    def _named(self) -> Any:
        if self._naming is None:
            from foundation.model import Model
            from foundation.placement import place

            spec = registry.spec(self._colours)
            self._naming = Model(spec, place("auto", spec.dtype)).adapter
        return self._naming

    def _seen(self, label: int, score: float, box: Any, mask: Any) -> Seen:
        if box is None:
            rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
            box = (columns[0], rows[0], columns[-1], rows[-1])
        name = str(self._labels[label]).lower()
        left, top, right, bottom = map(float, box)
        return Seen(NAMES.get(name, name), float(score), (left, top, right, bottom), mask)
