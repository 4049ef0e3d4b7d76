"""A seal within a file holds every byte of it but itself."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from foundation.trust import provenance
from foundation.trust.seal import BLANK, LEAD, intact, intact_file, seal, sealed


@given(st.text(), st.text())
def test_any_text_around_a_seal_is_held(before: str, after: str) -> None:
    before, after = (t.encode("utf-8", "replace").decode() for t in (before, after))
    if BLANK in after:
        return
    data = sealed(before + BLANK + after).encode()
    assert intact(data)
    assert not intact(data + b"x")
    assert not intact(b"x" + data)
    assert not intact(data.replace(LEAD.encode(), LEAD.encode() + b"0", 1))


def test_a_quoted_seal_of_another_file_does_no_harm() -> None:
    other = sealed(f"a {BLANK}")
    data = sealed(json.dumps({"prompt": other, "seal": BLANK})).encode()
    assert intact(data)
    assert intact(data.replace(b"a sha256", b"b sha256")) is False
    assert intact(b"nothing at all") is None


def png(path: Path, **told: str) -> Path:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("foundation", provenance.text({"made_by": "us", **told}))
    Image.new("RGB", (9, 9), "red").save(path, "PNG", pnginfo=chunks)
    seal(path)
    return path


def test_every_bit_of_a_picture_is_held(tmp_path: Path) -> None:
    before = png(tmp_path / "a.png").read_bytes()
    assert intact(before)
    with Image.open(io.BytesIO(before)) as picture:  # its checksums are right
        picture.verify()
    for place in range(len(before)):
        for bit in (1, 128):
            changed = bytearray(before)
            changed[place] ^= bit
            assert not intact(bytes(changed)), place
    for size in range(len(before)):
        assert not intact(before[:size])


def test_a_changed_field_is_found_though_its_checksum_is_right(tmp_path: Path) -> None:
    data = png(tmp_path / "a.png", prompt="a cat").read_bytes()
    at = data.index(b"tEXt")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    chunk = data[at : at + 4 + length].replace(b"a cat", b"a dog")
    changed = data[:at] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[at + 8 + length :]
    with Image.open(io.BytesIO(changed)) as picture:
        assert "a dog" in picture.text["foundation"]
    assert intact(changed) is False


def test_a_picture_without_any_is_given_one(tmp_path: Path) -> None:
    Image.new("L", (5, 5)).save(tmp_path / "a.png")
    provenance.add_to_png(tmp_path / "a.png", {"made_by": "us", "model": "m"})
    once = (tmp_path / "a.png").read_bytes()
    provenance.add_to_png(tmp_path / "a.png", {"made_by": "others"})
    assert (tmp_path / "a.png").read_bytes() == once
    assert provenance.read(once)["model"] == "m"
    with Image.open(tmp_path / "a.png") as picture:
        picture.load()
    (tmp_path / "empty.png").write_bytes(b"")
    assert intact_file(tmp_path / "empty.png") is None


@pytest.mark.parametrize("told", [{"a": '"quoted"'}, {"a": "<&>"}, {"a": "日本"}])
def test_what_a_file_says_is_read_from_its_bytes(told: dict[str, str]) -> None:
    import html

    text = provenance.text({"made_by": "us", **told})
    for spelt in (text, html.escape(text), json.dumps({"foundation": text})):
        found = provenance.read(b"\x00\xff" + spelt.encode() + b"\xff{")
        assert {**found, "seal": ""} == {"made_by": "us", **told, "seal": ""}


@given(st.binary(max_size=300))
def test_any_bytes_can_be_looked_at(data: bytes) -> None:
    for head in (b"", b"\x89PNG\r\n\x1a\n", b'{"made_by"', LEAD.encode() + b"0" * 64):
        assert not intact(head + data + BLANK.encode())
        provenance.read(head + data + BLANK.encode())


def test_sealing_a_large_file_takes_no_memory_of_its_size(tmp_path: Path) -> None:
    path, size = tmp_path / "large", 96 * 2**20
    with path.open("wb") as file:
        file.seek(size)
        file.write(BLANK.encode())
    grown = r"""
import re, sys
from pathlib import Path
from foundation.trust.seal import seal
most = lambda: int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = most()
seal(Path(sys.argv[1]))
print((most() - before) * 1024)
"""
    told = subprocess.run(
        [sys.executable, "-c", grown, str(path)], check=True, capture_output=True, text=True
    )
    assert int(told.stdout) < size / 4
    assert intact_file(path)
