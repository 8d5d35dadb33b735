"""Values and colours as a file means them: 8 bits of deep values, sRGB, on white where transparent."""

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from showtell.errors import ImageError

Values = npt.NDArray[np.integer]

_OTHER_HALF = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}
"""The raw mode that gives the lower 8 bits of values whose upper 8 a raw mode gives."""
_BITS_A_SAMPLE = 258
"""The tag of TIFF."""


def is_deep(image: Image.Image) -> bool:
    """Say whether Pillow keeps more than 8 bits of each value."""
    return image.mode.startswith("I") or image.mode == "F"


def bits_used(values: Values) -> int:
    """Return by how many bits the largest value can be written, 8 at least.

    Cameras of 10, 12 or 14 bits write their values into 16 as they are. An 8-bit image in 16 is as bright
    as it would be in 8, however dark that is.
    """
    return max(8, int(values.max(initial=0)).bit_length())


def to_8_bits(image: Image.Image, name: str, *, white_at_zero: bool, stated: bool) -> tuple[Image.Image, int]:
    """Scale a grey image of more than 8 bits by the power of two above its largest value.

    Args:
        image: For which :func:`is_deep` holds.
        name: How messages call it.
        white_at_zero: Whether large values are dark.
        stated: Whether the file says which value is white, and Pillow has scaled to 16 bits by it.

    Returns:
        An image of 8 bits, and how many bits its values use; 16 where they are scaled by something else.

    Raises:
        ImageError: Its values are not brightness.
    """
    values = np.asarray(image)
    if image.mode == "F":
        white = _white_of_floats(values, name)
        grey, bits = np.rint(values / white * 255).astype(np.uint8), 16
    else:
        if values.min(initial=0) < 0:
            raise ImageError(
                f"{name} holds negative values, down to {values.min():,}, which are not brightness.",
                hint="Map measurements such as those of a CT to brightness first, by a window.",
            )
        bits = 16 if stated else bits_used(values)
        whole: Values = values.astype(np.int64 if bits > 16 else np.uint16)
        grey = (whole >> (bits - 8)).astype(np.uint8)
    if white_at_zero:
        grey = 255 - grey
    return Image.fromarray(grey), bits


def _white_of_floats(values: npt.NDArray[np.float32], name: str) -> float:
    """Return which value is white: 1, 255, or the last one below a power of two."""
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0):
        raise ImageError(
            f"{name} holds floating-point values that are not brightness.",
            hint="Expected values from 0 to 1, to 255 or to 65,535.",
        )
    peak = float(values.max(initial=0))
    return 1 if peak <= 1 else 255 if peak <= 255 else 2.0 ** int(peak).bit_length() - 1


def deepened(
    image: Image.Image, raw_mode: str, again: Callable[[], Image.Image]
) -> tuple[Image.Image, int] | None:
    """Scale a colour image of 16 bits whose values use fewer of them.

    Pillow keeps the upper 8 bits, which are nearly black where 12 bits were written in 16: then the file is
    decoded once more for the lower 8.

    Args:
        image: As Pillow decoded it.
        raw_mode: As which it lies in the file, in Pillow's words.
        again: Opens the file once more, without decoding it.

    Returns:
        An image of 8 bits by the power of two above the largest value, and how many bits that takes; None
        where the upper 8 are right.
    """
    layout, _, order = raw_mode.partition(";16")
    if layout not in ("RGB", "RGBA", "RGBX", "LA") or order not in _OTHER_HALF:
        return None
    if np.asarray(image)[..., :3].max(initial=0) >= 128:
        return None
    other = again()
    if layout == "LA":  # four bytes a pixel, taken as they are
        _take_as(other, "RGBA")
        halves = np.asarray(other).astype(np.uint16)
        deep = halves[..., 0::2] << 8 | halves[..., 1::2]  # (height, width, 2)
    else:
        _take_as(other, layout + ";16" + _OTHER_HALF[order])
        deep = np.asarray(image).astype(np.uint16) << 8 | np.asarray(other)
    opaque = layout == "RGB" or deep.shape[2] == 3
    colours = deep if opaque else deep[..., :-1]
    bits = bits_used(colours)
    flat = (colours >> (bits - 8)).astype(np.uint8)
    if not opaque:
        opacity = deep[..., -1:]
        opacity = (opacity >> (bits_used(opacity) - 8)).astype(np.uint8)
        flat = np.concatenate([flat, opacity], axis=2)
    return Image.fromarray(flat), bits


def take_deep_planes(image: Image.Image) -> None:
    """Have planes of 16 bits that lie one behind the other decoded as such: Pillow takes them for 8 bits."""
    tags: Any = getattr(image, "tag_v2", {})
    if set(tags.get(_BITS_A_SAMPLE, ())) == {16} and [tile.args[0] for tile in image.tile][:2] == ["R", "G"]:  # type: ignore[attr-defined]
        _take_as(image, f"{image.mode};16{'L' if tags.prefix == b'II' else 'B'}")


def _take_as(image: Image.Image, raw_mode: str) -> None:
    """Have an image that is not decoded yet decoded from another raw mode, of planes each from its own."""
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]
        before, *rest = (tile.args,) if isinstance(tile.args, str) else tile.args
        plane = before.partition(";")[0]
        mode = f"{plane};{raw_mode.partition(';')[2]}" if len(plane) == 1 else raw_mode
        tiles.append(tile._replace(args=mode if isinstance(tile.args, str) else (mode, *rest)))
    image.tile = tiles  # type: ignore[attr-defined]


MAX_PROFILE_BYTES = 8_000_000
"""Most bytes of a colour profile that is used; those of printing presses have some millions."""

_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_GREY = ("1", "L", "LA", "La")
_SAME = 2
"""Levels of 255 by which a profile may differ from sRGB and still be taken for it."""


def is_clear(image: Image.Image) -> bool:
    """Say whether a program has left an image's channel of transparency empty: nothing would show."""
    return "A" in image.getbands() and image.getchannel("A").getextrema() == (0, 0)


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bool]:
    """Make an image RGB as a screen shows it, on white where it is transparent.

    Args:
        image: Of 8 bits.
        profile: Its colour profile; one that is damaged, or of other colours than the image, is no reason
            to lose the image, and is not used.

    Returns:
        An RGB image, which may be the same one, and whether its colours were brought over from another space.
    """
    if image.mode == "La":
        image = image.convert("LA")
    alpha = None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        image = rgba.getchannel("R") if image.mode in _GREY else rgba.convert("RGB")
    elif image.mode not in ("L", "CMYK", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    transform = _transform(profile) if profile and len(profile) <= MAX_PROFILE_BYTES else None
    converted = transform is not None and transform.inputMode == image.mode
    if transform is not None and converted:
        rgb = ImageCms.applyTransform(image, transform)
        assert rgb is not None  # it is, unless it was to happen in place
    else:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", rgb.size, "white")
        white.paste(rgb, mask=alpha)
        rgb = white
    return rgb, converted


@lru_cache(maxsize=16)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return what brings colours to sRGB; None for a profile that says sRGB, and for a damaged one.

    Photos of one camera carry the same profile: it is looked at once.
    """
    mode = _MODES.get(profile[16:20])
    if mode is None:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    grid = steps if mode == "L" else np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    colours = Image.fromarray(grid[None])
    moved = ImageCms.applyTransform(colours, transform)
    before = np.asarray(colours.convert("RGB"), np.int16)
    return bool(np.abs(before - np.asarray(moved, np.int16)).max() <= _SAME)
