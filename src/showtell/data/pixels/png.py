"""A PNG file without what its pixels do not need."""

import struct
import zlib

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
    parts, profile, place = [MAGIC], None, len(MAGIC)
    for _ in range(_MOST_CHUNKS):
        head = content[place : place + 8]
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        end = place + 12 + length
        if kind in _PIXELS:
            parts.append(content[place:end])
        elif kind == b"iCCP":
            profile = _unpacked(content[place + 8 : end - 4])
        place = end
    return b"".join(parts), profile


def _unpacked(chunk: bytes) -> bytes | None:
    """Return the profile of an iCCP chunk: a name, a zero, the method, and the packed profile."""
    packed = chunk.partition(b"\0")[2][1:]
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed, _MAX_PROFILE)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else profile
