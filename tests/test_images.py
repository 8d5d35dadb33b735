"""Every kind of image a folder can hold is decoded, turned and scaled alike, or refused by name."""

import io
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import draw, encoded, shared
from showtell.data.images import Preprocessing, decode, load_pixels, open_image
from showtell.data.pixels import files
from showtell.errors import ImageError

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
WHOLE = Preprocessing(64, 64, "stretch", 1.0, "bicubic", **IMAGENET)
CROP = Preprocessing(64, 64, "crop", 0.875, "bicubic", **IMAGENET)


def corners(width: int = 60, height: int = 40) -> Image.Image:
    """Make an image whose corners are red, green, blue and white, on black."""
    image = Image.new("RGB", (width, height))
    w, h = width // 3, height // 4
    image.paste((255, 0, 0), (0, 0, w, h))
    image.paste((0, 255, 0), (width - w, 0, width, h))
    image.paste((0, 0, 255), (width - w, height - h, width, height))
    image.paste((255, 255, 255), (0, height - h, w, height))
    return image


def error_of(content) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load_pixels(content, WHOLE)
    return caught.value


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_the_same_pixels(format):
    image = corners()
    options = {"lossless": True} if format == "WEBP" else {}
    assert np.array_equal(open_image(encoded(image, format, **options)), image)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_modes_become_rgb(mode):
    image = corners().convert("RGB")
    if mode == "LAB":  # Pillow converts to it only by colour profiles
        converted = Image.merge("LAB", [image.convert("L")] * 3)
        assert open_image(encoded(converted, "TIFF")).mode == "RGB"
        return
    converted = image.convert(mode)
    format = {"CMYK": "JPEG", "YCbCr": "TIFF", "HSV": None}.get(mode, "PNG")
    rgb = open_image(encoded(converted, format, quality=95) if format else converted)
    assert rgb.mode == "RGB"
    expected = converted.convert("RGB")
    assert np.abs(np.asarray(rgb, int) - np.asarray(expected, int)).mean() < 6


def test_grey_has_three_equal_channels():
    pixels = load_pixels(encoded(draw(1).convert("L"), "JPEG"), WHOLE)
    assert torch.equal(pixels[0], pixels[1])
    assert torch.equal(pixels[1], pixels[2])


def sixteen_bits(format: str, values: np.ndarray) -> bytes:
    if format == "PPM":
        height, width = values.shape
        return b"P5 %d %d 65535\n" % (width, height) + values.astype(">u2").tobytes()
    if format == "big-endian TIFF":
        return encoded(Image.frombytes("I;16B", values.shape[::-1], values.astype(">u2").tobytes()), "TIFF")
    return encoded(Image.fromarray(values.astype(np.uint16)), format)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "big-endian TIFF", "PPM"])
@pytest.mark.parametrize(("brightest", "bits"), [(60, 8), (250, 8), (1023, 10), (4000, 12), (65535, 16)])
def test_16_bits_are_scaled_by_the_power_of_two_above_the_largest(format, brightest, bits):
    values = np.linspace(0, brightest, 600).astype(np.uint16).reshape(20, 30)
    found = decode(sixteen_bits(format, values))
    assert np.array_equal(np.asarray(found.image)[..., 0], values >> (bits - 8))
    assert [note.detail.split(" ")[0] for note in found.notes] == ([] if bits == 16 else [str(bits)])


def test_32_bit_integers_and_floats_that_are_brightness():
    values = np.arange(256).reshape(16, 16)
    for image in (
        Image.fromarray(values.astype(np.int32)),
        Image.fromarray(values.astype(np.float32)),
        Image.fromarray((values / 255).astype(np.float32)),
    ):
        assert np.array_equal(np.asarray(open_image(image))[..., 0], values)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -3.0])
def test_floats_that_are_no_brightness_are_refused(bad, tmp_path):
    values = np.ones((8, 8), np.float32)
    values[3, 3] = bad
    path = tmp_path / "heights.tiff"
    path.write_bytes(encoded(Image.fromarray(values), "TIFF"))
    assert error_of(path).what == f"{path} holds floating-point values that are not brightness."


def test_transparent_pixels_lie_on_white():
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 16, 32))
    for format, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        rgb = np.asarray(open_image(encoded(image, format, **options)))
        assert rgb[5, 5].tolist() == [255, 0, 0]
        assert rgb[5, 25].tolist() == [255, 255, 255]
    half = np.asarray(open_image(Image.new("LA", (4, 4), (0, 128))))
    assert abs(int(half[0, 0, 0]) - 127) <= 1


