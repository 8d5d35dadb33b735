"""Pillow's decoders: which are used, kept from writing on the user's terminal, and why a file is refused.

Pillow warns of damaged EXIF with a path of this machine, and libtiff writes on standard error by itself.
``warnings.catch_warnings`` and a redirected descriptor would reach into all other threads as well, and where
the blocks of two threads overlap, the older list of filters could come back in the wrong order. So one filter
stands among the others for as long as any thread decodes, matches in decoding threads alone, and is gone
afterwards. Raising ``Image.MAX_IMAGE_PIXELS`` instead would let the user's own code open any bomb meanwhile.
"""

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from PIL import _imaging, features

from showtell.data.pixels import jpeg, tiff
from showtell.errors import ImageError


class _HereOnly(threading.local):
    """Stands for every message of the threads that are decoding, and for none of any other."""

    depth = 0

    def match(self, _: str) -> bool:
        """Answer the machinery of warnings, which asks a filter's regular expression."""
        return self.depth > 0

    def filter(self, _: logging.LogRecord) -> bool:
        """Answer the machinery of logging."""
        return self.depth == 0


_here = _HereOnly()
_FILTER: Any = ("ignore", _here, Warning, None, 0)
_lists: list[list[Any]] = []
"""The lists that hold the filter: another one for each ``catch_warnings`` that a thread has entered."""
_lock = threading.Lock()
_decoding = 0
_in_libtiff = 0
_handler: int | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what Pillow would warn of in this thread; other threads' warnings are printed as ever."""
    global _decoding
    with _lock:
        _decoding += 1
        # Asked each time: whoever leaves a catch_warnings puts an older list of filters back.
        if _FILTER not in warnings.filters:
            warnings.filters.insert(0, _FILTER)  # type: ignore[attr-defined]
            _lists.append(warnings.filters)  # type: ignore[arg-type]
    _here.depth += 1
    try:
        yield
    finally:
        _here.depth -= 1
        with _lock:
            _decoding -= 1
            if _decoding == 0:
                # Whoever leaves a catch_warnings later puts the list back that the filter came into first.
                for filters in (*_lists, warnings.filters):
                    while _FILTER in filters:
                        filters.remove(_FILTER)  # type: ignore[attr-defined]
                _lists.clear()


@contextmanager
def quiet_libtiff() -> Iterator[None]:
    """Drop what libtiff prints of a damaged file; of any file, for as long as one thread reads a TIFF."""
    global _in_libtiff, _handler
    logger, set_handler = logging.getLogger("PIL.TiffImagePlugin"), _libtiff()
    with _lock:
        _in_libtiff += 1
        if _in_libtiff == 1:
            logger.addFilter(_here)
            _handler = set_handler(None) if set_handler else None
    try:
        yield
    finally:
        with _lock:
            _in_libtiff -= 1
            if _in_libtiff == 0:
                logger.removeFilter(_here)
                if set_handler:
                    set_handler(_handler)


