"""Keep the decoders from writing on the user's terminal: in this thread, and while they decode.

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

from PIL import _imaging


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
