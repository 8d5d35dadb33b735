"""Images as people have them: each kind shows what it shows elsewhere, or is refused by its name."""

import io
import logging
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import draw, encoded
from showtell.data.images import Preprocessing, decode, load_pixels, open_image
from showtell.data.pixels import decoders, files, formats
from showtell.data.pixels.colour import _transform
from showtell.errors import ImageError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SMALL = Preprocessing(16, 16, "whole", 1.0, "bicubic", **IMAGENET)
QUARTERS = ((210, 40, 40), (40, 170, 60), (40, 70, 210), (128, 128, 128))
GREYS = (91, 119, 77, 128)


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


# Colour profiles

SRGB_TO_XYZ = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])
P3_TO_XYZ = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
ADOBE_TO_XYZ = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])


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


@pytest.mark.parametrize("to_xyz", [P3_TO_XYZ, ADOBE_TO_XYZ], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_colours_are_brought_to_srgb(to_xyz, format):
    stored = in_space(to_xyz)
    assert np.abs(quarters_of(stored) - QUARTERS).max() > 10
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}, "AVIF": {"quality": 98}}.get(format, {})
    content = encoded(stored, format, icc_profile=rgb_profile(to_xyz), **options)
    # A level of the wide space may be several of sRGB: what compression changes counts more.
    shows_quarters(content, {"JPEG": 5, "AVIF": 8}.get(format, 3))
    assert kinds(content) == ["colour profile"]


def test_profiles_of_palettes_and_of_transparent_images_are_heeded():
    stored = in_space(P3_TO_XYZ)
    shows_quarters(encoded(stored.quantize(8), "PNG", icc_profile=rgb_profile(P3_TO_XYZ)), 4)
    clear = stored.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 5, 5))
    content = encoded(clear, "PNG", icc_profile=rgb_profile(P3_TO_XYZ))
    shows_quarters(content)
    assert open_image(content).getpixel((2, 2)) == (255, 255, 255)


def test_grey_profiles_are_heeded():
    linear = np.rint(255 * np.where(greys() <= 10, 0, ((greys() / 255 + 0.055) / 1.055) ** 2.4))
    grey = profile(b"GRAY", {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), b"kTRC": gamma_curve(1.0)})
    image = Image.fromarray(linear.astype(np.uint8))
    shows_greys(encoded(image, "PNG", icc_profile=grey), 3)
    clear = Image.merge("LA", [image, Image.new("L", image.size, 255)])
    shows_greys(encoded(clear, "PNG", icc_profile=grey), 3)


def cmyk_profile() -> bytes:
    """Build a press whose black ink and nothing else darkens: from white, L* 100, to L* 0."""
    identity = bytes(range(256))
    corners = b"".join(bytes([0 if ink & 1 else 255, 128, 128]) for ink in range(16))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += identity * 4 + corners + identity * 3
    return profile(b"CMYK", {b"A2B0": table}, b"prtr", b"Lab ")


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_a_press_profile_decides_what_ink_looks_like(format):
    inks = Image.new("CMYK", (64, 64), (255, 255, 0, 0))  # this press prints blue as white
    content = encoded(inks, format, icc_profile=cmyk_profile())
    assert min(open_image(content).getpixel((30, 30))) > 245
    assert open_image(encoded(inks, format)).getpixel((30, 30)) == pytest.approx((0, 0, 255), abs=3)
    inks = Image.new("CMYK", (64, 64), (0, 0, 0, 255))
    assert max(open_image(encoded(inks, format, icc_profile=cmyk_profile())).getpixel((30, 30))) < 10


@pytest.mark.parametrize(
    "broken",
    [
        b"garbage",
        rgb_profile(P3_TO_XYZ)[:200],
        profile(b"RGB ", {}),
        profile(b"GRAY", {b"kTRC": gamma_curve(1.0)}),  # of another kind than the image
        cmyk_profile(),
        rgb_profile(P3_TO_XYZ) + b"\0" * 9_000_000,
    ],
)
def test_a_broken_profile_costs_nothing(broken):
    shows_quarters(encoded(quartered(), "TIFF", icc_profile=broken))
    assert kinds(encoded(quartered(), "TIFF", icc_profile=broken)) == []


