"""Windows of a collection -> pairs of views that differ as two sensors, days and angles would."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from foundation.domains.geospatial.collection import SIDE, Scene, Window
from foundation.domains.geospatial.network import patches
from foundation.draws import Draws

CUT = 96  # pixels cut out, so that turned and shrunk views find what lies beside the window
BANDS = 6  # at most, of one view
TRUE_COLOUR = (664.6, 559.8, 492.4)
SEEN, HIDDEN = 24, 12  # patches of a view that are looked at, and that are to be told


def view(
    windows: Sequence[Window], draws: Draws, step: int, augment: float, patch: int
) -> dict[str, Tensor]:
    """One view of each window.

    patches [rows, SEEN + HIDDEN, bands, patch * patch], plain, which are those SEEN in the light of
    the window, bands (wavelengths) [rows, bands] with 0 for none, distance [rows], rows and columns
    [rows, SEEN + HIDDEN] of the patches.
    """
    uniform = torch.from_numpy(draws.uniform(step, (8,))).float()
    pixels, bands = cut(windows, draws, step + 1)
    scale = torch.exp(0.8 * uniform[:, 0] - 0.4)
    plain = moved(pixels, uniform, scale)
    pixels = sometimes(lit(plain, bands, draws, step + 3), plain, draws, step + 2, augment)
    there = (bands > 0)[:, :, None, None]
    count = SIDE // patch
    order = torch.from_numpy(draws.uniform(step + 4, (count * count,))).argsort(1)
    order = order[:, : SEEN + HIDDEN]
    row = torch.arange(len(order))[:, None]
    shift = (uniform[:, 6:8] * 32).floor().long()  # so that only the way between patches tells
    return {
        "patches": patches(pixels * there, patch)[row, order],
        "plain": patches(plain * there, patch)[row, order[:, :SEEN]],
        "bands": bands,
        "distance": distances(windows) * scale,
        "rows": order // count + shift[:, :1],
        "columns": order % count + shift[:, 1:],
    }


def joined(views: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Views of the same rows as one batch, one after another."""
    return {name: torch.cat([one[name] for one in views]) for name in views[0]}


def sometimes(changed: Tensor, plain: Tensor, draws: Draws, step: int, share: float) -> Tensor:
    """Pixels [rows, bands, height, width], those of a share of the rows changed."""
    chosen = torch.from_numpy(draws.uniform(step) < share)[:, None, None, None]
    return torch.where(chosen, changed, plain)


def _scene(window: Window) -> Scene:
    found: Scene = window.collection.scenes[window.collection.windows[window.number, 0]]
    return found


def distances(windows: Sequence[Window]) -> Tensor:
    """Metres a pixel [rows]."""
    return torch.tensor([_scene(window).distance for window in windows])


def cut(windows: Sequence[Window], draws: Draws, step: int) -> tuple[Tensor, Tensor]:
    """Some bands of each window and what lies around [rows, bands, CUT, CUT]; their wavelengths."""
    uniform = draws.uniform(step, (2 + 16,))
    most = min(BANDS, max(len(_scene(window).wavelengths) for window in windows))
    pixels = np.zeros((len(windows), most, CUT, CUT), np.float32)
    bands = np.zeros((len(windows), most), np.float32)
    for row, window in enumerate(windows):
        number, top, left = window.collection.windows[window.number].tolist()
        scene = window.collection.scene(number)
        waves = np.array(_scene(window).wavelengths, np.float32)
        taken = _bands(waves, uniform[row])
        places = [
            _mirrored(first - (CUT - SIDE) // 2, size)
            for first, size in zip((top, left), scene.shape[1:], strict=True)
        ]
        for slot, band in enumerate(taken):
            pixels[row, slot] = scene[band][places[0][:, None], places[1]]
        bands[row, : len(taken)] = waves[taken]
    return torch.from_numpy(pixels), torch.from_numpy(bands)


def _bands(waves: NDArray[np.float32], uniform: NDArray[np.float32]) -> list[int]:
    """Which bands a view sees: mostly true colour, else a few at random."""
    near = [int(np.abs(waves - wave).argmin()) for wave in TRUE_COLOUR]
    order: list[int] = np.argsort(uniform[2 : 2 + len(waves)]).tolist()
    if len(waves) == 3:
        return order[: 3 if uniform[0] < 0.8 else 1 + int(2 * uniform[1])]
    if uniform[0] < 0.35 and np.abs(waves[near] - TRUE_COLOUR).max() < 40:
        return near
    return order[: 2 + int(uniform[1] * (min(BANDS, len(waves)) - 1))]


def _mirrored(first: int, size: int) -> NDArray[np.int64]:
    """Places first .. first + CUT - 1, mirrored into 0 .. size - 1."""
    places = np.arange(first, first + CUT) % (2 * size)
    return np.where(places < size, places, 2 * size - 1 - places)


def moved(pixels: Tensor, uniform: Tensor, scale: Tensor) -> Tensor:
    """Turned by any angle or by quarters, mirrored, moved and scaled: [rows, bands, SIDE, SIDE]."""
    quarter = (uniform[:, 1] * 4).floor() * (math.pi / 2)
    skew = torch.where(uniform[:, 2] < 0.5, (uniform[:, 2] - 0.25) * math.pi, 0.0)
    angle = quarter + skew
    size = scale * (SIDE / CUT)
    flip = torch.where(uniform[:, 3] < 0.5, -1.0, 1.0)
    move = (uniform[:, 4:6] - 0.5) * (16 * 2 / CUT)
    cos, sin = size * angle.cos(), size * angle.sin()
    turn = torch.stack([cos * flip, -sin, move[:, 0], sin * flip, cos, move[:, 1]], 1)
    grid = functional.affine_grid(
        turn.view(-1, 2, 3), [len(pixels), 1, SIDE, SIDE], align_corners=False
    )
    return functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def lit(pixels: Tensor, bands: Tensor, draws: Draws, step: int) -> Tensor:
    """Another gain and offset, of all bands and of each, haze, which is blue, and noise."""
    count = pixels.shape[1]
    uniform = torch.from_numpy(draws.uniform(step, (4 + 2 * count,))).float()
    centred = 2 * uniform - 1
    gain = torch.exp(0.3 * centred[:, :1] + 0.12 * centred[:, 4 : 4 + count])
    offset = 0.25 * centred[:, 1:2] + 0.12 * centred[:, 4 + count :]
    haze = (0.8 * uniform[:, 2:3] - 0.55).clamp(min=0)
    veil = 1.5 * torch.exp(-(bands - 450).clamp(min=0) / 400)
    lit = pixels * (gain * (1 - haze))[:, :, None, None] + (offset + haze * veil)[:, :, None, None]
    noise = (0.3 * uniform[:, 3] - 0.15).clamp(min=0)
    seed = int(uniform[0, 0] * 2**24)
    grain = torch.randn(lit.shape, generator=torch.Generator().manual_seed(seed))
    return lit + noise[:, None, None, None] * grain


def turned(pixels: Tensor, draws: Draws) -> Tensor:
    """Windows [rows, bands, side, side], each by a quarter turn of its own, half mirrored."""
    choice = draws.uniform(2, (2,))
    found = []
    for image, (quarter, flip) in zip(pixels, choice, strict=True):
        image = torch.rot90(image, int(4 * quarter), (1, 2))
        found.append(image.flip(2) if flip < 0.5 else image)
    return torch.stack(found)
