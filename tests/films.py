"""Films that a test writes itself: any frame at any time, stored on any side, as phones write them."""

import struct
from collections.abc import Sequence

from PIL import Image

from conftest import encoded

_ONE = 0x10000
_SECOND = 1000
"""Ticks of the film's clock."""
_TURNS = {0: (_ONE, 0, 0, _ONE), 90: (0, _ONE, -_ONE, 0), 180: (-_ONE, 0, 0, -_ONE), 270: (0, -_ONE, _ONE, 0)}


def film(frames: Sequence[Image.Image], apart: Sequence[int], *, late: int = 0, turn: int = 0) -> bytes:
    """Return a QuickTime film of JPEG frames.

    Args:
        frames: All of one size.
        apart: Milliseconds that each frame is shown.
        late: Milliseconds before the first frame.
        turn: Degrees, clockwise, that a player is told to turn the frames.
    """
    images = [encoded(frame, "JPEG", quality=95) for frame in frames]
    width, height = frames[0].size
    head = _box(b"ftyp", b"qt  ", _words(0x200), b"qt  ")
    depth = struct.pack(">Hh", 24, -1)
    entry = _box(
        b"jpeg",
        bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", width, height),
        _words(72 * _ONE, 72 * _ONE, 0) + struct.pack(">H", 1) + bytes(32) + depth,
    )
    table = _box(
        b"stbl",
        _box(b"stsd", _words(0, 1), entry),
        _box(b"stts", _words(0, len(apart), *(value for ticks in apart for value in (1, ticks)))),
        _box(b"stsc", _words(0, 1, 1, len(images), 1)),
        _box(b"stsz", _words(0, 0, len(images), *map(len, images))),
        _box(b"stco", _words(0, 1, len(head) + 8)),
    )
    here = _box(b"dinf", _box(b"dref", _words(0, 1), _box(b"url ", _words(1))))
    total = sum(apart)
    media = _box(
        b"mdia",
        _box(b"mdhd", _words(0, 0, 0, _SECOND, total), struct.pack(">HH", 0x55C4, 0)),
        _box(b"hdlr", _words(0, 0), b"vide", bytes(13)),
        _box(b"minf", _box(b"vmhd", _words(1, 0, 0)), here, table),
    )
    edits = [(late, -1)] * bool(late) + [(total, 0)]
    edited = _words(0, len(edits), *(value for span, start in edits for value in (span, start, _ONE)))
    size = _words(width * _ONE, height * _ONE)
    track = _box(
        b"trak",
        _box(b"tkhd", _words(7, 0, 0, 1, 0, total + late), bytes(16), _matrix(turn), size),
        _box(b"edts", _box(b"elst", edited)),
        media,
    )
    movie = _words(0, 0, 0, _SECOND, total + late, _ONE) + bytes(12) + _matrix(0) + bytes(24) + _words(2)
    return head + _box(b"mdat", *images) + _box(b"moov", _box(b"mvhd", movie), track)


def _matrix(turn: int) -> bytes:
    a, b, c, d = _TURNS[turn]
    return _words(a, b, 0, c, d, 0, 0, 0, 0x40000000)


def _words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *(value & 0xFFFFFFFF for value in values))


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body
