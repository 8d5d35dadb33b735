"""Colours and depths: profiles, inks, 10 to 16 bits and floats show what they show elsewhere."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from conftest import draw, encoded
from quarters import (
    ADOBE_TO_XYZ,
    ORDERS,
    P3_TO_XYZ,
    QUARTERS,
    fixed,
    gamma_curve,
    greys,
    in_space,
    kinds,
    png,
    profile,
    quartered,
    quarters_of,
    refusal,
    rgb_profile,
    shows_greys,
    shows_quarters,
    tiff,
)
from showtell.data.images import open_image
from showtell.data.pixels.colour import _transform

# Colour profiles


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


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("order", ORDERS)
def test_planes_of_16_bits_one_behind_the_other(bits, order):
    values = (np.asarray(quartered()).astype(np.uint16) << (bits - 8)).astype(f"{ORDERS[order]}u2")
    content = tiff(values, order=order, photometric=2, planes=True)
    shows_quarters(content, 1)
    assert kinds(content) == ([] if bits == 16 else ["bits in use"])


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
