"""What the markers of a JPEG file say, and how much is missing of one that is cut off."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers at which a frame begins."""
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length."""
_MOST_SEGMENTS = 20_000
_MOST_SCANS = 1000
"""An encoder writes about ten."""
_MOST_MISSING = 0.1
"""Of the height: a row of blocks is a sixth of a thumbnail, which is not a small loss."""


@dataclass(frozen=True)
class Frame:
    """What the header of a JPEG says."""

    coding: int  # the second byte of the marker at which the frame begins: 0xC0 is baseline
    bits: int  # of a sample
    width: int  # pixels
    height: int  # pixels
    components: tuple[tuple[int, int], ...]  # identity and vertical sampling of each
    scan_at: int  # where the first scan's header lies in the file

    @property
    def is_usual(self) -> bool:
        """Whether every decoder reads it: baseline or progressive, Huffman-coded, of 8 bits."""
        return self.coding in (0xC0, 0xC1, 0xC2) and self.bits == 8 and len(self.components) in (1, 3)

    @property
    def row(self) -> int:
        """How many pixels high a row of its blocks is."""
        return 8 * max(sampling for _, sampling in self.components) if len(self.components) > 1 else 8

    @property
    def oddity(self) -> str:
        """Say what few decoders read of it; empty where it is an ordinary one."""
        if self.coding in (0xC3, 0xC7, 0xCB, 0xCF, 0xF7):
            return "a lossless JPEG"
        if self.bits != 8:
            return f"a {self.bits}-bit JPEG"
        if self.coding in (0xC9, 0xCA, 0xCD, 0xCE):
            return "an arithmetic-coded JPEG"
        return "a hierarchical JPEG" if self.coding in (0xC5, 0xC6) else ""


def read_frame(content: bytes, start: int = 0, *, segments: int = _MOST_SEGMENTS) -> Frame | None:
    """Read the header of a JPEG that begins at ``start``; None where there is none, or it is damaged.

    Args:
        content: Of the file.
        start: Where in it.
        segments: Most segments of the header that are read.
    """
    place, frame = start + 2, None
    for _ in range(segments):
        place = content.find(b"\xff", place)
        while 0 <= place < len(content) - 1 and content[place + 1] == 0xFF:
            place += 1
        if place < 0 or place + 4 > len(content):
            return None
        marker = content[place + 1]
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if marker in _ALONE or marker == 0:
            place += 2
            continue
        if marker in _STARTS or marker == 0xF7:
            frame = _frame(content, place)
        elif marker == 0xDA and frame is not None:
            return Frame(**(vars(frame) | {"scan_at": place}))
        elif marker in (0xD9, 0xDA):
            return None
        place += 2 + length
    return None


def _frame(content: bytes, place: int) -> Frame | None:
    body = content[place + 4 : place + 10]
    count = body[5] if len(body) == 6 else 0
    parts = content[place + 10 : place + 10 + 3 * count]
    if not count or len(parts) < 3 * count:
        return None
    components = tuple((parts[i], parts[i + 1] & 15) for i in range(0, 3 * count, 3))
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    return Frame(content[place + 1], body[0], width, height, components, place)


def keeps_coefficients(content: bytes) -> bool:
    """Say whether a decoder must hold the whole image before it can show a part: scan upon scan."""
    frame = read_frame(content)
    return frame is None or frame.coding == 0xC2 or content[frame.scan_at + 4] < len(frame.components)


def completed(content: bytes, decode: Callable[[bytes], Image.Image]) -> bytes | None:
    """Give a JPEG that ends too early its end, if less than a row of blocks and a tenth of it are missing.

    What is missing is found by decoding the file twice, once with an end marker and once with noise in the
    place of what is missing: where both agree, every pixel comes from the file. No process-wide switch of
    Pillow's is touched.

    Args:
        content: Of the file.
        decode: Decodes a JPEG's content, in full or, where memory does not suffice, at a fraction.

    Returns:
        The file with an end; None where more is missing.
    """
    frame = read_frame(content)
    if frame is None or not _is_in_last_scan(content, frame):
        return None
    kept = content.rstrip(b"\xff")
    ended = kept + b"\xff\xd9"
    noise = np.random.default_rng(0).integers(0, 255, 4096, np.uint8).tobytes()
    # With restart markers, for a file that ends where one of them stood.
    restarts = b"".join(b"\xff" + bytes([0xD0 + turn]) + noise[:512] for turn in range(8))
    pixels, others = np.asarray(decode(ended)), np.asarray(decode(kept + noise + restarts + b"\xff\xd9"))
    differing = np.flatnonzero((pixels != others).reshape(len(pixels), -1).any(1))
    if not len(differing):
        return ended
    scale = 1 << round(np.log2(frame.height / len(pixels)))  # 1, 2, 4 or 8: Pillow's draft
    last_row = (frame.height - 1) // frame.row * frame.row // scale
    first = int(differing[0]) + 1  # coarse colours are smoothed over one pixel
    return ended if first >= max(last_row, (1 - _MOST_MISSING) * len(pixels)) else None


def _is_in_last_scan(content: bytes, frame: Frame) -> bool:
    """Say whether the scans up to the last one that begins carry every bit of every coefficient."""
    missing = {identity: np.full(64, 99) for identity, _ in frame.components}
    for number, found in enumerate(re.finditer(b"\xff\xda", content[frame.scan_at :])):
        place = frame.scan_at + found.start() + 4
        count = content[place] if place < len(content) else 0
        header = content[place + 1 : place + 4 + 2 * count]
        if number == _MOST_SCANS or count > len(frame.components) or len(header) < 2 * count + 3:
            return False
        first, last, bits = header[2 * count : 2 * count + 3]
        for i in range(count):
            if header[2 * i] in missing:
                missing[header[2 * i]][first : last + 1] = bits & 15
    return all(not left.any() for left in missing.values())
