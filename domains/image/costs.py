"""What a fast picture costs: how far it is from the exact one, and from simply fewer steps."""

from dataclasses import dataclass
from math import inf, log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Distance = Callable[[Pixels, Pixels], float]


@dataclass(frozen=True)
class Costs:
    """times: exact seconds over fast ones. psnr: dB of the fast pictures to the exact ones.

    fewer: the exact steps that take as long as the fast picture, and `fewer_psnr` what they are to
    the exact pictures: who cannot beat that gains nothing. distance: of features, 0 to 2, likewise.
    """

    times: float
    psnr: float
    fewer: int
    fewer_psnr: float
    distance: float | None = None
    fewer_distance: float | None = None

    def line(self, how: str, steps: int) -> str:
        """As people read it."""
        gained, plain = shown(self.psnr, self.distance), shown(self.fewer_psnr, self.fewer_distance)
        return (
            f"speed=fast ({how}): {self.times:.2g} times as fast as exact ({steps} steps), "
            f"{gained} to it; simply {self.fewer} exact steps in the same time: {plain}"
        )


def costs(
    fast: "tuple[Pixels, float]",
    exact: "tuple[Pixels, float]",
    fewer: "tuple[Pixels, int]",
    distance: "Distance | None",
) -> Costs:
    """Costs of pictures [rows, height, width, 3]: fast and exact ones with their seconds, and those
    of fewer steps with their number."""
    return Costs(
        times=exact[1] / fast[1],
        psnr=psnr(fast[0], exact[0]),
        fewer=fewer[1],
        fewer_psnr=psnr(fewer[0], exact[0]),
        distance=None if distance is None else distance(fast[0], exact[0]),
        fewer_distance=None if distance is None else distance(fewer[0], exact[0]),
    )


def psnr(one: "Pixels", other: "Pixels") -> float:
    """Mean over pictures of the peak signal-to-noise ratio in dB; inf where all are equal."""
    import numpy as np

    errors = ((one.astype(np.float64) - other) ** 2).reshape(len(one), -1).mean(1)
    found = [inf if error == 0 else 10 * log10(255**2 / error) for error in errors.tolist()]
    return float(np.mean(found))


def shown(ratio: float, distance: float | None) -> str:
    """`PSNR 31.2 dB, DINO distance 0.041`."""
    text = "the same picture" if ratio == inf else f"PSNR {ratio:.1f} dB"
    return text if distance is None else f"{text}, DINO distance {distance:.3f}"


def dino(source: str, revision: str | None, device: str) -> "Distance":
    """1 less the cosine of the class tokens of two pictures, by a DINO or DINOv2 of transformers.

    Its weights are fetched; SourceError where they cannot be had.
    """
    import torch
    from transformers import AutoImageProcessor

    from foundation.hub import resolve
    from foundation.pretrained import quiet, read_model

    folder = resolve(source, revision=revision).path
    model = read_model(folder, "AutoModel", torch.float32).to(device)
    with quiet():
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)

    def features(pictures: Any) -> Any:
        given = processor(images=list(pictures), return_tensors="pt").to(device)
        with torch.no_grad():
            return model(**given).last_hidden_state[:, 0]

    def distance(one: "Pixels", other: "Pixels") -> float:
        alike = torch.cosine_similarity(features(one), features(other))
        return float(1 - alike.mean())

    return distance