def test_palette_and_plain_colours_can_be_transparent():
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.paste(1, (0, 0, 4, 8))
    for transparency in (0, bytes([0, 255])):
        rgb = np.asarray(open_image(encoded(palette, "PNG", transparency=transparency)))
        assert rgb[2, 2].tolist() == [200, 100, 50]
        assert rgb[2, 6].tolist() == [255, 255, 255]
    black = open_image(encoded(Image.new("RGB", (4, 4)), "PNG", transparency=(0, 0, 0)))
    assert np.asarray(black).min() == 255
    grey = open_image(encoded(Image.new("L", (4, 4), 7), "PNG", transparency=7))
    assert np.asarray(grey).min() == 255


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
def test_all_eight_orientations_come_upright(format):
    upright = corners()
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    for orientation, turn in undo.items():
        stored = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[0x0112] = orientation
        quality = {"WEBP": {"lossless": True}, "PNG": {}, "TIFF": {}}.get(format, {"quality": 98})
        content = encoded(stored, format, exif=exif, **quality)
        got = open_image(content)
        assert got.size == upright.size, orientation
        assert np.abs(np.asarray(got, int) - np.asarray(upright, int)).mean() < 8, orientation
        again = open_image(Image.open(io.BytesIO(content)))
        assert np.array_equal(got, again), orientation


def exif_with(kind: int, value: bytes) -> bytes:
    """Build an EXIF block whose only entry is an orientation of any type."""
    entry = struct.pack(">HHI", 0x0112, kind, 1) + value.ljust(4, b"\0")
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + b"\0\0\0\0"


@pytest.mark.parametrize(
    "exif",
    [
        exif_with(3, struct.pack(">H", 0)),
        exif_with(3, struct.pack(">H", 9)),
        exif_with(3, struct.pack(">H", 65535)),
        exif_with(4, struct.pack(">I", 4_000_000_000)),
        exif_with(5, struct.pack(">I", 999_999)),
        exif_with(2, b"six"),
        exif_with(77, b"six"),
        b"Exif\0\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0" + b"garbage" * 9,
    ],
)
def test_nonsense_in_exif_means_upright(exif):
    content = encoded(corners(), "JPEG", quality=98, exif=exif)
    assert open_image(content).size == (60, 40)
    assert np.array_equal(open_image(content), open_image(Image.open(io.BytesIO(content))))


def test_of_an_animation_the_first_frame_is_taken():
    red, blue = Image.new("RGB", (20, 20), "red"), Image.new("RGB", (20, 20), "blue")
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        content = encoded(red, format, save_all=True, append_images=[blue])
        assert np.asarray(open_image(content))[9, 9, 0] > 250, format
        assert np.asarray(open_image(content))[9, 9, 2] < 5, format


def test_content_counts_and_not_the_name(tmp_path):
    path = tmp_path / "사진.jpg"
    path.write_bytes(encoded(corners(), "GIF"))
    assert np.array_equal(open_image(path), corners())


def test_all_sources_are_one(tmp_path):
    content = encoded(draw(3, 100), "JPEG", quality=90)  # less than twice 64, so that draft does nothing
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    expected = load_pixels(content, WHOLE)
    assert torch.equal(load_pixels(path, WHOLE), expected)
    assert torch.equal(load_pixels(io.BytesIO(content), WHOLE), expected)
    assert torch.equal(load_pixels(Image.open(io.BytesIO(content)), WHOLE), expected)
    assert expected.dtype is torch.uint8
    assert expected.shape == (3, 64, 64)


def photo_like(size: tuple[int, int]) -> Image.Image:
    """Draw a scene with the fine grain of a photo."""
    image = draw(5, 400).resize(size, Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 6, (*size[::-1], 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(1600, 1200), (1200, 1600), (517, 389)])
