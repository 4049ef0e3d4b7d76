"""What embedding a scene needs beside the network: its vectors pass GDAL's cache to the file."""

import warnings
from pathlib import Path
from typing import Any

WRITING = 66_000_000
"""Bytes of reading and writing whatever the size of the scene, about."""
COPIES = 5.5
"""Of a scene's vectors, in float16, while its file is made, about."""
MOST = 2 * 256 * 2**20
"""Bytes beyond which they are not held; GDAL's cache twice."""


def writing(request: Any, patch: int, width: int) -> int:
    """Bytes of a scene that is a file here, by the size its header tells; 0 for a window of one."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    raster = getattr(request, "raster", None)
    if not isinstance(raster, str) or not Path(raster).is_file():
        return 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(raster) as file:
                places = (file.width // patch) * (file.height // patch)
    except RasterioError:  # what is wrong with it is told where it is read
        return 0
    return WRITING + int(min(COPIES * 2 * places * width, MOST))
