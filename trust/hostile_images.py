"""Hostile images: each format bit by bit and by its structure, decoded as training and prediction do.

python trust/hostile_images.py --rounds 4        # 500 inputs a round and format
"""

import io
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from campaign import Attempt, Figures, Line, NotHere, run
from guard import Guard
from mutate import mutated

INPUTS = 500
"""In a round."""
MOST_PIXELS = 4_000_000
"""That the images may claim here."""
BYTES_A_PIXEL = 12
"""What a pixel may take while it is decoded; see ``showtell.data.pixels.files``."""


def _image(mode: str, size: tuple[int, int], number: int) -> Image.Image:
    """Draw colours that run into each other, with noise, so that a file is neither empty nor large."""
    noise = np.random.default_rng(number).integers(0, 40, (size[1], size[0], 3))
    ramp = np.linspace(0, 200, size[0])[None, :, None] + np.zeros((size[1], 1, 3))
    image = Image.fromarray((noise + ramp).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert(mode)


def seeds(format: str) -> list[bytes]:
    """Return sound files of a format, as different as its writers allow."""
    made: list[tuple[str, dict[str, Any]]] = {
        "JPEG": [
            ("RGB", {"quality": 90}), ("L", {}), ("CMYK", {}), ("RGB", {"progressive": True}),
            ("RGB", {"quality": 50, "subsampling": 2, "restart_marker_rows": 1}), ("RGB", {"exif": _exif()}),
        ],
        "PNG": [("RGB", {}), ("RGBA", {}), ("L", {}), ("LA", {}), ("P", {}), ("1", {}), ("I;16", {})],
        "WEBP": [("RGB", {"quality": 60}), ("RGBA", {"lossless": True}), ("RGB", {"save_all": True})],
        "GIF": [("P", {}), ("L", {}), ("P", {"save_all": True})],
        "BMP": [("RGB", {}), ("L", {}), ("P", {}), ("1", {}), ("RGBA", {})],
        "TIFF": [
            ("RGB", {}), ("L", {"compression": "tiff_lzw"}), ("RGB", {"compression": "tiff_adobe_deflate"}),
            ("RGB", {"compression": "jpeg"}), ("1", {"compression": "group4"}), ("I;16", {}),
            ("RGBA", {"compression": "packbits"}), ("RGB", {"save_all": True}), ("F", {}),
        ],
        "AVIF": [("RGB", {"speed": 10}), ("RGBA", {"speed": 10})],
        "PPM": [("RGB", {}), ("L", {}), ("1", {})],
        "HEIF": [("RGB", {}), ("RGBA", {})],
    }[format]  # fmt: skip
    if format == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            raise NotHere("pillow-heif is not installed") from None
        pillow_heif.register_heif_opener()
    found = []
    for number, (mode, options) in enumerate(made):
        image, buffer = _image(mode, (40 + number, 33), number), io.BytesIO()
        if options.get("save_all"):
            options = options | {"append_images": [_image(mode, (40 + number, 33), number + 9)]}
        image.save(buffer, format, **options)
        found.append(buffer.getvalue())
    return found


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "camera"
    return exif


def _decode(content: bytes) -> None:
    """Decode an image in the two ways that there are."""
    from showtell.data.images import Preprocessing, load_pixels
    from showtell.data.pixels.opening import decode

    small = Preprocessing(32, 32, "stretch", 1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)
    found = decode(content, max_pixels=MOST_PIXELS)
    if found.image.mode != "RGB" or found.image.size != (found.width, found.height) or not found.format:
        raise AssertionError(f"decoded to {found.image.mode}, {found.image.size}")
    if load_pixels(content, small).shape != (3, 32, 32):
        raise AssertionError("the pixels have another shape")


@contextmanager
def _hostile(format: str, folder: Path) -> Iterator[Attempt]:
    from showtell.errors import ImageError

    sound = seeds(format)
    for content in sound:
        _decode(content)  # loads the decoders, and shows that a sound file is read
    guard = Guard(_decode, (ImageError,), lambda size: BYTES_A_PIXEL * MOST_PIXELS + 4 * size, folder)

    def make(chance: random.Random) -> tuple[bytes, bytes]:
        content = mutated(chance.choice(sound), chance, sound)
        return content, content

    def attempt(chance: random.Random) -> Figures:
        return guard.try_all(make, INPUTS, str(chance.random()))

    yield attempt


def _line(format: str) -> Callable[[Path], AbstractContextManager[Attempt]]:
    return partial(_hostile, format)


LINES = tuple(
    Line(format, _line(format), share=2 if format in ("JPEG", "PNG", "TIFF") else 1)
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "HEIF")
)

if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    sys.exit(run("hostile_images", __doc__, LINES))