@pytest.mark.parametrize("preprocessing", [WHOLE, CROP], ids=["stretch", "crop"])
def test_draft_is_close_to_the_full_decode(size, preprocessing):
    content = encoded(photo_like(size), "JPEG", quality=90)
    drafted = load_pixels(content, preprocessing).float()
    full = load_pixels(open_image(content), preprocessing).float()
    assert (drafted - full).abs().mean() < 1.5


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_draft_looks_at_the_sides_of_the_upright_image(orientation):
    """A panorama measured by the wrong sides would not be shrunk, or by too much."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = (3200, 400) if orientation == 1 else (400, 3200)
    content = encoded(photo_like(stored), "JPEG", quality=90, exif=exif)
    wide = Preprocessing(32, 400, "stretch", 1.0, "bicubic", **IMAGENET)
    assert open_image(content, shrink_to=wide).size == (800, 100)


def test_draft_of_a_turned_portrait_shows_it_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = corners(900, 1200)
    content = encoded(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    pixels = load_pixels(content, WHOLE)
    for (row, column), colour in {
        (3, 3): (255, 0, 0), (3, 60): (0, 255, 0), (60, 60): (0, 0, 255), (60, 3): (255, 255, 255),
    }.items():  # fmt: skip
        assert (pixels[:, row, column].int() - torch.tensor(colour)).abs().max() < 12


def test_whole_squeezes_and_crop_cuts():
    """A marker lands where geometry says, in both ways to fit a wide image."""
    image = Image.new("RGB", (400, 200))
    image.paste((255, 255, 255), (0, 0, 100, 50))  # the left quarter of the upper quarter
    image.paste((0, 0, 255), (190, 90, 210, 110))  # the very middle
    whole, crop = load_pixels(image, WHOLE), load_pixels(image, CROP)
    white = (whole.float().mean(0) > 128).nonzero()
    assert white.max(0).values.tolist() == [15, 15]
    assert (crop[0] < 40).all()  # the marker was cut away
    for pixels, extent in ((whole, (3.2, 6.4)), (crop, (7.3, 7.3))):
        blue = (pixels[2] > 128) & (pixels[0] < 128)
        middle = blue.nonzero().float()
        assert (middle.mean(0) - 31.5).abs().max() <= 0.5
        width, height = extent
        assert blue.sum() == pytest.approx(width * height, rel=0.35)


def test_crop_keeps_crop_pct_of_the_shorter_side():
    image = Image.new("RGB", (300, 200))
    image.paste((255, 0, 0), (0, 0, 300, 14))  # 7% of the height: cut away by 87.5%, though not 8%
    assert load_pixels(image, CROP)[0].float().mean() < 20
    assert load_pixels(image, Preprocessing(64, 64, "crop", 1.0, "bicubic", **IMAGENET))[0, 0].min() > 200
    assert CROP.scaled_size(200, 300) == (73, 110)
    assert CROP.scaled_size(300, 200) == (110, 73)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_down_scaling_does_not_alias(interpolation):
    """A fine chequerboard becomes grey, whatever its phase."""
    board = np.indices((640, 640)).sum(0) % 2 * 255
    image = Image.fromarray(board.astype(np.uint8))
    pixels = load_pixels(image, Preprocessing(64, 64, "stretch", 1.0, interpolation, **IMAGENET)).float()
    assert (pixels - 127.5).abs().max() < 6


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_tiny_and_thin_images(size):
    image = Image.new("RGB", size, (9, 99, 199))
    pixels = load_pixels(image, WHOLE)
    assert pixels.shape == (3, 64, 64)
    assert (pixels[:, 32, 32].int() - torch.tensor([9, 99, 199])).abs().max() <= 1


def test_a_thin_strip_cannot_exhaust_the_memory_by_cropping(tmp_path):
    path = tmp_path / "strip.png"
    Image.new("L", (1, 60_000)).save(path)
    big = Preprocessing(224, 224, "crop", 0.875, "bicubic", **IMAGENET)
    with pytest.raises(ImageError, match=r"strip.png is a strip of 1x60000, too long"):
        load_pixels(path, big)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    rows = zlib.compressobj()
    data = b"".join(rows.compress(b"\0" * (side // 8 + 1)) for _ in range(side)) + rows.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [13_400, 30_000])
def test_a_bomb_is_refused_before_it_is_decoded(side, monkeypatch):
    content = bomb(side)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    started = time.process_time()
    error = error_of(content)
    assert time.process_time() - started < 0.5
    assert "claims" in error.what
    assert "more than 178 million" in error.what


BROKEN = {
    "empty": (b"", "is empty (0 bytes)"),
    "html": (b"\xef\xbb\xbf\n <!DOCTYPE html><html>404</html>", "it holds a web page"),
    "svg": (b"<svg xmlns='x'/>", "it holds a web page or an XML text"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "text": (b"hello, I am no image", "its first bytes are 68 65 6c 6c 6f"),
    "zeros": (b"\0" * 5000, "its first bytes are 00 00"),
    "a stub of a PNG": (encoded(corners(), "PNG")[:12], "damaged or cut off"),
}


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_image_is_named_with_its_reason(content, reason, tmp_path):
    path = tmp_path / "사진.jpg"
    path.write_bytes(content)
    message = str(error_of(path))
    assert str(path) in message
    assert reason in message
    assert reason in str(error_of(content or io.BytesIO(content)))


def test_a_zip_is_named(tmp_path):
    path = tmp_path / "a.png"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b.png", encoded(corners(), "PNG"))
    assert "ZIP archive" in str(error_of(path))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_cut_off_images_are_refused_not_greyed(format, kept, tmp_path):
    content = encoded(photo_like((300, 200)), format)
    path = tmp_path / "cut.img"
    path.write_bytes(content[: int(len(content) * kept)])
    assert "cut.img" in error_of(path).what
    if format in ("JPEG", "PNG", "BMP"):  # the others fail as soon as Pillow opens them
        error_of(Image.open(path))


@pytest.mark.parametrize("segment", [b"\xff\xe1\x00\x02", b"\xff\xfe\x00\x02", b"\xff\xff", b"\xff\xd0"])
def test_a_file_of_nothing_but_empty_pieces_is_soon_refused(segment):
    started = time.process_time()
    with pytest.raises(ImageError, match="in more pieces"):
        open_image(b"\xff\xd8" + segment * 5_000_000)
    assert time.process_time() - started < 3  # by Pillow alone it is 8 with the first


def test_an_image_in_thousands_of_pieces_is_read():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9000, 3, 3), dtype=np.uint8))
    content = encoded(image, "TIFF", tiffinfo={278: 1})  # a strip for each row
    assert np.array_equal(np.asarray(open_image(content)), np.asarray(image))


def test_random_damage_gives_pixels_or_an_image_error():
    """No other exception ever leaves the decoder, whatever bytes are flipped."""
    chance = np.random.default_rng(3)
    for format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"):
        exif = {"exif": exif_with(3, b"\0\6")} if format in ("JPEG", "PNG", "WEBP", "TIFF") else {}
        content = np.frombuffer(encoded(draw(2, 48), format, **exif), np.uint8)
        for _ in range(60):
            damaged = content.copy()
            damaged[chance.integers(0, min(len(damaged), 400), 5)] = chance.integers(0, 256, 5)
            try:
                assert load_pixels(damaged.tobytes(), WHOLE).shape == (3, 64, 64)
            except ImageError as error:
                assert error.what.startswith("the image")


def test_missing_files_folders_and_huge_files(tmp_path, monkeypatch):
    assert "No such file" in error_of(tmp_path / "없음.png").what
    assert "directory" in error_of(tmp_path).what.lower()
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    path = tmp_path / "long.bmp"
    path.write_bytes(encoded(corners(), "BMP"))
    assert "is larger than" in error_of(path).what


def test_preprocessing_is_compared_by_everything():
    assert Preprocessing(64, 64, "stretch", 1.0, "bicubic", **IMAGENET) == WHOLE
    assert hash(WHOLE) == hash(Preprocessing(64, 64, "stretch", 1.0, "bicubic", **IMAGENET))
    others = [
        CROP,
        Preprocessing(64, 65, "stretch", 1.0, "bicubic", **IMAGENET),
        Preprocessing(64, 64, "stretch", 1.0, "bilinear", **IMAGENET),
        Preprocessing(64, 64, "stretch", 1.0, "bicubic", **(IMAGENET | {"mean": (0.5, 0.5, 0.5)})),
        Preprocessing(64, 64, "stretch", 1.0, "bicubic", **IMAGENET, recipe="older"),
    ]
    assert WHOLE not in others
    assert len({WHOLE, *others}) == 6


def test_an_opened_image_is_not_turned_again():
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = open_image(encoded(corners(), "JPEG", exif=exif))
    assert opened.size == (40, 60)
    assert np.array_equal(open_image(opened), opened)


def test_drafts_of_phone_photos_are_close():
    preprocessing = Preprocessing(224, 224, "stretch", 1.0, "bicubic", **IMAGENET)
    errors = []
    for path in sorted(shared("data", "phone").glob("*.jpg"))[:4]:
        drafted = load_pixels(path, preprocessing).float()
        errors.append((drafted - load_pixels(open_image(path), preprocessing)).abs().mean().item())
    assert max(errors) < 3
    assert sum(errors) / len(errors) < 1.5
