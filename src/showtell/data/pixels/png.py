"""A PNG file without what its pixels do not need."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

MAGIC = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf"}
_MOST_CHUNKS = 100_000
_MAX_PROFILE = 16_000_000
"""Most bytes of a colour profile once it is unpacked."""


def bare(content: bytes) -> tuple[bytes, bytes | None]:
    """Take out the chunks that the pixels do not need: long texts, large profiles, damaged remarks.

    Pillow refuses a file for a text of more than a megabyte, and for a wrong check sum of any chunk.

    Args:
        content: Of the file.

    Returns:
        The file with the chunks of its pixels, and its colour profile where it has one of a bearable size.
    """
    parts, profile, file = [MAGIC], None, BytesIO(content)
    for kind, place, length in _chunks(file):
        if kind in _PIXELS:
            parts.append(content[place - 8 : place + length + 4])
        elif kind == b"iCCP":
            profile = _unpacked(content[place : place + length])
    return b"".join(parts), profile


def exif_block(file: BinaryIO) -> bytes:
    """Return the EXIF data of a PNG file, which may lie behind its pixels; empty where it holds none."""
    for kind, _, length in _chunks(file):
        if kind == b"eXIf":
            return file.read(length)
    return b""


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, place and length of the data of each chunk; the file stands at that place then."""
    place = len(MAGIC)
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind, place + 8, length
        place += 12 + length


def _unpacked(chunk: bytes) -> bytes | None:
    """Return the profile of an iCCP chunk: a name, a zero, the method, and the packed profile."""
    packed = chunk.partition(b"\0")[2][1:]
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed, _MAX_PROFILE)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else profile
