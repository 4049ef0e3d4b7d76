"""`task=embed`: a scene's vectors on the ground, in tables and as a map."""

from dataclasses import replace

from foundation.adapter import Output
from foundation.domains.geospatial import points, scene
from foundation.domains.geospatial.inputs import Embed
from foundation.domains.geospatial.outputs import named
from foundation.domains.geospatial.parts import OfScene, RasterParts


class Embedding(OfScene):
    """One scene to be embedded."""

    def __init__(self, request: Embed, parts: RasterParts) -> None:
        super().__init__(parts)
        self.request = request

    def join(self) -> Output:
        """The scene's files, in the sink, and its pooled vector."""
        found, parts = self.parts.summary(), self.parts
        if found.reason is not None or parts.sink is None:
            return found
        scene.write(parts.sink, parts.facts, parts.strips, parts.raster, self.request.store)
        if self.request.points is not None:
            points.write(parts.sink, parts.facts, parts.strips, parts.raster, self.request.points)
        return replace(found, value=named("embedding.tif", int(parts.sink.name)))
