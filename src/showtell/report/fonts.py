"""Find fonts that have the letters of a text, so that Korean captions and class names never turn into boxes.

matplotlib brings DejaVu Sans, which has Latin, Greek, Cyrillic and the minus sign but no Hangul. Where a text
needs more, a font of the system follows it in the fallback list, or the one of ``showtell[korean]``.
"""

import contextlib
import importlib.util
import logging
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache, partial
from pathlib import Path

from matplotlib import font_manager
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties
from PIL import ImageFont

from showtell.report.wrapping import Measure

BASE_FAMILY = "DejaVu Sans"
HANGUL_FAMILIES = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "Pretendard",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "Malgun Gothic",
    "NanumGothic",
    "NanumBarunGothic",
    "NanumSquare",
    # Debian's collection file counts as its first face, which has Hangul too.
    "Noto Sans CJK JP",
    "Source Han Sans KR",
    "Source Han Sans K",
    "Spoqa Han Sans Neo",
    "IBM Plex Sans KR",
    "UnDotum",
    "Baekmuk Dotum",
    "Gulim",
    "Dotum",
    "Batang",
)
"""Fonts with all modern Hangul syllables, the plainest and best readable first."""
_EXTRA_PACKAGE, _EXTRA_FILE = "pylopdf_fonts_ko", "NotoSansKR-Regular.otf"


def _is_news(record: logging.LogRecord) -> bool:
    return "Failed to find font weight" not in record.getMessage() or BASE_FAMILY in record.getMessage()


class MissingGlyphWarning(UserWarning):
    """Letters of a text are in no font that was found, and are drawn as boxes."""


@contextmanager
def silent_boxes() -> Iterator[None]:
    """Keep matplotlib from warning of each letter that has no glyph: ``font_families`` has warned once.

    NanumGothic calls its bold 600, which matplotlib finds worth a line on stderr for every figure, too.
    """
    logger = logging.getLogger("matplotlib.font_manager")
    logger.addFilter(_is_news)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            yield
    finally:
        logger.removeFilter(_is_news)


def plain(text: str) -> str:
    """Compose a text (NFC), as fonts want it, and make it one line without control characters."""
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(c if c.isprintable() else " " for c in composed).split())


def font_families(text: str) -> list[str]:
    """Choose the fonts that a text needs, as matplotlib's fallback list.

    Args:
        text: Anything; warns once a process and kind of letter where no font has some of it.

    Returns:
        ``DejaVu Sans``, followed by a Hangul font where the text needs more than that.
    """
    missing = _missing(text, (BASE_FAMILY,))
    if not missing:
        return [BASE_FAMILY]
    families = [BASE_FAMILY] if (hangul := hangul_family()) is None else [BASE_FAMILY, hangul]
    missing = _missing(text, tuple(families))
    if missing:
        _warn(any("HANGUL" in unicodedata.name(letter, "") for letter in missing), missing)
    return families


def font(text: str, size: float, *, bold: bool = False) -> FontProperties:
    """Return matplotlib's font for a text.

    Args:
        text: What will be drawn.
        size: In points.
        bold: Heavy letters, where the font has them.
    """
    return FontProperties(family=font_families(text), size=size, weight="bold" if bold else "normal")


@lru_cache(4096)
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Measure a line of so many points, in inches."""
    with silent_boxes():
        # At 72 dots per inch a dot is a point; of the renderer's own pixels only a few are needed.
        width, _, _ = RendererAgg(1, 1, 72).get_text_width_height_descent(
            plain(text), font(text, size, bold=bold), False
        )
    return float(width) / 72


def inches(size: float, *, bold: bool = False) -> Measure:
    """Return what measures lines of so many points in inches, to wrap and shorten them by."""
    return partial(text_width, size=size, bold=bold)


def pil_font(size: float, text: str) -> ImageFont.FreeTypeFont:
    """Return Pillow's font for a text, for overlays: the one that has most of it, as Pillow takes only one.

    Args:
        size: In pixels.
        text: What will be drawn.
    """
    best = min(font_families(text), key=lambda family: len(_missing(text, (family,))))
    return ImageFont.truetype(_file(best), size)


@cache
def hangul_family() -> str | None:
    """Return the family name of the best Hangul font there is; None where there is none."""
    if (family := _installed_hangul()) is not None:
        return family
    # Matplotlib keeps its list of fonts for ever; one that was installed since is added here.
    if _add_new_fonts() and (family := _installed_hangul()) is not None:
        return family
    spec = importlib.util.find_spec(_EXTRA_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / _EXTRA_FILE
        if path.exists():
            font_manager.fontManager.addfont(path)
            return FontProperties(fname=path).get_name()
    return None


def _installed_hangul() -> str | None:
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    usable = (name for name in HANGUL_FAMILIES if name in installed and ord("한") in _letters(name))
    return next(usable, None)


def _add_new_fonts() -> bool:
    """Add fonts of the system that are not in matplotlib's list and have one of the Hangul families."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    added = False
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        with contextlib.suppress(Exception):  # a damaged file among the system's fonts is no reason to stop
            if font_manager.get_font(path).family_name in HANGUL_FAMILIES:
                font_manager.fontManager.addfont(path)
                added = True
    return added


def _file(family: str) -> str:
    return font_manager.findfont(FontProperties(family=[family]), fallback_to_default=False)


@cache
def _letters(family: str) -> frozenset[int]:
    return frozenset(font_manager.get_font(_file(family)).get_charmap())


def _missing(text: str, families: tuple[str, ...]) -> list[str]:
    """Return the letters of a text that none of the fonts has, in order, each once."""
    fonts = [_letters(family) for family in families]
    letters = dict.fromkeys(plain(text).replace(" ", ""))
    return [letter for letter in letters if not any(ord(letter) in has for has in fonts)]


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, MissingGlyphWarning, stacklevel=2)


def _warn(hangul: bool, missing: list[str]) -> None:
    if hangul:
        _warn_once(
            "No font with Hangul is installed, so Korean text is drawn as boxes.\n"
            "Run: pip install 'showtell[korean]'\n"
            "or install a system font: apt-get install fonts-nanum, dnf install google-noto-sans-cjk-fonts."
        )
        return
    # One warning a script: the first word of LATIN SMALL LETTER A names it.
    scripts = dict.fromkeys(unicodedata.name(letter, "UNKNOWN").split()[0].capitalize() for letter in missing)
    _warn_once(
        f"No font was found for {missing[0]} ({', '.join(scripts)}), so it is drawn as a box.\n"
        "Install a font that has it, such as Noto Sans CJK for Chinese and Japanese."
    )
