"""Keep the decoders from writing on the user's terminal: in this thread, and while they decode.

Pillow warns of damaged EXIF with a path of this machine, and libtiff writes on standard error by itself.
``warnings.catch_warnings`` and a redirected descriptor would reach into all other threads as well.
"""

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
_lock = threading.Lock()
_decoding = 0
_handler: int | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what Pillow and the libraries below it would print.

    Other threads' warnings are printed as ever. Only what libtiff says of a damaged file is dropped for all
    of them, for as long as one thread decodes.
    """
    _begin()
    _here.depth += 1
    try:
        yield
    finally:
        _here.depth -= 1
        _end()


def _begin() -> None:
    global _decoding, _handler
    with _lock:
        # Asked each time: whoever leaves a catch_warnings puts an older list of filters back.
        if _FILTER not in warnings.filters:
            warnings.filters.insert(0, _FILTER)  # type: ignore[attr-defined]
        _decoding += 1
        if _decoding == 1:
            logging.getLogger("PIL.TiffImagePlugin").addFilter(_here)
            if set_handler := _libtiff():
                _handler = set_handler(None)


def _end() -> None:
    global _decoding
    with _lock:
        _decoding -= 1
        if _decoding == 0:
            logging.getLogger("PIL.TiffImagePlugin").removeFilter(_here)
            with suppress(ValueError):
                warnings.filters.remove(_FILTER)  # type: ignore[attr-defined]
            if set_handler := _libtiff():
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
