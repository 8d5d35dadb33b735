"""Decode an image, turn it upright, and make it RGB. No other module decodes one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageFile, JpegImagePlugin, UnidentifiedImageError

from showtell.data.pixels import colour, files, formats, jpeg, tiff
from showtell.data.pixels.colour import to_srgb
from showtell.data.pixels.decoders import FORMATS, no_preview, quiet, quiet_libtiff, unreadable
from showtell.data.pixels.exif import orientation_of, turned
from showtell.data.pixels.files import Source, read_content, source_name
from showtell.data.pixels.preprocessing import Preprocessing
from showtell.errors import ImageError


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done to an image because of what its file is like."""

    # a constant name: `cut off at its end`, `bits in use`, `one of several`, `camera preview`,
    # `transparent all over` or `colour profile`
    kind: str
    detail: str  # which, in a few words


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image, and what its file says of itself."""

    image: Image.Image  # RGB, upright, without EXIF
    format: str  # of the file, such as `JPEG`
    mode: str  # of its pixels as Pillow calls it, such as `RGB`, `L` or `CMYK`
    width: int  # upright and before any scaling, pixels
    height: int  # likewise
    orientation: int  # as EXIF says it, 1 to 8; 1 where it says nothing; 0 where it says nonsense
    notes: tuple[Note, ...] = ()  # what was done to it


def open_image(
    source: Source, *, shrink_to: Preprocessing | None = None, max_pixels: int | None = None
) -> Image.Image:
    """Return the image of :func:`decode`: RGB, upright and without EXIF."""
    return decode(source, shrink_to=shrink_to, max_pixels=max_pixels).image


def decode(
    source: Source, *, shrink_to: Preprocessing | None = None, max_pixels: int | None = None
) -> Decoded:
    """Decode an image, turn it upright, and make it RGB.

    Colours are brought to sRGB; transparent pixels lie on white; deep images are scaled by the power of two
    above their largest value; of an animation the first frame that shows something is taken, of several
    pages the largest, of a camera's raw file its preview.

    Args:
        source: A path, the file's content, an open binary file, or a Pillow image.
        shrink_to: Where given, a JPEG may be decoded at a fraction of its size, at least twice what this
            preprocessing needs: 5 times faster on phone photos, mean error below 1 of 255 (docs/log.md).
        max_pixels: Most pixels that a file may claim; None for as many as the memory allows
            (:func:`files.decodable_pixels`) after what a JPEG is scaled down by while it is decoded, which
            happens by itself to one that is larger.

    Returns:
        The image, and what its file says.

    Raises:
        ImageError: It cannot be read; the message gives the reason.
    """
    name = source_name(source)
    content = b"" if isinstance(source, Image.Image) else read_content(source)
    try:
        with quiet():
            if isinstance(source, Image.Image):
                with quiet_libtiff():
                    return _finished(_Opened(source, source.size), name)
            return _Reader(name, shrink_to, max_pixels).read(content)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        claimed = re.search(r"\d{6,}", str(error))
        millions = f"{int(claimed[0]) // 10**6:,}" if claimed else "many"
        raise files.too_large(name, f"{millions} million", max_pixels or files.decodable_pixels()) from None
    except UnidentifiedImageError:
        raise unreadable(name, content) from None
    # Decoders of third parties fail in many ways on damaged files (OSError, SyntaxError, struct.error, ...).
    except Exception as error:
        raise ImageError(f"{name} cannot be decoded: {error}.") from error


@dataclass(frozen=True)
class _Reader:
    """Reads one file."""

    name: str  # how messages call it
    shrink_to: Preprocessing | None  # as of :func:`decode`
    max_pixels: int | None  # as of :func:`decode`

    def read(self, content: bytes) -> Decoded:
        """Decode a file's content, whatever it turns out to be."""
        if formats.is_heic(content):
            image = formats.open_heic(content, self.name, self.max_pixels)
            return _finished(_Opened(image, image.size), self.name)
        if formats.is_camera_file(content):
            return self._read_camera_file(content)
        if content.startswith(tiff.MAGIC):
            with quiet_libtiff():
                return self._read_tiff(content)
        try:
            return self._read_frames(content)
        except (ValueError, UnidentifiedImageError):
            if not content.startswith(formats.PNG_MAGIC):
                raise
            bare, profile = formats.bare_png(content)
            return self._read_frames(bare, _Known(profile=profile))

    def _read_camera_file(self, content: bytes) -> Decoded:
        found = formats.camera_preview(content)
        if found is None:
            raise no_preview(self.name)
        inner, turned = found
        decoded = self._read_frames(inner, _Known(orientation=turned))
        note = Note("camera preview", f"{decoded.width}x{decoded.height}")
        return replace(decoded, format="camera raw", notes=(note, *decoded.notes))

    def _read_tiff(self, content: bytes) -> Decoded:
        file = tiff.Tiff(content)
        limit = files.decodable_pixels() if self.max_pixels is None else self.max_pixels
        page = formats.largest_page(file.pages, limit)
        white_at_zero = page < len(file.pages) and file.pages[page].is_white_at_zero
        decoded = self._read_frames(file.black_at_zero(), _Known(page, white_at_zero))
        # Pillow has turned the image, and forgets how it lay.
        return replace(decoded, orientation=file.pages[page].orientation) if file.pages else decoded

    def _read_frames(self, content: bytes, known: "_Known | None" = None) -> Decoded:
        """Decode what Pillow reads."""
        known = known or _Known()
        opened = self._open(content, known.page)
        image, notes, shown = opened.image, [], known.page
        if getattr(image, "is_animated", False) and image.format in formats.ANIMATED:
            shown = formats.show_something(image)
        if shown:
            notes.append(Note("one of several", f"number {shown + 1}, {image.width}x{image.height}"))
        try:
            image.load()
        except OSError as error:
            opened = self._mended(content, image, error)
            notes.append(Note("cut off at its end", "less than a row of blocks is missing"))
        deepened = colour.deepened(opened.image, opened.raw_mode, lambda: self._open(content, shown).image)
        return _finished(opened, self.name, known, deepened, notes)

    def _mended(self, content: bytes, image: Image.Image, error: OSError) -> "_Opened":
        """Open a JPEG anew of which only the very end is missing.

        Raises:
            OSError: It is another fault.
        """
        if image.format not in ("JPEG", "MPO") or "truncated" not in str(error):
            raise error
        in_full = replace(self, shrink_to=None)
        whole = jpeg.completed(content, lambda made: in_full._open(made, 0).image)
        if whole is None:
            raise error
        return self._open(whole, 0)

    def _open(self, content: bytes, page: int) -> "_Opened":
        """Open what Pillow reads, at a page, to be decoded at a size for which there is memory."""
        image = _from_pillow(content)
        if page:
            image.seek(page)
        colour.take_deep_planes(image)
        full, claim, kept = image.size, image.width * image.height, 0
        claimable = files.MAX_CLAIM if self.max_pixels is None else self.max_pixels
        if claim > claimable:
            raise files.too_large(self.name, f"{full[0]}x{full[1]}", claimable)
        limit = files.ALWAYS_PIXELS if claim <= files.ALWAYS_PIXELS else files.decodable_pixels()
        if image.format in ("JPEG", "MPO"):
            _draft(image, self.shrink_to, limit)
            if claim > files.ALWAYS_PIXELS and jpeg.keeps_coefficients(content):
                kept = claim // 2  # 6 bytes of coefficients a pixel, half of what a decoded one takes
        if image.width * image.height + kept > limit:
            raise files.too_large(self.name, f"{full[0]}x{full[1]}", limit)
        tile = next(iter(image.tile), None)
        args = tile.args if tile is not None else ""
        raw_mode = args[0] if isinstance(args, tuple) and args else args
        if len(image.tile) > 1 and str(raw_mode).startswith("R;"):  # of planes the first
            raw_mode = image.mode + str(raw_mode)[1:]
        return _Opened(image, full, str(raw_mode), tile is not None and tile.codec_name == "ppm", True)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of an image that its file does not say where Pillow looks."""

    page: int = 0  # where to look for a frame that shows something
    white_at_zero: bool = False  # whether large values of a deep grey image are dark
    orientation: int = 1  # of an image that does not say it by itself
    profile: bytes | None = None  # of an image whose own was taken out


@dataclass(frozen=True, slots=True)
class _Opened:
    """An image as Pillow opens it."""

    image: Image.Image  # may be decoded at a fraction of its size
    full: tuple[int, int]  # its size, as it lies in the file
    raw_mode: str = ""  # how its values lie in the file, in Pillow's words
    stated: bool = False  # whether the file says which value is white, and Pillow scales by it
    is_own: bool = False  # whether nobody else holds the image


def _finished(
    opened: _Opened,
    name: str,
    known: _Known | None = None,
    deepened: tuple[Image.Image, int] | None = None,
    notes: Sequence[Note] = (),
) -> Decoded:
    """Turn an image upright and make it RGB.

    Args:
        opened: Decoded, or to be.
        name: How messages call it.
        known: What its file does not say; None for nothing.
        deepened: What is shown of it where its own 8 bits are nearly black, and how many of 16 are in use.
        notes: What was done to it so far.
    """
    image, done, known = opened.image, list(notes), known or _Known()
    image.load()
    shown, bits = deepened or (image, 16)
    if colour.is_deep(shown):
        shown, bits = colour.to_8_bits(shown, name, white_at_zero=known.white_at_zero, stated=opened.stated)
    if bits != 16:
        done.append(Note("bits in use", f"{bits} of {32 if image.mode == 'I' else 16}"))
    # Asked after loading: Pillow turns a TIFF by itself then, and says so by dropping its orientation.
    own = orientation_of(image)
    turn = known.orientation if own == 1 else own
    shown = turned(shown, turn)
    if colour.is_clear(shown):
        shown = shown.convert("RGBA").convert("RGB")
        done.append(Note("transparent all over", "shown without it"))
    rgb, brought = to_srgb(shown, known.profile or image.info.get("icc_profile"))
    if brought:
        done.append(Note("colour profile", "brought to sRGB"))
    if rgb is image and not (opened.is_own and image.format == "JPEG"):  # other kinds keep their file open
        rgb = rgb.copy()
    rgb.info = {}  # its EXIF would have it turned again by the next reader
    # A TIFF stands upright by now; what a JPEG was before it was scaled is known from before.
    width, height = opened.full if image.format in ("JPEG", "MPO") else image.size
    if turn >= 5:
        width, height = height, width
    return Decoded(rgb, image.format or "", image.mode, width, height, turn, tuple(done))


def _from_pillow(content: bytes) -> ImageFile.ImageFile:
    """Open a file; Pillow's own bound on claims does not hold for a JPEG, which may be scaled down."""
    try:
        return Image.open(files.InFewReads(content), formats=FORMATS)
    except Image.DecompressionBombError:
        if not content.startswith(b"\xff\xd8"):
            raise
        return JpegImagePlugin.jpeg_factory(files.InFewReads(content))


def _draft(image: Image.Image, shrink_to: Preprocessing | None, limit: int) -> None:
    """Let the JPEG decoder shrink: to twice the size that is needed, or until there is memory for it."""
    width, height = image.size
    scale = next((s for s in (1, 2, 4) if width * height <= limit * s * s), 8)
    if shrink_to is not None:
        upright = (width, height) if orientation_of(image) >= 5 else (height, width)
        scale = max(scale, shrink_to.reduction(*upright))
    if scale > 1:
        image.draft(None, (max(1, width // scale), max(1, height // scale)))
