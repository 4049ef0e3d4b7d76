"""Windows of a collection -> pairs of views that lie on each other and differ as two years do."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from foundation.domains.geospatial.collection import Window
from foundation.domains.geospatial.views import (
    cut,
    distances,
    joined,
    lit,
    moved,
    sometimes,
)
from foundation.draws import Draws

FIRST = 64  # step of the draws, after those of `views`


def pair(windows: Sequence[Window], draws: Draws, augment: float) -> dict[str, Tensor]:
    """Two views of each window, the second ones after the first, where other crops grow.

    pixels [2 rows, bands, SIDE, SIDE], bands (wavelengths) [2 rows, bands] with 0 for none,
    distance [2 rows].
    """
    uniform = torch.from_numpy(draws.uniform(FIRST, (8,))).float()
    views = []
    for number in range(2):
        step = FIRST + 8 * number
        pixels, bands = cut(windows, draws, step + 1)
        pixels = moved(pixels, uniform, torch.ones(len(windows)))
        if number:
            other = grown(pixels, draws, step + 3)
            pixels = sometimes(other, pixels, draws, step + 2, augment)
        lighter = lit(pixels, bands, draws, step + 6)
        pixels = sometimes(lighter, pixels, draws, step + 5, augment)
        pixels = pixels * (bands > 0)[:, :, None, None]
        views.append({"pixels": pixels, "bands": bands, "distance": distances(windows)})
    return joined(views)


def grown(pixels: Tensor, draws: Draws, step: int) -> Tensor:
    """Other crops on the same fields: what looked alike still does, in another colour.

    A mixture of random waves of the spectrum (the random features of Rahimi and Recht 2008), and
    light that changes slowly over the window.
    """
    rows, count = pixels.shape[:2]
    normal = torch.from_numpy(draws.normal(step, (count * count + 16,)))
    uniform = torch.from_numpy(draws.uniform(step + 1, (count + 1,))).float()
    weights = normal[:, : count * count].view(rows, count, count) * (2 / count) ** 0.5
    angle = torch.einsum("nbc,nchw->nbhw", weights, pixels)
    other = 1.2 * torch.sin(angle + 2 * math.pi * uniform[:, 1:, None, None])
    slow = normal[:, count * count :].view(rows, 1, 4, 4)
    slow = functional.interpolate(slow, size=pixels.shape[2:], mode="bicubic", align_corners=True)
    share = uniform[:, 0, None, None, None]
    return (1 - share) * pixels + share * other + 0.25 * slow
