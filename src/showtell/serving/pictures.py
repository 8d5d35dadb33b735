"""Images of a folder as a browser shows them: upright, small, JPEG, the latest kept in memory."""

import io
import threading
from collections import OrderedDict
from pathlib import Path

from showtell.data.pixels.opening import open_image
from showtell.data.pixels.preprocessing import Preprocessing

SIZES = (256, 1024)
"""Longest sides of the images that a page is sent, in pixels."""
_CACHED = 64_000_000
"""Bytes of such images that are kept in memory."""


class Pictures:
    """Images as a browser shows them.

    Args:
        seen: How the network sees images: a JPEG is decoded at twice that, which is enough for a small one.
    """

    def __init__(self, seen: Preprocessing) -> None:
        self._seen = seen
        self._kept: OrderedDict[tuple[Path, int], bytes] = OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()

    def read(self, path: Path, size: int = SIZES[0]) -> bytes:
        """Return an image with a longest side of at most ``size`` pixels.

        Raises:
            ImageError: It cannot be read.
        """
        key = (path, size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        image = open_image(path, shrink_to=self._seen if size == SIZES[0] else None)
        image.thumbnail((size, size))
        encoded = io.BytesIO()
        image.save(encoded, "JPEG", quality=85)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = encoded.getvalue()
                self._bytes += len(self._kept[key])
            while self._bytes > _CACHED:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return encoded.getvalue()
