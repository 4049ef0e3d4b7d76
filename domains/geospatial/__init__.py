"""Satellite rasters: embeddings on the ground."""

from foundation.spec import Domain

_HERE = "foundation.domains.geospatial"

DOMAIN = Domain(
    name="geospatial",
    default="geospatial/starter",
    noun="scenes",
    read=f"{_HERE}.files:read",
    tasks={},
)