@cache
def _libtiff() -> Any:
    """Return the function that sets libtiff's error handler and returns the one before; None without it."""
    try:
        # Names of the libraries that Pillow's own one is linked to are found through it.
        function = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError, TypeError):
        return None
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    return function


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""Formats whose decoders are part of Pillow; left out are those that start other programs (EPS)."""

_SAVE = "save it as JPEG or PNG first"
_PICTURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", f"a JPEG XL image; {_SAVE} (djxl)"),
    (0, b"\0\0\0\x0cJXL ", f"a JPEG XL image; {_SAVE} (djxl)"),
    (0, b"\0\0\0\x0cjP  ", f"a JPEG 2000 image; {_SAVE} (opj_decompress)"),
    (0, b"\xff\x4f\xff\x51", f"a JPEG 2000 image; {_SAVE} (opj_decompress)"),
    (0, b"II\xbc\x01", f"a JPEG XR image; {_SAVE}"),
    (0, b"8BPS", f"a Photoshop document (PSD); {_SAVE}"),
    (0, b"gimp xcf", f"a GIMP document (XCF); {_SAVE}"),
    (0, b"%PDF", "a PDF document; save its pages as PNG first (pdftoppm -png)"),
    (0, b"%!PS", f"a PostScript document; {_SAVE}"),
    (0, b"\0\0\1\0", f"an icon (ICO); {_SAVE}"),
    (0, b"v/1\x01", f"an OpenEXR image, of light without an upper end; {_SAVE}"),
    (0, b"#?RADIANCE", f"a Radiance HDR image, of light without an upper end; {_SAVE}"),
    (0, b"SIMPLE  =", f"a FITS image; {_SAVE}"),
    (128, b"DICM", "a DICOM image, whose brightness window must be chosen; save it as PNG first"),
    (0, b"\x93NUMPY", "a NumPy array, whose scale is not known; save it as PNG first"),
)
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "it is a Git LFS pointer; fetch the real file (git lfs pull)"),
    (0, b"PK\x03\x04", "it holds a ZIP archive; unpack it first"),
    (0, b"Rar!", "it holds a RAR archive; unpack it first"),
    (0, b"7z\xbc\xaf", "it holds a 7z archive; unpack it first"),
    (0, b"\x1f\x8b", "it holds a gzip archive; unpack it first"),
    (257, b"ustar", "it holds a tar archive; unpack it first"),
    (0, b"\x89HDF", "it holds HDF5 data; save its images as PNG first"),
    (0, b"\x1aE\xdf\xa3", "it is a film; save those of its frames that matter"),
    (4, b"ftyp", "it is a film; save those of its frames that matter"),
    (4, b"moov", "it is a film; save those of its frames that matter"),
    (8, b"AVI ", "it is a film; save those of its frames that matter"),
)
_KNOWN = (b"\xff\xd8", b"\x89PNG\r\n", b"GIF8", *tiff.MAGIC, b"BM", b"RIFF")


def unreadable(name: str, content: bytes) -> ImageError:
    """Return the refusal of a file that no decoder knows."""
    takes = f"Expected {', '.join(FORMATS)} or HEIC."
    if image := _image(content):
        return ImageError(f"{name} cannot be read: it is {image}.", hint=takes)
    return ImageError(f"{name} is not an image: {_other(content)}.", hint=takes)


def no_preview(name: str) -> ImageError:
    """Return the refusal of a camera's raw file that holds no ready image."""
    return ImageError(
        f"{name} cannot be read: it is a camera's raw file without a preview in it; save it as JPEG first.",
        hint="The camera's own program, darktable or RawTherapee writes JPEG.",
    )


def _image(content: bytes) -> str:
    """Name an image of a kind that is not read; empty where it is none that is known."""
    for place, beginning, answer in _PICTURES:
        if content[place : place + len(beginning)] == beginning:
            return answer
    if content[4:12] in (b"ftypavif", b"ftypavis") and not features.check("avif"):
        return "an AVIF image, and this Pillow was built without AVIF; install a newer one"
    frame = jpeg.read_frame(content) if content.startswith(b"\xff\xd8") else None
    if frame is not None and frame.oddity:
        return f"{frame.oddity}, which few programs read; {_SAVE} (ImageMagick)"
    pages = tiff.Tiff(content).pages if content.startswith(tiff.MAGIC) else []
    if pages and pages[0].pixels:
        return f"a TIFF of {pages[0].storage}, which is not supported, or it is damaged; {_SAVE}"
    return ""


def _other(content: bytes) -> str:
    start = content[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return f"it holds a web page or an XML text, namely an SVG drawing; {_SAVE} (rsvg-convert)"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<!--")):
        return "it holds a web page or an XML text"
    for place, beginning, answer in _OTHERS:
        if content[place : place + len(beginning)] == beginning:
            return answer
    if content.startswith(_KNOWN):
        return "it begins as one, but is damaged or cut off"
    return f"its first bytes are {content[:8].hex(' ')}"
