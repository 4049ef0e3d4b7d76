"""`task=segment` and `task=classify`: a class for each patch of a scene, or for the whole."""

from dataclasses import replace

import numpy as np

from foundation.adapter import Output
from foundation.domains.geospatial import classmap
from foundation.domains.geospatial.head import Head
from foundation.domains.geospatial.outputs import named
from foundation.domains.geospatial.parts import OfScene, RasterParts


class Labelling(OfScene):
    """One scene whose patches get classes. dense: a map is wanted too."""

    def __init__(self, parts: RasterParts, head: Head, dense: bool) -> None:
        super().__init__(parts)
        self.head, self.dense = head, dense

    def join(self) -> Output:
        """The commonest class of the patches (segment), or that of their mean logits (classify)."""
        found, parts = self.parts.summary(), self.parts
        if found.reason is not None:
            return found
        counts = np.zeros(len(self.head.classes), np.int64)
        total, patches = np.zeros(parts.units.patch), 0
        for strip in parts.strips():
            there = strip.vectors[np.isfinite(strip.vectors[..., 0])].astype(np.float32)
            told = self.head.probabilities(there).argmax(-1)
            counts += np.bincount(told, minlength=len(counts))
            total += there.sum(0)
            patches += len(there)
        extra = {
            **found.extra,
            "classes": list(self.head.classes),
            "shares": (counts / max(1, patches)).tolist(),
        }
        if self.dense and parts.sink is not None:
            rows = (self.head.probabilities(strip.vectors) for strip in parts.strips())
            classmap.write(parts.sink, parts.facts, rows, self.head.classes)
            value = named("classes.tif", int(parts.sink.name))
            return replace(found, value=value, extra=extra)
        likely = self.head.probabilities(total / max(1, patches))
        label = self.head.classes[int(likely.argmax())]
        extra["probability"] = float(likely.max())
        return replace(found, value=label, extra=extra)
