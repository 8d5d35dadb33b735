"""Which image of a file that holds several."""

from collections.abc import Sequence

from PIL import Image

from showtell.data.pixels.tiff import Directory

ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
"""Formats with frames; those of an MPO are other views, and helpers to the first."""
_MOST_FRAMES = 32
"""Frames that are looked at for one that shows something."""


def largest_page(pages: Sequence[Directory], most: int) -> int:
    """Return the place of the largest image of a TIFF that may be decoded; of equal ones the first.

    Args:
        pages: Of the file, at least one.
        most: Most pixels; where all have more, the smallest is returned.
    """
    images = [place for place, page in enumerate(pages) if not page.is_mask and page.pixels]
    fitting = [place for place in images if pages[place].pixels <= most]
    if fitting:
        return max(fitting, key=lambda place: pages[place].pixels)
    return min(images, key=lambda place: pages[place].pixels, default=0)


def show_something(image: Image.Image) -> int:
    """Turn an animation to its first frame that is not empty or of one plain colour.

    Args:
        image: At its first frame, not yet decoded; of a TIFF, pages of the same size are its frames.

    Returns:
        The number of the frame; 0, and that frame, where none of the first ones shows anything.
    """
    first, size = image.tell(), image.size
    image.load()
    if not _is_plain(image):
        return first
    last = min(getattr(image, "n_frames", 1), first + _MOST_FRAMES)
    for number in range(first + 1, last):
        try:
            image.seek(number)
            image.load()
        except Exception:  # an animation that is cut off has shown what it has
            break
        if image.size == size and not _is_plain(image):
            return number
    image.seek(first)
    return first


def _is_plain(image: Image.Image) -> bool:
    """Say whether all pixels look alike, laid on white."""
    shown = image
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    elif image.mode == "P":
        shown = image.convert("RGB")
    extrema = shown.getextrema()
    pairs = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in pairs)
