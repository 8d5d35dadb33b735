"""Colours as the file means them, brought to sRGB and laid on white."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 8_000_000
"""Most bytes of a colour profile that is heeded; those of printing presses have some millions."""

_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_GREY = ("1", "L", "LA", "La")
_SAME = 2
"""Levels of 255 by which a profile may differ from sRGB and still be taken for it."""


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bool]:
    """Make an image RGB as a screen shows it, on white where it is transparent.

    Args:
        image: Of 8 bits.
        profile: Its colour profile; one that is damaged, or of other colours than the image, is no reason
            to lose the image, and is not heeded.

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