def test_an_srgb_profile_changes_no_pixel_and_is_looked_at_once():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    _transform.cache_clear()
    for number in range(5):
        plain, tagged = encoded(draw(number), "PNG"), encoded(draw(number), "PNG", icc_profile=srgb)
        assert np.array_equal(open_image(plain), open_image(tagged))
    assert _transform.cache_info()[:2] == (4, 1)


# Deep greys and colours

ORDERS = {"II": "<", "MM": ">"}


def tiff(
    values: np.ndarray, *, order: str = "II", photometric: int = 1, bits: int = 16, sample: int = 1
) -> bytes:
    """Build a TIFF of one strip, (H, W) or (H, W, C), of a kind that Pillow does not write."""
    height, width, samples = (*values.shape, 1)[:3]
    pixels = values.tobytes()
    sign = ORDERS[order]
    wide = struct.pack(f"{sign}{samples}H", *[bits] * samples)
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, samples, bits if samples == 1 else 8 + len(pixels)),
        (259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, samples), (278, 3, 1, height),
        (279, 4, 1, len(pixels)), (339, 3, 1, sample),
    ]  # fmt: skip
    body = pixels + wide + b"\0" * (len(wide) % 2)
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


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_in_16_are_as_bright_as_in_8(bits):
    values = greys(bits)
    shows_greys(png(values, 16, 0))
    for order, sign in ORDERS.items():
        shows_greys(tiff(values.astype(f"{sign}u2"), order=order))
        white = (1 << bits) - 1
        inverted = white - values
        inverted[0, 0] = white  # some pixel is black
        content = tiff(inverted.astype(f"{sign}u2"), order=order, photometric=0)
        shows_greys(content)
        assert open_image(content).getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_fewer_bits_in_16_of_each_colour(bits, alpha):
    values = np.asarray(quartered()).astype(np.uint16) << (bits - 8)
    opaque = np.full((*values.shape[:2], 1), (1 << bits) - 1, np.uint16)
    if alpha:
        opaque[:4, :4] = 0
        values = np.concatenate([values, opaque], axis=2)
    sources = [png(values, 16, 6 if alpha else 2)]
    if not alpha:
        sources += [tiff(values.astype(f"{sign}u2"), order=o, photometric=2) for o, sign in ORDERS.items()]
    for content in sources:
        shows_quarters(content, 1)
        assert kinds(content) == ([] if bits == 16 else ["bits in use"])
        if alpha:
            assert open_image(content).getpixel((1, 1)) == (255, 255, 255)


def test_fewer_bits_in_16_of_grey_with_alpha():
    values = np.stack([greys(12), np.full((80, 120), 4095)], axis=2)
    values[:4, :4, 1] = 0
    shows_greys(png(values, 16, 4))
    assert open_image(png(values, 16, 4)).getpixel((1, 1)) == (255, 255, 255)


def test_a_maximum_that_a_file_states_is_kept_to():
    dim = np.linspace(0, 1000, 600).astype(">u2").reshape(20, 30)
    content = b"P5 30 20 4095\n" + dim.tobytes()
    assert np.asarray(open_image(content)).max() == pytest.approx(1000 / 4095 * 255, abs=1)
    assert kinds(content) == []


def test_black_stays_black():
    assert np.asarray(open_image(png(np.zeros((8, 8)), 16, 0))).max() == 0
    assert np.asarray(open_image(png(np.zeros((8, 8, 3)), 16, 2))).max() == 0


def test_numbers_that_are_no_brightness_are_refused():
    tomography = np.linspace(-1000, 3000, 600).astype("<i2").reshape(20, 30)
    assert "negative values, down to -1,000" in refusal(tiff(tomography, sample=2)).what
    shows_greys(tiff(greys(12).astype("<i2"), sample=2))
    half = refusal(tiff(np.ones((4, 4), "<f2"), sample=3)).what
    assert "a TIFF of floats of 16 bits" in half


