"""Raw files of cameras: the largest JPEG that the camera put into them."""

import re

from showtell.data.pixels import jpeg
from showtell.data.pixels.tiff import MAGIC, Tiff

_BEGINNINGS = (
    (0, b"FUJIFILMCCD-RAW"), (0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR"), (0, b"IIU\0"), (0, b"FOVb"),
    (0, b"\0MRM"), (4, b"ftypcrx"), (6, b"HEAPCCDR"),
)  # fmt: skip
"""Of Fujifilm, Olympus (three), Panasonic, Sigma, Minolta, and Canon's newer and older files."""
_MOST_PREVIEWS = 512


def is_camera_file(content: bytes) -> bool:
    """Say whether a file holds what a camera's sensor saw (DNG, NEF, CR2, CR3, ARW, RAF, ORF, RW2, ...)."""
    if content.startswith(MAGIC):
        return Tiff(content).is_camera_file
    return any(content[place : place + len(start)] == start for place, start in _BEGINNINGS)


def preview(content: bytes) -> tuple[bytes, int] | None:
    """Return the largest JPEG inside a raw file, and the orientation of the file around it.

    The sensor's own values may be coded as JPEG too, of a kind without loss that is no picture.
    """
    found = []
    for start in re.finditer(rb"\xff\xd8\xff[\xc0-\xfe]", content):
        frame = jpeg.read_frame(content, start.start())
        if frame is not None and frame.is_usual:
            found.append((frame.width * frame.height, -start.start()))
        if len(found) == _MOST_PREVIEWS:
            break
    if not found:
        return None
    pages = Tiff(content).pages if content.startswith(MAGIC) else []
    return content[-max(found)[1] :], pages[0].orientation if pages else 1
