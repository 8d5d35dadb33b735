"""Bounds of images, what is refused by its name, and the silence of the libraries that decode."""

import logging
import struct
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from conftest import encoded
from quarters import (
    SMALL,
    greys,
    noisy,
    quartered,
    refusal,
    shows_greys,
    shows_quarters,
    tiff,
)
from showtell.data.images import decode, open_image
from showtell.data.pixels import decoders, files
from showtell.errors import ImageError

# Bounds


def giant_jpeg(side: int, **options: object) -> bytes:
    return encoded(Image.new("L", (side, side), 90), "JPEG", quality=30, **options)


def test_a_phone_of_200_megapixels_is_read_at_a_fraction(monkeypatch):
    """Scaled down for the test: as many times the bound as 200 million pixels are."""
    monkeypatch.setattr(files, "ALWAYS_PIXELS", 1_000_000)
    monkeypatch.setattr(files, "decodable_pixels", lambda: 1_000_000)
    content = giant_jpeg(2000)
    assert decode(content, shrink_to=SMALL).width == 2000
    assert open_image(content).size == (1000, 1000)  # as much of it as there is memory for
    for refused in (giant_jpeg(2000, progressive=True), encoded(Image.new("L", (2000, 2000)), "PNG")):
        with pytest.raises(ImageError, match="2000x2000 pixels, more than 1 million"):
            open_image(refused, shrink_to=SMALL)
    with pytest.raises(ImageError, match="more than 3 million"):
        open_image(content, shrink_to=SMALL, max_pixels=3_000_000)


def test_200_million_pixels_are_read_in_moderate_memory(monkeypatch):
    """Above Pillow's own bound, which stands for every other format."""
    image = Image.new("L", (16320, 12240), 90)
    content = encoded(image, "JPEG", quality=30)
    monkeypatch.setattr(files, "available_memory", lambda: 2 * 10**9)
    found = decode(content, shrink_to=SMALL)
    assert (found.width, found.height, found.image.size) == (16320, 12240, (2040, 1530))
    assert open_image(content).size == (8160, 6120)
    place = content.index(b"\xff\xc0") + 5
    claiming = content[:place] + struct.pack(">HH", 65000, 65000) + content[place + 4 :]
    with pytest.raises(ImageError, match="65000x65000 pixels, more than 500 million"):
        open_image(claiming, shrink_to=SMALL)


def test_memory_decides_between_a_floor_and_a_ceiling(monkeypatch):
    for free, pixels in ((None, files.MAX_PIXELS), (0, 50_000_000), (2**50, files.MAX_PIXELS)):
        monkeypatch.setattr(files, "available_memory", lambda free=free: free)
        assert files.decodable_pixels() == pixels
    monkeypatch.setattr(files, "available_memory", lambda: 4_800_000_000)
    assert files.decodable_pixels() == 100_000_000


# What is refused is named


def jpeg_of(marker: int, bits: int = 8) -> bytes:
    frame = struct.pack(">BHHB", bits, 8, 8, 1) + b"\1\x11\0"
    return (
        b"\xff\xd8\xff\xe0\0\x04ab" + bytes([0xFF, marker]) + struct.pack(">H", 2 + len(frame)) + frame
        + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + b"\x55" * 40 + b"\xff\xd9"
    )  # fmt: skip


