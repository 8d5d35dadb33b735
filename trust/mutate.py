"""Files changed at random: bits, bytes, numbers, pieces, by the structure of a format that is known."""

import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

Field = tuple[int, str]
"""Where a number lies, and how (as of the module struct)."""
Piece = tuple[int, int]
"""Where a segment, chunk or box begins and ends."""

_NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 32767, 32768, 65535, 1 << 20, (1 << 31) - 1)
_LARGE = (1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


def mutated(content: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return a file that was changed in one to four places.

    Args:
        content: Of a sound file.
        chance: Decides what is changed.
        others: Sound files whose pieces may be put in.
    """
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if not content:
            return content
        change = chance.choice(
            (_flip, _overwrite, _number, _cut, _repeat, _insert, _field, _field, _pieces, _pieces)
        )
        content = change(content, chance) if change is not _insert else _insert(content, chance, others)
    return _repaired(content) if chance.random() < 0.8 else content


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 3, 20))):
        changed[_place(content, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, chance: random.Random) -> bytes:
    start = _place(content, chance)
    length = min(chance.choice((1, 2, 4, 16, 256)), len(content) - start)
    filling = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
    return content[:start] + filling + content[start + length :]


def _number(content: bytes, chance: random.Random) -> bytes:
    return _put(content, _place(content, chance), chance.choice(("<H", ">H", "<I", ">I", "<Q", ">Q")), chance)


def _cut(content: bytes, chance: random.Random) -> bytes:
    start = _place(content, chance)
    if chance.random() < 0.5:
        return content[:start]
    return content[:start] + content[start + chance.choice((1, 2, 8, 100, 1000)) :]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    start = _place(content, chance)
    piece = content[start : start + chance.choice((1, 4, 30, 300))]
    return content[:start] + piece * chance.choice((2, 3, 50, 1000)) + content[start:]


def _insert(content: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others) if others else chance.randbytes(64)
    start, from_ = _place(content, chance), _place(other, chance)
    return content[:start] + other[from_ : from_ + chance.choice((8, 64, 1000))] + content[start:]


def _field(content: bytes, chance: random.Random) -> bytes:
    fields, _ = structure(content)
    return _put(content, *chance.choice(fields), chance) if fields else _number(content, chance)


def _pieces(content: bytes, chance: random.Random) -> bytes:
    """Drop, repeat, exchange or empty a piece."""
    _, pieces = structure(content)
    if not pieces:
        return _cut(content, chance)
    start, end = chance.choice(pieces)
    piece = content[start:end]
    match chance.randrange(5):
        case 0:
            return content[:start] + content[end:]
        case 1:
            return content[:start] + piece * chance.choice((2, 3, 100)) + content[end:]
        case 2:
            other = content[slice(*chance.choice(pieces))]
            return content[:start] + other + content[end:]
        case 3:
            return content[:start] + _flip(piece, chance) + content[end:] if piece else content
        case _:
            return content[:start] + _overwrite(piece, chance) + content[end:] if piece else content


def _place(content: bytes, chance: random.Random) -> int:
    """Draw a place; headers, which say most, more often than the rest."""
    end = len(content) if chance.random() < 0.6 else min(len(content), 128)
    return chance.randrange(end)


def _put(content: bytes, place: int, how: str, chance: random.Random) -> bytes:
    size = struct.calcsize(how)
    if place + size > len(content):
        return content
    before = struct.unpack_from(how, content, place)[0]
    value = chance.choice(
        (chance.choice(_NUMBERS), chance.choice(_LARGE), before + chance.choice((-1, 1)), before * 2)
    )
    return (
        content[:place]
        + (value % (1 << 8 * size)).to_bytes(size, "little" if how[0] == "<" else "big")
        + content[place + size :]
    )


def structure(content: bytes) -> tuple[list[Field], list[Piece]]:
    """Return the numbers and the pieces of a file, as far as its format is known."""
    for magic, at, reader in _FORMATS:
        if content[at : at + len(magic)] == magic:
            try:
                return reader(content)
            except (struct.error, IndexError):
                break
    return [], []


def _png(content: bytes) -> tuple[list[Field], list[Piece]]:
    fields: list[Field] = [(16, ">I"), (20, ">I"), *((place, ">B") for place in range(24, 29))]
    pieces, place = [], 8
    while place + 12 <= len(content) and len(pieces) < 500:
        length = struct.unpack_from(">I", content, place)[0]
        fields += [(place, ">I"), (place + 4, ">I"), (place + 8, ">I")]
        pieces.append((place, min(len(content), place + 12 + length)))
        place += 12 + length
    return fields, pieces


def _jpeg(content: bytes) -> tuple[list[Field], list[Piece]]:
    fields: list[Field] = []
    pieces, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF and len(pieces) < 500:
        length = struct.unpack_from(">H", content, place + 2)[0]
        end = min(len(content), place + 2 + length)
        fields += [
            (place + 1, ">B"),
            (place + 2, ">H"),
            *((at, ">B") for at in range(place + 4, min(end, place + 24))),
        ]
        if 0xC0 <= content[place + 1] <= 0xCF:
            fields += [(place + 5, ">H"), (place + 7, ">H")] * 4
        pieces.append((place, end))
        if content[place + 1] == 0xDA:
            pieces.append((end, len(content)))
            break
        place = end
    return fields, pieces


def _tiff(content: bytes) -> tuple[list[Field], list[Piece]]:
    order = "<" if content[:2] == b"II" else ">"
    fields: list[Field] = [(4, f"{order}I")]
    pieces: list[Piece] = []
    place = struct.unpack_from(f"{order}I", content, 4)[0]
    for _ in range(8):
        count = struct.unpack_from(f"{order}H", content, place)[0]
        fields.append((place, f"{order}H"))
        for entry in range(place + 2, place + 2 + 12 * min(count, 100), 12):
            fields += [
                (entry, f"{order}H"),
                (entry + 2, f"{order}H"),
                (entry + 4, f"{order}I"),
                (entry + 8, f"{order}I"),
            ]
            pieces.append((entry, entry + 12))
        following = place + 2 + 12 * count
        fields.append((following, f"{order}I"))
        place = struct.unpack_from(f"{order}I", content, following)[0]
        if not place:
            break
    return fields, pieces


def _riff(content: bytes) -> tuple[list[Field], list[Piece]]:
    fields: list[Field] = [(4, "<I")]
    pieces, place = [], 12
    while place + 8 <= len(content) and len(pieces) < 200:
        length = struct.unpack_from("<I", content, place + 4)[0]
        fields += [(place + 4, "<I"), *((at, "<H") for at in range(place + 8, place + 30, 2))]
        pieces.append((place, min(len(content), place + 8 + length + length % 2)))
        place += 8 + length + length % 2
    return fields, pieces


def _boxes(
    content: bytes, start: int = 0, end: int | None = None, depth: int = 0
) -> tuple[list[Field], list[Piece]]:
    fields: list[Field] = []
    pieces: list[Piece] = []
    end = len(content) if end is None else end
    while start + 8 <= end and len(pieces) < 200:
        length = struct.unpack_from(">I", content, start)[0]
        stop = min(end, start + max(8, length))
        fields.append((start, ">I"))
        fields += [(at, ">I") for at in range(start + 8, min(stop, start + 48) - 3, 2)]
        pieces.append((start, stop))
        inner = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"moov": 8, b"iinf": 14}.get(
            content[start + 4 : start + 8]
        )
        if inner and depth < 6:
            more = _boxes(content, start + inner, stop, depth + 1)
            fields += more[0]
            pieces += more[1]
        start = stop
    return fields, pieces


def _gif(content: bytes) -> tuple[list[Field], list[Piece]]:
    fields: list[Field] = [(6, "<H"), (8, "<H"), (10, "<B"), (11, "<B"), (12, "<B")]
    pieces: list[Piece] = []
    for found in re.finditer(rb"[\x21\x2c]", content[13:]):
        place = 13 + found.start()
        fields += [
            (place + 1, "<H"),
            (place + 3, "<H"),
            (place + 5, "<H"),
            (place + 7, "<H"),
            (place + 9, "<B"),
        ]
        pieces.append((place, min(len(content), place + 19)))
        if len(pieces) > 100:
            break
    return [field for field in fields if field[0] + 2 <= len(content)], pieces


def _bmp(content: bytes) -> tuple[list[Field], list[Piece]]:
    return [(at, "<I") for at in range(2, 54, 4)] + [(26, "<H"), (28, "<H")] * 3, [(0, 14), (14, 54)]


def _ppm(content: bytes) -> tuple[list[Field], list[Piece]]:
    return [], [found.span() for found in re.finditer(rb"\d+", content[:40])]


def _safetensors(content: bytes) -> tuple[list[Field], list[Piece]]:
    header = [found.span() for found in re.finditer(rb"\d+|\"[^\"]*\"|[\[{}\],:]", content[8:4096])]
    return [(0, "<Q")] * 3, [(8 + start, 8 + end) for start, end in header]


_FORMATS: tuple[tuple[bytes, int, Callable[[bytes], tuple[list[Field], list[Piece]]]], ...] = (
    (b"\x89PNG", 0, _png),
    (b"\xff\xd8", 0, _jpeg),
    (b"II", 0, _tiff),
    (b"MM", 0, _tiff),
    (b"RIFF", 0, _riff),
    (b"ftyp", 4, _boxes),
    (b"GIF8", 0, _gif),
    (b"BM", 0, _bmp),
    (b"P", 0, _ppm),
    (b"{", 8, _safetensors),
)


def _repaired(content: bytes) -> bytes:
    """Make the checksums of a PNG right again, which otherwise hide what comes behind them."""
    if not content.startswith(b"\x89PNG"):
        return content
    changed = bytearray(content)
    for start, end in _png(content)[1]:
        if end - start >= 12:
            changed[end - 4 : end] = zlib.crc32(changed[start + 4 : end - 4]).to_bytes(4, "big")
    return bytes(changed)
