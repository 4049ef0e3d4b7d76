"""Satellite rasters: embeddings on the ground."""

from foundation.spec import Domain, Task

_HERE = "foundation.domains.geospatial"

DOMAIN = Domain(
    name="geospatial",
    default="geospatial/starter",
    noun="scenes",
    read=f"{_HERE}.files:read",
    write=f"{_HERE}.outputs:write",
    suites={"geo": f"{_HERE}.suite:run"},
    tasks={
        "embed": Task(
            request=f"{_HERE}.inputs:Embed",
            item="raster",
            columns={
                "sensor": "string",
                "bands": "list<string>",
                "assumed": "string",
                "resolution": "float64",
                "crs": "string",
                "height": "int64",
                "width": "int64",
                "windows": "int64",
                "embedded_windows": "int64",
                "valid_fraction": "float64",
                "embedding": "vector",
            },
        ),
    },
)
