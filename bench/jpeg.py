"""Measure the decoding of large JPEGs at the fractions at which networks need them, and lossless coding.

    python bench/jpeg.py ../shared/data/phone [--python PEERS]

PEERS is a Python with some of simplejpeg, PyTurboJPEG, opencv-python, pyvips and torchvision beside Pillow
and NumPy; what it lacks is named and left out. Milliseconds of processor time a photo, medians of five,
with the largest difference of a value from Pillow's. Then the decode at a fourth is coded without loss in
several ways: its size as a share of the raw pixels, and what it takes to write and to read it.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from record import add_results, record

FRACTIONS, ROUNDS = (1, 2, 4, 8), 5
CODINGS: dict[str, dict[str, Any]] = {
    "PNG, level 1": {"format": "PNG", "compress_level": 1},
    "WebP, fastest": {"format": "WEBP", "lossless": True, "quality": 0, "method": 0},
    "TIFF, zstd": {"format": "TIFF", "compression": "zstd", "tiffinfo": {317: 2}},
    "raw": {"format": "PPM"},
}


def pillow(content: bytes, fraction: int) -> Any:
    """Decode as the package does."""
    image = Image.open(io.BytesIO(content))
    image.draft(None, (image.width // fraction, image.height // fraction))
    return np.asarray(image)


def decoders() -> Iterator[tuple[str, Callable[[bytes, int], Any]]]:
    """Yield the decoders that this Python has; say which it lacks."""
    yield "Pillow", pillow
    for make in (_simplejpeg, _turbojpeg, _opencv, _pyvips, _torchvision):
        try:
            yield make.__name__[1:], make()
        except (ImportError, OSError, RuntimeError) as error:
            print(f"{make.__name__[1:]} is left out: {str(error).splitlines()[0]}", file=sys.stderr)


def _simplejpeg() -> Callable[[bytes, int], Any]:
    import simplejpeg

    def decode(content: bytes, fraction: int) -> Any:
        height, width = (-(-side // fraction) for side in simplejpeg.decode_jpeg_header(content)[:2])
        return simplejpeg.decode_jpeg(content, min_height=height, min_width=width, min_factor=1)

    return decode


def _turbojpeg() -> Callable[[bytes, int], Any]:
    import turbojpeg

    reader = turbojpeg.TurboJPEG()
    return lambda content, fraction: reader.decode(content, turbojpeg.TJPF_RGB, (1, fraction))


def _opencv() -> Callable[[bytes, int], Any]:
    import cv2

    cv2.setNumThreads(1)
    reduced = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}

    def decode(content: bytes, fraction: int) -> Any:
        how = reduced.get(fraction, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(content, np.uint8), how)[..., ::-1]

    return decode


def _pyvips() -> Callable[[bytes, int], Any]:
    import pyvips

    pyvips.cache_set_max(0)
    return lambda content, fraction: pyvips.Image.jpegload_buffer(content, shrink=fraction).numpy()


def _torchvision() -> Callable[[bytes, int], Any]:
    import torch
    from torchvision.io import decode_jpeg

    torch.set_num_threads(1)

    def decode(content: bytes, fraction: int) -> Any:
        if fraction > 1:
            raise ValueError("decodes whole images only")
        return decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8)).permute(1, 2, 0).numpy()

    return decode


def clocked(work: Callable[..., Any], *given: Any, **named: Any) -> float:
    """Return the milliseconds of processor time that some work takes."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work(*given, **named)
        taken.append(1000 * (time.process_time() - started))
    return statistics.median(taken)


def written(image: Image.Image, how: dict[str, Any]) -> bytes:
    """Code an image."""
    file = io.BytesIO()
    image.save(file, **how)
    return file.getvalue()


def read(content: bytes) -> None:
    """Decode what was coded."""
    Image.open(io.BytesIO(content)).load()


def measure(photos: list[Path]) -> dict[str, dict[str, float]]:
    """Time each decoder of this Python on each photo, and each coding of the decode at a fourth."""
    contents, found = [path.read_bytes() for path in photos], {}
    for name, decode in decoders():
        for fraction in FRACTIONS:
            taken, off = [], 0
            for content in contents:
                try:
                    pixels = np.asarray(decode(content, fraction))
                except ValueError:
                    break
                wanted = pillow(content, fraction)
                rows, columns = (min(a, b) for a, b in zip(pixels.shape[:2], wanted.shape[:2]))
                both = (one[:rows, :columns].astype(int) for one in (pixels, wanted))
                off = max(off, int(abs(next(both) - next(both)).max()))
                taken.append(clocked(decode, content, fraction))
            else:
                found[f"1/{fraction} {name}"] = {"ms": statistics.mean(taken), "off by": off}
    images = [Image.fromarray(pillow(content, 4)) for content in contents]
    for name, how in CODINGS.items():
        coded = [written(image, how) for image in images]
        raw = sum(3 * image.width * image.height for image in images)
        found[f"coded as {name}"] = {
            "share": sum(map(len, coded)) / raw,
            "write ms": statistics.mean(clocked(written, image, how) for image in images),
            "read ms": statistics.mean(clocked(read, content) for content in coded),
        }
    return found


def main() -> None:
    """Measure in the other Python, and print a line a decoder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--python", help="interpreter that has the other decoders")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    add_results(parser)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(measure(sorted(options.photos.iterdir()))))
        return
    command = [options.python or sys.executable, __file__, str(options.photos), "--inside"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(done.stdout)
    for name, values in sorted(figures.items()):
        print(f"{name:<24} " + "  ".join(f"{what} {value:.2f}" for what, value in values.items()))
    record("jpeg", figures, options)


if __name__ == "__main__":
    main()
