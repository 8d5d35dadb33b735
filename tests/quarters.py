"""Images of four quarters and the files that hold them, and what tells that they are shown right."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import draw
from showtell.data.images import Preprocessing, decode, open_image
from showtell.errors import ImageError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SMALL = Preprocessing(16, 16, "whole", 1.0, "bicubic", **IMAGENET)
QUARTERS = ((210, 40, 40), (40, 170, 60), (40, 70, 210), (128, 128, 128))
GREYS = (91, 119, 77, 128)
SRGB_TO_XYZ = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])
P3_TO_XYZ = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
ADOBE_TO_XYZ = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])
ORDERS = {"II": "<", "MM": ">"}


def quartered(width: int = 120, height: int = 80) -> Image.Image:
    """Draw four quarters of one colour each."""
    image = Image.new("RGB", (width, height))
    for place, colour in enumerate(QUARTERS):
        left, top = place % 2 * width // 2, place // 2 * height // 2
        image.paste(colour, (left, top, left + width // 2, top + height // 2))
    return image


def greys(bits: int = 8) -> np.ndarray:
    """Return the four quarters in grey, (80, 120), of so many bits."""
    quarter = np.array(GREYS).reshape(2, 2) << (bits - 8)
    return np.kron(quarter, np.ones((40, 60), int))


def quarters_of(image: Image.Image) -> np.ndarray:
    width, height = image.size
    places = [(width * x // 4, height * y // 4) for y in (1, 3) for x in (1, 3)]
    return np.array([image.getpixel(place) for place in places])


def shows_quarters(source, within: int = 3) -> None:
    found = quarters_of(open_image(source))
    assert np.abs(found - QUARTERS).max() <= within, found.tolist()


def shows_greys(source, within: int = 1) -> None:
    found = quarters_of(open_image(source))
    assert np.abs(found - np.array(GREYS)[:, None]).max() <= within, found.tolist()


def refusal(source) -> ImageError:
    with pytest.raises(ImageError) as caught:
        open_image(source)
    return caught.value


def kinds(source) -> list[str]:
    return [note.kind for note in decode(source).notes]


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(
    space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", connection: bytes = b"XYZ "
) -> bytes:
    """Build an ICC profile of the second version."""
    head, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        head += name + struct.pack(">II", start + len(body), len(content))
        body += content
    header = bytearray(128)
    header[4:24] = b"\0\0\0\0" + b"\x02\x40\0\0" + kind + space + connection
    header[36:40] = b"acsp"
    header[68:80] = fixed(0.9642, 1.0, 0.8249)
    content = bytes(header) + struct.pack(">I", len(tags)) + head + body
    return struct.pack(">I", len(content)) + content[4:]


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def rgb_profile(to_xyz: np.ndarray, gamma: float = 2.2) -> bytes:
    tags = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)}
    for column, name in enumerate((b"r", b"g", b"b")):
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*to_xyz[:, column])
        tags[name + b"TRC"] = gamma_curve(gamma)
    return profile(b"RGB ", tags)


def in_space(to_xyz: np.ndarray, gamma: float = 2.2) -> Image.Image:
    """Return the four quarters as numbers of another space, by the equations."""
    values = np.asarray(quartered()) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    other = linear @ (np.linalg.inv(to_xyz) @ SRGB_TO_XYZ).T
    return Image.fromarray(np.rint(255 * other.clip(0, 1) ** (1 / gamma)).astype(np.uint8))


def tiff(
    values: np.ndarray,
    *,
    order: str = "II",
    photometric: int = 1,
    bits: int = 16,
    sample: int = 1,
    planes: bool = False,
) -> bytes:
    """Build a TIFF of one strip, or one a plane, (H, W) or (H, W, C), as Pillow does not write it."""
    height, width, samples = (*values.shape, 1)[:3]
    pixels = (values.transpose(2, 0, 1) if planes else values).tobytes()
    sign = ORDERS[order]
    wide = struct.pack(f"{sign}{samples}H", *[bits] * samples)
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, samples, bits if samples == 1 else 8 + len(pixels)),
        (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, samples), (278, 3, 1, height),
        (279, 4, 1, len(pixels)), (339, 3, 1, sample),
    ]  # fmt: skip
    body = pixels + wide + b"\0" * (len(wide) % 2)
    if planes:
        each = len(pixels) // samples
        places = [8 + each * number for number in range(samples)]
        entries[5], entries[8] = (
            (273, 4, samples, 8 + len(body)),
            (279, 4, samples, 8 + len(body) + 4 * samples),
        )
        entries.insert(9, (284, 3, 1, 2))
        body += struct.pack(f"{sign}{2 * samples}I", *places, *[each] * samples)
    directory = struct.pack(f"{sign}H", len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        directory += struct.pack(f"{sign}HHI", tag, kind, count)
        directory += struct.pack(f"{sign}H2x" if short else f"{sign}I", value)
    head = order.encode() + struct.pack(f"{sign}HI", 42, 8 + len(body))
    return head + body + directory + b"\0\0\0\0"


def png(values: np.ndarray, bits: int, colour: int, *before: bytes, after: tuple[bytes, ...] = ()) -> bytes:
    """Build a PNG of (H, W) or (H, W, C), of bits and a colour type that Pillow does not write."""
    height, width = values.shape[:2]
    wide = values.astype(">u2" if bits == 16 else np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    parts = [b"\x89PNG\r\n\x1a\n", header, *before, chunk(b"IDAT", zlib.compress(rows)), *after]
    return b"".join([*parts, chunk(b"IEND", b"")])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def noisy(width: int = 320, height: int = 240) -> Image.Image:
    image = draw(5, 320).resize((width, height))
    grain = np.random.default_rng(0).normal(0, 8, (height, width, 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
