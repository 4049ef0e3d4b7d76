"""A notebook shows the maps of scenes, and reasons as text."""

from pathlib import Path

import pyarrow as pa
from PIL import Image

from foundation.domains.geospatial.notebook import html


def test_scenes_are_shown_with_their_maps_or_their_reason(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1000), "red").save(tmp_path / "map.png")
    rows = {
        "id": [0, 1],
        "input": ["a/<b>.tif", "c.tif"],
        "reason": [None, "no <b>bands</b>"],
        "sensor": ["sentinel-2", None],
        "scenes": [["one.tif"], None],
        "scene_windows": [[3], None],
        "similarities": [[0.5], None],
    }
    view = html(pa.table(rows), tmp_path)
    assert view.count("<img") == 1
    assert "width:480px" in view
    assert "sensor sentinel-2<br>0.500: one.tif, window 3" in view
    assert "&lt;b&gt;.tif" in view
    assert "no &lt;b&gt;bands" in view
