"""Damage, remarks, frames, pages, camera files and HEIC: each shows what it shows elsewhere."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import draw, encoded
from quarters import (
    P3_TO_XYZ,
    SMALL,
    chunk,
    in_space,
    kinds,
    noisy,
    png,
    quartered,
    quarters_of,
    refusal,
    rgb_profile,
    shows_quarters,
    tiff,
)
from showtell.data.images import decode, load_pixels, open_image
from showtell.data.pixels import files, formats
from showtell.errors import ImageError

# Ends, remarks and orders that are not as they should be


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


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_a_frame_that_is_nearly_black_shows_nothing(format):
    dark = Image.new("RGB", (120, 80))
    dark.paste((9, 8, 9), (10, 10, 60, 60))
    options = {"lossless": True} if format == "WEBP" else {}
    content = encoded(dark, format, save_all=True, append_images=[quartered()], **options)
    shows_quarters(content, 6 if format == "GIF" else 3)
    assert kinds(content) == ["one of several"]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_an_empty_channel_of_transparency_hides_nothing(format):
    clear = quartered()
    clear.putalpha(0)
    content = encoded(clear, format)
    shows_quarters(content)
    assert kinds(content) == ["transparent all over"]