@pytest.mark.parametrize("peak", [1, 255, 4095])
def test_floats_from_black_to_white(peak):
    values = (greys() / 255 * peak).astype("<f4")
    values[0, 0] = peak
    shows_greys(tiff(values, bits=32, sample=3))
    shows_greys(tiff(peak - values, bits=32, sample=3, photometric=0), 2)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_white_at_zero_in_8_bits_and_fewer(bits):
    """The left half is dark."""
    most, per_byte = (1 << bits) - 1, 8 // bits
    values = np.repeat([[most] * 16 + [0] * 16], 8, 0)
    packed = sum(values[:, i::per_byte] << (bits * (per_byte - 1 - i)) for i in range(per_byte))
    content = tiff(packed.astype(np.uint8), bits=bits, photometric=0)
    place = content.rindex(struct.pack("<HHIH", 256, 3, 1, 32 // per_byte)) + 8
    content = content[:place] + struct.pack("<H", 32) + content[place + 2 :]
    image = open_image(content)
    assert (image.getpixel((3, 3)), image.getpixel((30, 3))) == ((0, 0, 0), (255, 255, 255))


# Ends, remarks and orders that are not as they should be


def noisy(width: int = 320, height: int = 240) -> Image.Image:
    image = draw(5, 320).resize((width, height))
    grain = np.random.default_rng(0).normal(0, 8, (height, width, 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 3}],
    ids=str,
)
@pytest.mark.parametrize("shrink_to", [None, SMALL], ids=["full", "small"])
def test_a_jpeg_that_lacks_its_very_end_is_read_and_said(options, shrink_to):
    content = encoded(noisy(), "JPEG", quality=85, **options)
    whole = np.asarray(open_image(content, shrink_to=shrink_to), int)
    for missing in (1, 2, 3):  # of the end marker, and the last byte of the last block
        found = decode(content[:-missing], shrink_to=shrink_to)
        assert [note.kind for note in found.notes] == ["cut off at its end"]
        kept = np.asarray(found.image, int)[: -(-(240 - 18) * len(whole) // 240)]
        assert np.array_equal(kept, whole[: len(kept)])
    for share in (0.5, 0.8, 0.9):
        with pytest.raises(ImageError, match="truncated"):
            decode(content[: int(share * len(content))], shrink_to=shrink_to)


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_row_of_blocks_is_the_bound(restarts):
    """Rows take as many bytes each as the next: the file is cut in the last but one, and in the last."""
    options = {"restart_marker_rows": restarts} if restarts else {}
    grain = np.random.default_rng(1).integers(0, 256, (160, 320, 3), np.uint8)
    content = encoded(Image.fromarray(grain), "JPEG", quality=90, subsampling=0, **options)
    row = (len(content) - 600) / 20
    assert kinds(content[: -int(0.7 * row)]) == ["cut off at its end"]
    for rows in (1.3, 2.0, 5.0):
        assert "truncated" in refusal(content[: -int(rows * row)]).what


def test_a_progressive_jpeg_without_its_last_scans_is_refused():
    content = encoded(noisy(), "JPEG", quality=85, progressive=True)
    last = content.rindex(b"\xff\xda")
    assert "truncated" in refusal(content[:last]).what


def test_long_texts_profiles_and_damaged_remarks_cost_no_png():
    pixels = np.asarray(quartered())
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 3_000_000))
    shows_quarters(png(pixels, 8, 2, text))
    shows_quarters(png(pixels, 8, 2, after=(text,)))
    shows_quarters(png(pixels, 8, 2, *[chunk(b"tEXt", b"Comment\0" + b"x" * 10**6)] * 70))
    shows_quarters(png(pixels, 8, 2, chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(b"y" * 2_000_000))))
    shows_quarters(png(pixels, 8, 2, chunk(b"tEXt", b"Comment\0wrong sum")[:-1] + b"?"))
    large = rgb_profile(P3_TO_XYZ) + b"\0" * 2_000_000
    packed = chunk(b"iCCP", b"P3\0\0" + zlib.compress(large))
    stored = png(np.asarray(in_space(P3_TO_XYZ)), 8, 2, packed)
    shows_quarters(stored)
    bomb = chunk(b"iCCP", b"P3\0\0" + zlib.compress(b"\0" * 50_000_000))
    shows_quarters(png(pixels, 8, 2, bomb))