NAMED = {
    "12 bits": (jpeg_of(0xC1, 12), "a 12-bit JPEG"),
    "lossless": (jpeg_of(0xC3, 14), "a lossless JPEG"),
    "arithmetic of 12 bits": (jpeg_of(0xC9, 12), "a 12-bit JPEG"),
    "JPEG XL": (b"\xff\x0a\xfa\x1f", "a JPEG XL image"),
    "JPEG XL in a box": (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    "JPEG 2000": (encoded(Image.new("L", (9, 9)), "JPEG2000"), "a JPEG 2000 image"),
    "SVG": (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", "an SVG drawing"),
    "PSD": (b"8BPS\0\1" + b"\0" * 30, "a Photoshop document"),
    "PDF": (b"%PDF-1.7\n", "a PDF document"),
    "DICOM": (b"\0" * 128 + b"DICM", "a DICOM image"),
    "film": (b"\0\0\0\x20ftypisom", "a film"),
}


@pytest.mark.parametrize(("content", "said"), NAMED.values(), ids=NAMED)
def test_what_is_not_read_is_named_with_what_to_do(content, said):
    message = str(refusal(content))
    assert said in message
    assert "save" in message.lower()


# Silence


def loud_files() -> dict[str, bytes]:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + b"\x01\x0f\0\x02\xff\xff\xff\xff\0\0\0\0" * 2
    deflated = bytearray(encoded(noisy(64, 64), "TIFF", compression="tiff_adobe_deflate"))
    deflated[200:260] = bytes(60)
    return {
        "exif.jpg": encoded(quartered(), "JPEG", exif=exif),
        "damaged.tif": bytes(deflated),
        "many.tif": tiff(np.zeros((4, 4, 3), np.uint8), bits=8, photometric=2).replace(
            struct.pack("<HHIH", 277, 3, 1, 3), struct.pack("<HHIH", 277, 3, 1, 3000)
        ),
    }


def test_no_library_prints_on_the_terminal(tmp_path):
    """In a process of its own: libtiff prints where Python does not see it."""
    for name, content in loud_files().items():
        (tmp_path / name).write_bytes(content)
    program = (
        "import sys, pathlib\n"
        "from PIL import Image\n"
        "{}"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: read(path)\n"
        "    except Exception: pass\n"
    )
    ours = "from showtell.data.pixels.opening import open_image as read\n"
    theirs = "read = lambda path: Image.open(path).getexif() and Image.open(path).load()\n"
    said = [
        subprocess.run(
            [sys.executable, "-c", program.format(way), str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        for way in (ours, theirs)
    ]
    assert (said[0].stdout, said[0].stderr) == ("", "")
    assert "EXIF" in said[1].stderr


def test_other_threads_are_heard_while_one_decodes():
    heard: list[str] = []
    inside, spoken = threading.Event(), threading.Event()

    def speak() -> None:
        inside.wait(10)
        warnings.warn("from another thread", UserWarning, stacklevel=1)
        spoken.set()

    thread = threading.Thread(target=speak)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        thread.start()
        with decoders.quiet():
            inside.set()
            warnings.warn("from within", UserWarning, stacklevel=1)
            assert spoken.wait(10)
        thread.join()
        warnings.warn("from after", UserWarning, stacklevel=1)
        heard = [str(warning.message) for warning in caught]
    assert heard == ["from another thread", "from after"]


def test_decoding_leaves_no_filter_behind():
    before = list(warnings.filters)
    for content in loud_files().values():
        try:
            open_image(content)
        except ImageError:
            continue
    assert list(warnings.filters) == before
    assert not logging.getLogger("PIL.TiffImagePlugin").filters


# Relatives that must stay right


def test_relatives():
    """Kinds that were right, and must stay so."""
    image = quartered()
    shows_quarters(encoded(image, "TIFF", compression="tiff_lzw"))
    shows_quarters(encoded(image.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), 4)
    shows_quarters(encoded(image.convert("CMYK"), "JPEG", quality=98), 4)
    shows_quarters(encoded(image.convert("YCbCr"), "TIFF"), 3)
    shows_greys(encoded(Image.fromarray(greys().astype(np.uint8)).convert("LA"), "PNG"))
    exif = Image.Exif()
    exif[0x0112] = 8
    lying = image.transpose(Image.Transpose.ROTATE_270)
    for format in ("PNG", "WEBP", "TIFF"):
        shows_quarters(encoded(lying, format, exif=exif, **({"lossless": True} if format == "WEBP" else {})))
        assert decode(encoded(lying, format, exif=exif)).width == 120
