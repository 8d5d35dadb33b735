"""Which way up an image is."""

from PIL import Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that undoes it; anything else, which phones do write, means upright."""


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none, 0 where it is nonsense."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block is no reason to lose the picture
        return 0
    return value if isinstance(value, int) and 1 <= value <= 8 else 0


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image upright."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image