def test_a_text_is_no_way_around_damage():
    content = png(np.asarray(quartered()), 8, 2, chunk(b"zTXt", b"C\0\0" + zlib.compress(b"x" * 3_000_000)))
    assert refusal(content[: content.index(b"IDAT") + 30])


def test_gamma_alone_is_left_as_it_is():
    shows_quarters(png(np.asarray(quartered()), 8, 2, chunk(b"gAMA", struct.pack(">I", 100_000))))


# One of several


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_that_shows_something_is_taken(format):
    empty = Image.new("RGBA", (120, 80), (0, 0, 0, 0))
    white = Image.new("RGBA", (120, 80), "white")
    frames = [white, quartered().convert("RGBA"), draw(1).resize((120, 80)).convert("RGBA")]
    options = {"lossless": True} if format == "WEBP" else {}
    content = encoded(empty, format, save_all=True, append_images=frames, duration=50, **options)
    shows_quarters(content, 6 if format == "GIF" else 3)
    assert kinds(content) == ["one of several"]


def test_an_animation_of_nothing_is_its_first_frame():
    frames = [Image.new("RGB", (40, 40), (number, 0, 0)) for number in range(50)]
    content = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert open_image(content).getpixel((9, 9)) == (0, 0, 0)
    assert kinds(content) == []


def test_an_animation_that_is_cut_off_shows_what_it_has():
    frames = [draw(number).resize((120, 80)) for number in range(5)]
    content = encoded(Image.new("RGB", (120, 80)), "GIF", save_all=True, append_images=frames)
    assert open_image(content[: len(content) // 2]).size == (120, 80)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_of_pages_the_largest_is_taken(place):
    pages = [Image.new("RGB", (60 - 20 * n, 40), (9, 9, 9 * n)) for n in range(2)]
    pages.insert(place, quartered())
    for options in ({}, {"compression": "tiff_lzw"}, {"big_tiff": True}):
        content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], **options)
        shows_quarters(content)
        assert decode(content).width == 120


def test_of_equal_pages_the_first_that_shows_something_is_taken():
    pages = [Image.new("RGB", (120, 80)), quartered(), draw(2).resize((120, 80))]
    shows_quarters(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))


def test_a_page_too_large_for_the_memory_gives_way_to_a_smaller_level(monkeypatch):
    monkeypatch.setattr(files, "decodable_pixels", lambda: 20_000)
    monkeypatch.setattr(files, "ALWAYS_PIXELS", 100)
    pages = [Image.new("RGB", (600, 400)), quartered(), Image.new("RGB", (60, 40))]
    shows_quarters(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))


def test_of_views_the_first_is_taken():
    other = Image.new("L", (300, 300), 255)
    shows_quarters(encoded(quartered(), "MPO", save_all=True, append_images=[other], quality=95))


def raw_file(preview: bytes, orientation: int = 1, photometric: int = 32803) -> bytes:
    """Build what a camera writes: a thumbnail, a preview somewhere, and the sensor in a directory below."""
    thumb = np.full((8, 8, 3), 200, np.uint8)
    base = bytearray(tiff(thumb, bits=8, photometric=2))
    inner = len(base) + len(preview)
    sensor = struct.pack("<H", 3)
    for tag, kind, value in ((256, 3, 4000), (257, 3, 3000), (262, 3, photometric)):
        sensor += struct.pack("<HHII", tag, kind, 1, value)
    start = struct.unpack_from("<I", base, 4)[0]
    count = struct.unpack_from("<H", base, start)[0]
    entries = bytes(base[start + 2 : start + 2 + 12 * count])
    entries += struct.pack("<HHIHH", 274, 3, 1, orientation, 0) + struct.pack("<HHII", 330, 4, 1, inner)
    end = inner + len(sensor) + 4
    struct.pack_into("<I", base, 4, end)
    directory = struct.pack("<H", count + 2) + entries + b"\0\0\0\0"
    return bytes(base) + preview + sensor + b"\0\0\0\0" + directory


