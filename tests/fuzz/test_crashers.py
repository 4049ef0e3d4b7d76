"""What fuzzing found and was mended: each is refused in one line."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from safetensors.numpy import save_file

from foundation import registry
from foundation.cli import main
from foundation.domains.geospatial import files as geospatial
from foundation.domains.geospatial.reading import Question, opened
from foundation.domains.image import pictures
from foundation.domains.image.metadata import read_request
from foundation.errors import InputError, RequestError, RunFolderError, SourceError
from foundation.hub import resolve
from foundation.hub.facts import described
from foundation.pretrained import read_model, read_tokenizer
from foundation.runs import Run, finished
from foundation.trust.configs import check_folder


def _png(width: int, height: int, head: bytes = b"") -> bytes:
    chunk = b"IHDR" + (head or struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(chunk) - 4)
    return start + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IEND\xaeB`\x82"


def _exif(broken: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=b"Exif\0\0" + broken)
    return file.getvalue()


PICTURES = {
    "a header that is cut off": _png(9, 7, b"\0\0\0"),
    "more pixels than memory": _png(60_000, 60_000),
    "metadata of no kind": _exif(b"\0MM*\0\0\0"),
    "metadata that breaks off": _exif(b"MM\0*\0\0\0\x08\0\x09\x01"),
    "nothing": b"",
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_s_head_and_metadata(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PICTURES[name])
    for look in (pictures.opened, lambda p: pictures.check_picture("image", p)):
        try:
            look(str(path))
        except RequestError as error:
            assert "\n" not in str(error)  # noqa: PT017
    with pytest.raises(RequestError, match="does not say how it was drawn"):
        read_request(path)


@pytest.mark.parametrize("text", ["7", "[]", '"x"', "[" * 100_000, '{"a": ', '{"wersion": 1}'])
def test_a_config_or_a_tokenizer_that_is_none(text: str, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text(text)
    spec = described(registry.spec("language/qwen2.5-0.5b", path=str(tmp_path)))
    assert registry.resolve(spec.adapter).cost(spec).weights >= 0
    with pytest.raises(SourceError, match="holds no tokenizer"):
        read_tokenizer(tmp_path)


def test_weights_of_another_layout_than_their_header_says(tmp_path: Path) -> None:
    import torch

    config = {"model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 9,
              "num_attention_heads": 2, "intermediate_size": 8}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"w": np.zeros((2, 2), np.float32)}, tmp_path / "model.safetensors")
    data = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data.replace(b"F32", b"X32"))
    with pytest.raises(SourceError, match="cannot be read as AutoModel"):
        read_model(tmp_path, "AutoModel", torch.float32)


@pytest.mark.parametrize("text", ["", "7", "[]", '{"counts": 3}', '{"files": 1}', "[" * 100_000])
def test_a_run_folder_that_no_run_wrote(text: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "record.json").write_text(text)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunFolderError, match="no run writes such a file"):
        finished(tmp_path)
    (tmp_path / "record.json").unlink()
    with pytest.raises(RunFolderError):
        Run(tmp_path, {}, {"task": "a"})
    (tmp_path / "status.json").write_text(text)
    assert main(["task=status", f"task.run={tmp_path}"]) in (0, 2)
    assert "internal error" not in capsys.readouterr().err


def test_a_yaml_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\x80")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        check_folder(tmp_path)


def _zip(version: int = 20, name: bytes = "\u00e9.tif".encode()) -> bytes:
    """A zip whose directory says that it needs a version of the format, and names its file so."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("\u00e9.tif", b"x")
    data = bytearray(file.getvalue().replace("\u00e9.tif".encode(), name))
    data[data.index(b"PK\1\2") + 6] = version
    return bytes(data)


@pytest.mark.parametrize("data", [_zip(84), _zip(name=b"\xa4\xff.tif")], ids=["version", "name"])
def test_a_zip_that_python_cannot_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(RequestError, match="cannot be read as a zip"):
        list(geospatial.read(tmp_path / "a.zip"))
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(SourceError):
        resolve(str(tmp_path))


def test_a_raster_whose_tags_gdal_will_not_read(tmp_path: Path) -> None:
    """GDAL's own error came through rasterio, of a property asked again where pixels are warped."""
    path = tmp_path / "a.tif"
    settings = {"width": 20, "height": 24, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", **settings, **_PLACE) as file:
        file.write(np.ones((3, 24, 20), np.uint8))
    found = bytearray(path.read_bytes())
    rows = found.index(struct.pack("<HH", 278, 3))  # how many rows a strip has
    found[rows : rows + 8] = b"\xff" * 8
    path.write_bytes(found)
    asked = Question(str(path), resolution=20)
    with pytest.raises(RequestError, match="cannot be read: TIFFFetchNormalTag"), opened(asked):
        pass


@pytest.mark.timeout(20)
def test_a_raster_of_65535_bands(tmp_path: Path) -> None:
    """What all bands are was asked for each of them, for minutes."""
    path = tmp_path / "a.tif"
    sparse = {"width": 8, "height": 8, "count": 65_535, "dtype": "uint8", "SPARSE_OK": True}
    rasterio.open(path, "w", **sparse, **_PLACE).close()
    with pytest.raises(RequestError, match="65535 unnamed bands"), opened(Question(str(path))):
        pass


_PLACE = {"driver": "GTiff", "transform": rasterio.transform.from_origin(0, 240, 10, 10)}
