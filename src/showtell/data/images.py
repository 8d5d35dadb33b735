"""Open a picture: decode, orient, resize. No other module opens one.

Training, prediction and export see the same pixels because all of them come from :func:`load_pixels`, told
by one :class:`Preprocessing` that travels with the features and the model.
"""

import io
import math
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from showtell.errors import ImageError

Fit = Literal["whole", "crop"]
Source = Path | bytes | BinaryIO | Image.Image

MAX_PIXELS = 178_956_970
"""Most pixels a picture may claim before any of them is decoded, as in Pillow; a bomb claims more."""
MAX_BYTES = 256_000_000
"""Most bytes of one picture file."""

# Pillow warns at half the size at which it refuses; a panorama is no reason for a warning.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

# Formats whose decoders are part of Pillow itself; left out are those that start other programs (EPS) and
# those that are no photographs.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
_RECIPE = "pillow draft 2x, exif, white behind alpha, uint8 antialias; 1"
"""Names how pixels come about; change it whenever the same file would give other pixels."""


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the network's input.

    Attributes:
        height: Of the input, pixels.
        width: Of the input, pixels.
        fit: ``whole`` squeezes the whole picture into the input; ``crop`` scales its shorter side and cuts
            out the centre.
        crop_pct: With ``crop``, the share of the shorter side that is kept, in (0, 1].
        interpolation: ``bilinear`` or ``bicubic``, both antialiased.
        mean: Per channel, of pixels in [0, 1]; subtracted inside the network.
        std: Per channel, of pixels in [0, 1]; divided by inside the network.
        recipe: The version of the code that makes the pixels.
    """

    height: int
    width: int
    fit: Fit
    crop_pct: float
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    recipe: str = _RECIPE

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) a picture is scaled to before any crop."""
        if self.fit == "whole":
            return self.height, self.width
        target = math.floor(self.height / self.crop_pct), math.floor(self.width / self.crop_pct)
        scale = max(target[0] / height, target[1] / width)
        return max(target[0], round(height * scale)), max(target[1], round(width * scale))


def load_pixels(source: Source, preprocessing: Preprocessing) -> Tensor:
    """Read a picture as the network sees it, before normalisation.

    Args:
        source: A path, the file's content, an open binary file, or a Pillow image.
        preprocessing: What the network wants.

    Returns:
        Pixels (3, height, width), uint8.

    Raises:
        ImageError: It cannot be read; the message gives the reason.
    """
    image = open_image(source, shrink_to=preprocessing)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0)  # (1, 3, H, W), channels last
    size = preprocessing.scaled_size(*pixels.shape[-2:])
    if size[0] * size[1] > MAX_PIXELS:  # a strip one pixel wide, scaled up until its shorter side fits
        raise ImageError(f"{_name(source)} is a strip of {image.width}x{image.height}, too long to crop.")
    if pixels.shape[-2:] != size:
        pixels = F.interpolate(pixels, size, mode=preprocessing.interpolation, antialias=True)
    top, left = (size[0] - preprocessing.height) // 2, (size[1] - preprocessing.width) // 2
    return pixels[0, :, top : top + preprocessing.height, left : left + preprocessing.width]