def test_a_raw_file_shows_its_largest_preview():
    small = encoded(Image.new("RGB", (40, 30)), "JPEG")
    large = encoded(quartered(), "JPEG", quality=95)
    for content in (raw_file(small + large), raw_file(large + small, photometric=34892)):
        shows_quarters(content)
        found = decode(content)
        assert (found.format, found.width, [note.kind for note in found.notes]) == (
            "camera raw", 120, ["camera preview"],
        )  # fmt: skip
    shows_quarters(b"FUJIFILMCCD-RAW 0201" + b"\0" * 80 + large)
    lying = encoded(quartered().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95)
    shows_quarters(raw_file(lying, orientation=6))


def test_a_raw_file_without_a_preview_says_what_to_do():
    error = refusal(raw_file(b"\xff\xd8\xff\xc3 lossless, which is no preview"))
    assert "raw file without a preview" in error.what
    assert "darktable" in error.hint
    assert "raw file" in refusal(b"\0\0\0\x18ftypcrx " + b"\0" * 40).what


# HEIC


@pytest.fixture
def heif():
    return pytest.importorskip("pillow_heif")


def heic_of(heif, image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=95, **options)
    return buffer.getvalue()


def test_heic_is_read_and_turned_once(heif):
    assert "HEIF" not in Image.OPEN
    content = heic_of(heif, quartered())
    shows_quarters(content, 5)
    assert decode(content).format == "HEIC"
    assert load_pixels(content, SMALL).shape == (3, 16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = quartered().transpose(Image.Transpose.ROTATE_90)
    turned = heic_of(heif, stored, exif=exif.tobytes())
    expected = heif.open_heif(turned).to_pillow()  # as libheif turns it, whatever EXIF says besides
    assert open_image(turned).size == expected.size
    assert np.abs(quarters_of(open_image(turned)) - quarters_of(expected)).max() <= 1
    assert "HEIF" not in Image.OPEN


def test_heic_profiles_are_heeded(heif):
    stored = in_space(P3_TO_XYZ)
    stored.info["icc_profile"] = rgb_profile(P3_TO_XYZ)
    content = heic_of(heif, stored)
    assert kinds(content) == ["colour profile"]
    shows_quarters(content, 6)


def test_a_heic_that_is_too_large_or_cut_off_is_refused(heif):
    content = heic_of(heif, quartered())
    with pytest.raises(ImageError, match="120x80 pixels, more than"):
        open_image(content, max_pixels=5000)
    assert "HEIC" in refusal(content[: len(content) // 3]).what


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    error = refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40)
    assert "showtell[heic]" in error.what
    assert "pillow-heif" in error.run


def test_avif_and_camera_files_are_not_taken_for_heic():
    assert not formats.is_heic(encoded(quartered(), "AVIF"))
    assert not formats.is_heic(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif")
    assert formats.is_heic(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic")


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


def test_a_container_has_what_its_group_leaves(tmp_path):
    assert files._of_container(tmp_path) == []
    for name, text in (("max", "1000000"), ("current", "700000"), ("stat", "anon 1\ninactive_file 200000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert files._of_container(tmp_path) == [500_000]
    (tmp_path / "memory.max").write_text("max\n")
    assert files._of_container(tmp_path) == []


def test_this_machine_says_how_much_memory_it_has():
    free = files.available_memory()
    assert free is None or 0 < free < 2**48


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
