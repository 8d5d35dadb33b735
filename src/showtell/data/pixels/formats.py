"""What Pillow does not do by itself of PNG, HEIC, animations and the raw files of cameras."""

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import islice
from typing import BinaryIO

from PIL import Image

from showtell.data.pixels.files import decodable_pixels, too_large
from showtell.data.pixels.jpeg import read_frame
from showtell.data.pixels.tiff import MAGIC, Directory, Tiff
from showtell.errors import ImageError

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf"}
_MOST_CHUNKS = 100_000
_MAX_PROFILE = 16_000_000
"""Most bytes of a colour profile once it is unpacked."""


def bare_png(content: bytes) -> tuple[bytes, bytes | None]:
    """Take out the chunks that the pixels do not need: long texts, large profiles, damaged remarks.

    Pillow refuses a file for a text of more than a megabyte, and for a wrong check sum of any chunk.

    Returns:
        The file with the chunks of its pixels, and its colour profile where it has one of a bearable size.
    """
    parts, profile, file = [PNG_MAGIC], None, BytesIO(content)
    for kind, place, length in _chunks(file):
        if kind in _PIXELS:
            parts.append(content[place - 8 : place + length + 4])
        elif kind == b"iCCP":
            profile = _unpacked(content[place : place + length])
    return b"".join(parts), profile


def png_exif(file: BinaryIO) -> bytes:
    """Return the EXIF data of a PNG file, which may lie behind its pixels; empty where it holds none."""
    for kind, _, length in _chunks(file):
        if kind == b"eXIf":
            return file.read(length)
    return b""


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, place and length of the data of each chunk; the file stands at that place then."""
    place = len(PNG_MAGIC)
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


_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs")
_ANY_CODEC = (b"mif1", b"msf1", b"MiHE", b"miaf")


def is_heic(content: bytes) -> bool:
    """Say whether a file begins as a HEIC image; one coded by AV1 is an AVIF image, which Pillow reads."""
    if content[4:8] != b"ftyp":
        return False
    size = int.from_bytes(content[:4], "big")
    compatible = content[16 : min(size, 256)]
    if content[8:12] in _ANY_CODEC:
        return b"avif" not in compatible and b"crx " not in compatible
    return content[8:12] in _BRANDS


def open_heic(content: bytes, name: str, max_pixels: int | None) -> Image.Image:
    """Decode a HEIC image.

    Args:
        content: Of the file.
        name: How messages call it.
        max_pixels: Most pixels it may claim; None for what the memory allows.

    Returns:
        An image that stands upright: libheif has turned it, as the standard wants, and its EXIF has no say.

    Raises:
        ImageError: pillow-heif is not installed, or the image is too large.
    """
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            f"{name} is a HEIC image, as iPhones write them; reading it needs pillow-heif, which is not "
            "installed (the extra showtell[heic]).",
            hint="Save it as JPEG, or install the package.",
            run="pip install pillow-heif",
        ) from None
    try:
        found = pillow_heif.open_heif(content, convert_hdr_to_8bit=True)
        heif = found[found.primary_index]
    except Exception as error:  # it names no exceptions of its own
        raise ImageError(f"{name} begins as a HEIC image, but cannot be decoded: {error}.") from error
    limit = decodable_pixels() if max_pixels is None else max_pixels
    if heif.size[0] * heif.size[1] > limit:
        raise too_large(name, f"{heif.size[0]}x{heif.size[1]}", limit)
    image = heif.to_pillow()
    image.info = {"icc_profile": heif.info.get("icc_profile")}
    image.format = "HEIC"
    return image


def heic_exif(file: BinaryIO) -> bytes:
    """Return the EXIF data of a HEIC image as they lie in the file; empty where it holds none.

    Raises:
        Exception: pillow-heif is not installed, or cannot read it.
    """
    import pillow_heif

    block: bytes | None = pillow_heif.open_heif(file).info.get("exif")
    return block or b""


_BEGINNINGS = (
    (0, b"FUJIFILMCCD-RAW"), (0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR"), (0, b"IIU\0"), (0, b"FOVb"),
    (0, b"\0MRM"), (4, b"ftypcrx"), (6, b"HEAPCCDR"),
)  # fmt: skip
"""Of Fujifilm, Olympus (three), Panasonic, Sigma, Minolta, and Canon's newer and older files."""
_MAX_PREVIEWS, _PREVIEW_SEGMENTS = 512, 512
"""Places that are looked at for a JPEG, and most segments of a header there; a camera writes a few."""


def is_camera_file(content: bytes) -> bool:
    """Say whether a file holds what a camera's sensor saw (DNG, NEF, CR2, CR3, ARW, RAF, ORF, RW2, ...)."""
    if content.startswith(MAGIC):
        return Tiff(content).is_camera_file
    return any(content[place : place + len(start)] == start for place, start in _BEGINNINGS)


def camera_preview(content: bytes) -> tuple[bytes, int] | None:
    """Return the largest JPEG inside a raw file, and the orientation of the file around it.

    The sensor's own values may be coded as JPEG too, of a kind without loss that is not an image.
    """
    found = []
    for start in islice(re.finditer(rb"\xff\xd8\xff[\xc0-\xfe]", content), _MAX_PREVIEWS):
        frame = read_frame(content, start.start(), segments=_PREVIEW_SEGMENTS)
        if frame is not None and frame.is_usual:
            found.append((frame.width * frame.height, -start.start()))
    if not found:
        return None
    pages = Tiff(content).pages if content.startswith(MAGIC) else []
    return content[-max(found)[1] :], pages[0].orientation if pages else 1


ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
"""Formats with frames; those of an MPO are other views, and helpers to the first."""
_UNSEEN = 16
"""Levels of 255 by which the pixels of a frame differ that still shows nothing: film fades in."""
_MOST_FRAMES = 32
"""Frames that are looked at for one that shows something."""


def largest_page(pages: Sequence[Directory], limit: int) -> int:
    """Return the place of the largest image of a TIFF that may be decoded; of equal ones the first."""
    images = [place for place, page in enumerate(pages) if not page.is_mask and page.pixels]
    fitting = [place for place in images if pages[place].pixels <= limit]
    if fitting:
        return max(fitting, key=lambda place: pages[place].pixels)
    return min(images, key=lambda place: pages[place].pixels, default=0)


def show_something(image: Image.Image) -> int:
    """Turn an animation to its first frame that is not empty or of one plain colour.

    Args:
        image: At its first frame, not yet decoded; of a TIFF, pages of the same size are its frames.

    Returns:
        The number of the frame; 0, and that frame, where none of the first ones shows anything.
    """
    first, size = image.tell(), image.size
    image.load()
    if not _is_plain(image):
        return first
    last = min(getattr(image, "n_frames", 1), first + _MOST_FRAMES)
    for number in range(first + 1, last):
        try:
            image.seek(number)
            image.load()
        except Exception:  # an animation that is cut off has shown what it has
            break
        if image.size == size and not _is_plain(image):
            return number
    image.seek(first)
    return first


def _is_plain(image: Image.Image) -> bool:
    """Say whether all pixels look alike, laid on white."""
    shown = image
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    elif image.mode == "P":
        shown = image.convert("RGB")
    extrema = shown.getextrema()
    pairs = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(high - low <= _UNSEEN for low, high in pairs)
