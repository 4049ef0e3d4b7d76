"""A digest of a file, within the file: sha256 of its bytes with the digest's own digits as zeros.

Any format that holds a text can hold it, and whoever has the file alone can check every other byte
of it. It tells what was altered by accident or without care: it is no signature, and who knows this
rule can seal a forgery.
"""

import hashlib
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.errors import FoundationError

LEAD = "sha256 with these digits as 0: "
BLANK = LEAD + "0" * 64
"""What is written where the seal is to stand."""
_SEAL = re.compile(LEAD.encode() + rb"([0-9a-f]{64})")
# What a provenance begins with, whatever the format makes of its quotes.
_TOLD = re.compile(rb"made_by.{3,20}foundation-toolkit")
_PNG = b"\x89PNG\r\n\x1a\n"
MOST = 64
"""Seals of one file that are looked at: an input may quote one, and then there are two."""


def seal(path: Path) -> None:
    """Put the digest in the place of a file's last BLANK."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.rfind(BLANK.encode()) + len(LEAD)
        if at < len(LEAD):
            raise FoundationError(f"{path.name} has no place for its seal")
        # Read, not mapped: a table's pages would be this process's memory while they are hashed.
        data[at : at + 64] = hashlib.file_digest(file, "sha256").hexdigest().encode()
        for place, size in _checksums(data, at):
            data[place : place + 4] = struct.pack(">I", zlib.crc32(data[place - size : place]))


def sealed(text: str) -> str:
    """A text with the digest in the place of its last BLANK; without one, the text."""
    head, blank, tail = text.rpartition(BLANK)
    if not blank:
        return text
    return f"{head}{LEAD}{hashlib.sha256(text.encode()).hexdigest()}{tail}"


def intact(data: Any) -> bool | None:
    """Whether bytes, or a file mapped into memory, are what was sealed; None without any seal."""
    state = None
    for count, found in enumerate(_SEAL.finditer(data)):
        if count == MOST:
            return False
        if _agrees(data, found.start(1)):
            return True
        state = False
    return False if state is None and _TOLD.search(data) else state


def intact_file(path: Path) -> bool | None:
    """As `intact`, of a file of any size."""
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file cannot be mapped
            return None
        with data:
            return intact(data)


def _agrees(data: Any, at: int) -> bool:
    digits = bytes(data[at : at + 64])
    blank: list[tuple[int, bytes]] = [(at, b"0" * 64)]
    for place, size in _checksums(data, at):
        chunk = bytes(data[place - size : place])
        if struct.pack(">I", zlib.crc32(chunk)) != data[place : place + 4]:
            return False
        chunk = chunk.replace(digits, b"0" * 64)
        blank.append((place, struct.pack(">I", zlib.crc32(chunk))))
    found, last = hashlib.sha256(), 0
    with memoryview(data) as view:
        for place, other in blank:
            found.update(view[last:place])
            found.update(other)
            last = place + len(other)
        found.update(view[last:])
    return found.hexdigest().encode() == digits


def _checksums(data: Any, at: int) -> Iterator[tuple[int, int]]:
    """Of a PNG, where the checksum of the chunk around a place stands, and the bytes it is of."""
    if data[:8] != _PNG:
        return
    start = 8
    while start + 8 <= at:
        end = start + 8 + struct.unpack(">I", data[start : start + 4])[0]
        if start + 8 <= at < end <= len(data) - 4:
            yield end, end - start - 4
            return
        start = end + 4