def open_image(
    source: Source, *, shrink_to: Preprocessing | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode a picture, turn it upright, and make it RGB.

    Transparent pixels lie on white; 16-bit pictures keep their upper 8 bits; of an animation the first
    frame is taken.

    Args:
        source: A path, the file's content, an open binary file, or a Pillow image.
        shrink_to: Where given, a JPEG may be decoded at a fraction of its size, at least twice what this
            preprocessing needs: 5 times faster on phone photos, mean error below 1 of 255 (docs/log.md).
        max_pixels: Most pixels that a file may claim.

    Returns:
        An RGB image, upright and without EXIF.

    Raises:
        ImageError: It cannot be read; the message gives the reason.
    """
    name = _name(source)
    content = b"" if isinstance(source, Image.Image) else read_content(source)
    try:
        if isinstance(source, Image.Image):
            image = source
        else:
            image = Image.open(_InFewReads(content), formats=_FORMATS)
            _check_size(image, name, max_pixels)
            if shrink_to is not None and image.format in ("JPEG", "MPO"):
                _draft(image, shrink_to)
        image.load()
        # Asked after loading: Pillow turns a TIFF by itself then, and says so by dropping its orientation.
        orientation = _orientation(image)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
        rgb = _to_rgb(image, name)
        rgb.info = {}  # its EXIF would have it turned again by the next reader
        return rgb
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        claimed = re.search(r"\d{6,}", str(error))
        millions = f"{int(claimed[0]) // 10**6:,}" if claimed else "many"
        raise _too_large(name, f"{millions} million", max_pixels) from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} is not a picture: {_looks_like(content)}.",
            would_do=f"It takes {', '.join(_FORMATS)}.",
        ) from None
    # Decoders of third parties fail in many ways on damaged files (OSError, SyntaxError, struct.error, ...).
    except Exception as error:
        raise ImageError(f"{name} cannot be decoded: {error}.") from error


class _InFewReads(io.BytesIO):
    """A file's content, to be read in no more pieces than a picture has.

    Pillow walks the segments of a JPEG and the chunks of a PNG in Python, about a microsecond each: a file of
    nothing but empty ones would hold the interpreter for 0.4 seconds a megabyte.

    Args:
        content: Of the file.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = 20_000 + len(content) // 100  # photos take some dozens; one strip a row, some thousands

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does.

        Raises:
            OSError: It was read too often.
        """
        self._left -= 1
        if self._left < 0:
            raise OSError("it is in more pieces than a picture has")
        return super().read(size)


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says of itself.

    Attributes:
        format: Such as ``JPEG``.
        mode: Of its pixels as Pillow calls it, such as ``RGB``, ``L`` or ``CMYK``.
        width: As it lies in the file, pixels.
        height: As it lies in the file, pixels.
        orientation: As EXIF says it, 1 to 8; 1 where it says nothing; 0 where it says nonsense.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int


def read_header(content: bytes) -> Header:
    """Read what a file says of itself, without decoding a pixel.

    Args:
        content: Of a file that :func:`open_image` takes.
    """
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        # Of a PNG Pillow would decode every pixel to look for EXIF behind them.
        plain = image.format == "PNG" and b"eXIf" not in content and b"XML:com.adobe.xmp" not in content
        orientation = 1 if plain else _orientation(image)
        return Header(image.format or "", image.mode, image.width, image.height, orientation)


def read_content(source: Path | bytes | BinaryIO) -> bytes:
    """Read a picture file whole.

    Raises:
        ImageError: It is missing, a folder, empty, or larger than ``MAX_BYTES``.
    """
    name = _name(source)
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, Path):
        try:
            with source.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ImageError(f"{name} cannot be read: {error.strerror or error}.") from error
    else:
        content = source.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ImageError(f"{name} is larger than {MAX_BYTES // 10**6} MB.")
    if not content:
        raise ImageError(f"{name} is empty (0 bytes).")
    return content


def _name(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "the picture"


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


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none, 0 where it is nonsense."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block is no reason to lose the picture
        return 0
    return value if isinstance(value, int) and 1 <= value <= 8 else 0


def _draft(image: Image.Image, shrink_to: Preprocessing) -> None:
    """Let the JPEG decoder shrink, to at least twice the size that is needed."""
    if _orientation(image) >= 5:  # lies on its side
        width, height = shrink_to.scaled_size(image.width, image.height)
    else:
        height, width = shrink_to.scaled_size(image.height, image.width)
    image.draft(None, (2 * width, 2 * height))


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise _too_large(name, f"{image.width}x{image.height}", max_pixels)


def _too_large(name: str, claim: str, max_pixels: int) -> ImageError:
    return ImageError(
        f"{name} claims {claim} pixels, more than {max_pixels // 10**6} million.",
        would_do="Scale it down first, if it is what it claims to be.",
    )


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        # Of 32-bit integers only PPM says how many bits count; elsewhere the values must tell.
        is_16_bit = image.mode != "I" or image.format == "PPM" or values.max(initial=0) > 255
        if image.mode == "F":
            image = Image.fromarray(_to_8_bits(values, name))
        elif is_16_bit:  # Pillow's own conversion would clip to white
            image = Image.fromarray((values.astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
        else:
            image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _to_8_bits(values: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.uint8]:
    if not (np.isfinite(values).all() and values.min(initial=0) >= 0):
        raise ImageError(f"{name} holds floating-point values that are not brightness.")
    peak = values.max(initial=0)
    white = 65535 if peak > 255 else 255 if peak > 1 else 1
    return np.rint(values.clip(0, white) / white * 255).astype(np.uint8)


def _looks_like(content: bytes) -> str:
    start = content[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "it holds a web page or an XML text"
    if start.startswith(b"pk\x03\x04"):
        return "it holds a ZIP archive"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the real file"
    if content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*")):
        return "it begins as one, but is damaged or cut off"
    if content[4:8] == b"ftyp":
        return "it is a film or a HEIC picture, which cannot be read; save it as JPEG"
    return f"its first bytes are {content[:8].hex(' ')}"
