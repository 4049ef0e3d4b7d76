"""What embedding a scene needs beside the network: its vectors pass GDAL's cache to the file."""

from pathlib import Path
from typing import Any

WRITING = 50_000_000
"""Bytes of reading, passing and writing whatever the size of the scene, about."""
COPIES = 6.0
"""Of a scene's vectors, in float16, while its file is made, about."""


def writing(request: Any, patch: int, width: int) -> int:
    """Bytes of a scene that is a file here, by what its header tells; 0 for a window of one.

    What was read fills GDAL's cache, and of the vectors twice that is held at most.
    """
    import numpy as np

    from foundation.domains.geospatial.reading import CACHE
    from foundation.domains.geospatial.sources import UNREADABLE, plainly_opened

    raster = getattr(request, "raster", None)
    if not isinstance(raster, str) or not Path(raster).is_file():
        return 0
    try:
        with plainly_opened(raster) as file:
            pixels = int(file.width * file.height)
            read = pixels * sum(int(np.dtype(kind).itemsize) for kind in file.dtypes)
    except (*UNREADABLE, TypeError):  # what is wrong with it is told where it is read
        return 0
    vectors = 2 * width * pixels // patch**2
    return WRITING + min(read, CACHE) + min(int(COPIES * vectors), 2 * CACHE)
