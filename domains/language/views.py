"""What a head sees of texts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Views:
    """Texts, their vectors [texts, width], and the means of lower layers [texts, layers * width].

    The vectors and each layer's mean have length 1.
    """

    texts: tuple[str, ...]
    vectors: "NDArray[np.float32]"
    layers: "NDArray[np.float32]"

    def take(self, rows: "Sequence[int] | NDArray[np.int64]") -> "Views":
        """Those of some rows."""
        texts = tuple(self.texts[row] for row in rows)
        return Views(texts, self.vectors[rows], self.layers[rows])


@dataclass(frozen=True)
class Standard:
    """Takes what all texts share out of vectors, and lets every direction count alike.

    A causal model's states are large in a few directions that say nothing of the text (Timkey & van
    Schijndel, "All Bark and No Bite", 2021).
    """

    middle: "NDArray[np.float32]"
    spread: "NDArray[np.float32]"

    def of(self, views: Views) -> Views:
        """Views with standardised vectors."""
        return Views(views.texts, unit((views.vectors - self.middle) / self.spread), views.layers)


def standard(views: Views) -> Standard:
    """As the vectors of examples are."""
    spread = views.vectors.std(axis=0)
    return Standard(views.vectors.mean(axis=0), spread + 0.01 * spread.mean() + 1e-12)


def unit(rows: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Rows of length 1."""
    import numpy as np

    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
    return found


def lower(layers: int) -> tuple[int, ...]:
    """The hidden states below the last that are looked at, of `layers` layers: 0 is the words."""
    return tuple(dict.fromkeys(round(layers * share) for share in (0, 1 / 3, 2 / 3)))
