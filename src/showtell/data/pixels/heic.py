"""HEIC images, as iPhones write them: read by pillow-heif, an extra."""

from typing import BinaryIO

from PIL import Image

from showtell.data.pixels.bounds import decodable_pixels, too_large
from showtell.errors import ImageError

_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs")
_ANY_CODEC = (b"mif1", b"msf1", b"MiHE", b"miaf")


def is_heic(content: bytes) -> bool:
    """Say whether a file begins as a HEIC image; one coded by AV1 is an AVIF image, which Pillow reads."""
    if content[4:8] != b"ftyp":
        return False
    size = int.from_bytes(content[:4], "big")
    compatible = content[16 : min(size, 256)]
    if content[8:12] in _ANY_CODEC:
        return b"avif" not in compatible and b"crx " not in compatible
    return content[8:12] in _BRANDS


def open_heic(content: bytes, name: str, max_pixels: int | None) -> Image.Image:
    """Decode a HEIC image.

    Args:
        content: Of the file.
        name: How messages call it.
        max_pixels: Most pixels it may claim; None for what the memory allows.

    Returns:
        An image that stands upright: libheif has turned it, as the standard wants, and its EXIF has no say.

    Raises:
        ImageError: pillow-heif is not installed, or the image is too large.
    """
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            f"{name} is a HEIC picture, as iPhones write them; reading it needs pillow-heif, which is not "
            "installed (the extra showtell[heic]).",
            would_do="Save it as JPEG, or install the package.",
            run="pip install pillow-heif",
        ) from None
    try:
        found = pillow_heif.open_heif(content, convert_hdr_to_8bit=True)
        heif = found[found.primary_index]
    except Exception as error:  # it names no exceptions of its own
        raise ImageError(f"{name} begins as a HEIC picture, but cannot be decoded: {error}.") from error
    most = decodable_pixels() if max_pixels is None else max_pixels
    if heif.size[0] * heif.size[1] > most:
        raise too_large(name, f"{heif.size[0]}x{heif.size[1]}", most)
    image = heif.to_pillow()
    image.info = {"icc_profile": heif.info.get("icc_profile")}
    image.format = "HEIC"
    return image


def exif_block(file: BinaryIO) -> bytes:
    """Return the EXIF data of a HEIC image as they lie in the file; empty where it holds none.

    Raises:
        Exception: pillow-heif is not installed, or cannot read it.
    """
    import pillow_heif

    block: bytes | None = pillow_heif.open_heif(file).info.get("exif")
    return block or b""
