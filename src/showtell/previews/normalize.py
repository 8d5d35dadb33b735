"""Draw a photo under several normalisations, each with its histogram: ``showtell preview normalize``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from showtell.report.figures import ACCENT, FAINT, INK
from showtell.report.fonts import font
from showtell.report.sheet import Sheet, shorten, text_width, wrap

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

CHANNELS = ("#c62828", "#2e7d32", "#1f5fbf")
"""Colours of red, green and blue."""
_LEVELS_A_BIN = 4
_SOFT, _EXPECTED = "#efe9df", "#fdf1e7"
_MARGIN, _GAP, _WORDS, _DIAGRAM, _NUMBERS = 0.35, 0.28, 2.55, 3.9, 1.62
"""Inches: around everything, between columns, widths of three columns."""
_PHOTO, _STEP, _NOTE_LINE = 1.34, 1.62, 0.155
"""Inches: height of a photo, of a row, of a line of notes."""
_NAME_SIZE, _SMALL, _NOTE = 11.0, 7.5, 8.0
"""Points."""


@dataclass(frozen=True)
class Normalisation:
    """One way to normalise: ``(pixels - subtract) / divide``, with pixels in [0, 1].

    Attributes:
        name: What it is called.
        how: The same as a formula, for people.
        subtract: Per channel.
        divide: Per channel, above 0.
    """

    name: str
    how: str
    subtract: tuple[float, float, float]
    divide: tuple[float, float, float]

    def apply(self, pixels: Pixels) -> Values:
        """Return normalised pixels: (height, width, 3) in any unit, from uint8."""
        return (pixels / 255 - np.array(self.subtract)) / np.array(self.divide)

    def is_that_of(self, mean: Sequence[float], std: Sequence[float]) -> bool:
        """Say whether a network that states this mean and standard deviation expects it."""
        return np.allclose((*self.subtract, *self.divide), (*mean, *std), atol=2e-3)


def normalisations(
    pixels: Pixels,
    data_mean: Sequence[float],
    data_std: Sequence[float],
    sample: int,
    imagenet: tuple[Sequence[float], Sequence[float]],
) -> tuple[Normalisation, ...]:
    """Return the photo as it is and the five usual normalisations of it.

    Args:
        pixels: (height, width, 3).
        data_mean: Per channel, of pixels in [0, 1] of the data set.
        data_std: The same of their standard deviation.
        sample: From how many photos the two were taken.
        imagenet: Mean and standard deviation of ImageNet, per channel.
    """
    shares = pixels.reshape(-1, 3) / 255
    low, high = float(shares.min()), float(shares.max())
    counted = "the photo itself" if sample == 1 else f"{sample:,} photos of the data"
    return (
        Normalisation("As it is", "x, where 0 to 255 is 0 to 1", *_same(0.0, 1.0)),
        Normalisation("Minimum and maximum", "(x − min) / (max − min)", *_same(low, _above_0(high - low))),
        Normalisation(
            "This photo's own",
            "(x − mean) / std, each channel's own",
            _three(shares.mean(0)),
            _three(_above_0(std) for std in shares.std(0)),
        ),
        Normalisation(
            "The data set's",
            f"(x − mean) / std, of {counted}",
            _three(data_mean),
            _three(_above_0(std) for std in data_std),
        ),
        Normalisation("ImageNet's", "(x − mean) / std, of its photos", *map(_three, imagenet)),
        Normalisation("From −1 to 1", "(x − 0.5) / 0.5", *_same(0.5, 0.5)),
    )


def with_expected(
    choices: tuple[Normalisation, ...], mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[Normalisation, ...], int]:
    """Find the normalisation that a backbone expects, or add it.

    Args:
        choices: As ``normalisations`` returns them.
        mean: Per channel, as the backbone states it.
        std: The same of the standard deviation.

    Returns:
        The normalisations, and which of them it is.
    """
    for index, choice in enumerate(choices):
        if choice.is_that_of(mean, std):
            return choices, index
    own = Normalisation("The backbone's own", "(x − mean) / std, of its training", _three(mean), _three(std))
    return (*choices, own), len(choices)


def draw_normalisations(
    pixels: Pixels, choices: Sequence[Normalisation], expected: int, backbone: str, name: str, out: Path
) -> Path:
    """Draw a row a normalisation: what it is, the photo, its histogram, and its statistics.

    Args:
        pixels: The photo as the network sees it, (height, width, 3).
        choices: What to draw.
        expected: Which of them the backbone expects.
        backbone: Its name.
        name: Of the photo.
        out: The file to write; its suffix chooses the format.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    height, width = pixels.shape[:2]
    photo = min(_PHOTO * width / height, 2.2), _PHOTO
    inner = _WORDS + photo[0] + _DIAGRAM + _NUMBERS + 3 * _GAP
    note = wrap(_note(name, pixels), inner, _NOTE)
    first = 0.80 + len(note) * _NOTE_LINE
    sheet = Sheet(inner + 2 * _MARGIN, first + len(choices) * _STEP + 0.35)
    sheet.text("One photo, and what normalising makes of it", _MARGIN, 0.48, 15, bold=True)
    for number, line in enumerate(note):
        sheet.text(line, _MARGIN, 0.70 + number * _NOTE_LINE, _NOTE, colour=FAINT)
    reach = _reach(pixels, choices)
    for index, choice in enumerate(choices):
        top = first + index * _STEP
        if index == expected:
            around = inner + _MARGIN, _STEP - 0.03
            sheet.box(_MARGIN / 2, top - 0.13, around, face=_EXPECTED, round=0.08)
        _write_words(sheet, choice, top, backbone if index == expected else None)
        values = choice.apply(pixels)
        left = _MARGIN + _WORDS + _GAP
        sheet.picture(_as_brightness(values), left, top, photo)
        left += photo[0] + _GAP
        axes = sheet.axes(left, top, (_DIAGRAM, _PHOTO - 0.13))
        _draw_histogram(axes, pixels, choice, values, reach)
        _write_numbers(sheet, values, left + _DIAGRAM + _GAP, top)
    return sheet.save(out)


def _note(name: str, pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    return (
        f"{name} at {width} × {height} pixels, as the network sees it. A normalisation moves the hills of "
        "the histogram and stretches them, and changes nothing else. The pictures show 0 as black and 1 as "
        "full brightness, the shaded stretch; what lies outside of it is clipped. Below each histogram: mean "
        "and standard deviation of every channel."
    )


def _write_words(sheet: Sheet, choice: Normalisation, top: float, backbone: str | None) -> None:
    sheet.text(
        shorten(choice.name, _WORDS, _NAME_SIZE, bold=True), _MARGIN, top + 0.18, _NAME_SIZE, bold=True
    )
    sheet.text(choice.how, _MARGIN, top + 0.38, _NOTE, colour=INK)
    for line, (what, values) in enumerate((("subtract", choice.subtract), ("divide by", choice.divide))):
        said = "  ".join(f"{value:.3f}" for value in (values if len(set(values)) > 1 else values[:1]))
        base = top + 0.58 + line * 0.155
        sheet.text(what, _MARGIN, base, _SMALL, colour=FAINT)
        sheet.text(said, _MARGIN + 0.62, base, _SMALL, colour=FAINT)
    if backbone is not None:
        mark = "expected by " + shorten(backbone, _WORDS - 1.05, _NOTE, bold=True, middle=True)
        width = text_width(mark, _NOTE, bold=True)
        sheet.box(_MARGIN, top + 0.93, (width + 0.2, 0.23), face=ACCENT, round=0.07)
        sheet.text(mark, _MARGIN + 0.1, top + 1.085, _NOTE, bold=True, colour="white")


def _draw_histogram(
    axes: Axes, pixels: Pixels, choice: Normalisation, values: Values, reach: tuple[float, float]
) -> None:
    """Draw a hill a channel, and below it its mean and standard deviation."""
    edges = np.arange(0, 257, _LEVELS_A_BIN)
    hills = [np.histogram(pixels[..., channel], edges)[0] for channel in range(3)]
    # A burnt-out sky would press everything else to the ground, so a hill's highest bin may be cut off.
    peaks = [float(np.sort(hill)[-2] or hill.max()) for hill in hills]
    axes.axvspan(0, 1, color=_SOFT, zorder=0, linewidth=0)
    axes.axhline(0, color=FAINT, linewidth=0.5)
    for channel, (hill, peak, colour) in enumerate(zip(hills, peaks, CHANNELS)):
        where = (edges / 255 - choice.subtract[channel]) / choice.divide[channel]
        axes.stairs(hill / peak, where, fill=True, color=colour, alpha=0.16)
        axes.stairs(hill / peak, where, color=colour, linewidth=0.9)
        mean, std = values[..., channel].mean(), values[..., channel].std()
        low = -0.13 - 0.13 * channel
        axes.plot((mean - std, mean + std), (low, low), color=colour, linewidth=1.1, solid_capstyle="round")
        axes.plot(mean, low, "o", color=colour, markersize=3.6, markeredgewidth=0)
    axes.set_xlim(reach)
    axes.set_ylim(-0.52, 1.12)
    axes.set_yticks([])
    ticks = range(int(np.ceil(reach[0])), int(np.floor(reach[1])) + 1)
    axes.set_xticks(ticks, [str(tick).replace("-", "−") for tick in ticks])
    for label in axes.get_xticklabels():
        label.set_fontproperties(font("0", 7))
    axes.tick_params(length=2, width=0.5, color=FAINT, labelcolor=FAINT, pad=1.5)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set(color=FAINT, linewidth=0.5)
    axes.patch.set_visible(False)


def _write_numbers(sheet: Sheet, values: Values, left: float, top: float) -> None:
    column = (_NUMBERS - 0.36) / 3
    rows = {"mean": values.mean((0, 1)), "std": values.std((0, 1))}
    rows |= {"min": values.min((0, 1)), "max": values.max((0, 1))}
    for channel, (name, colour) in enumerate(zip("RGB", CHANNELS)):
        right = left + 0.36 + (channel + 1) * column
        sheet.text(name, right, top + 0.18, _SMALL, bold=True, colour=colour, ha="right")
        for line, numbers in enumerate(rows.values(), start=1):
            said = f"{numbers[channel]:.2f}".replace("-0.00", "0.00").replace("-", "−")
            sheet.text(said, right, top + 0.18 + line * 0.165, _SMALL, ha="right")
    for line, name in enumerate(rows, start=1):
        sheet.text(name, left, top + 0.18 + line * 0.165, _SMALL, colour=FAINT)
    inside = float(((values >= 0) & (values <= 1)).mean())
    sheet.text(f"{inside:.0%} within 0 to 1", left, top + 0.18 + 5.4 * 0.165, _SMALL, colour=FAINT)


def _reach(pixels: Pixels, choices: Sequence[Normalisation]) -> tuple[float, float]:
    """Return from where to where nearly all values of all normalisations lie, and at least -1 to 1."""
    ends = np.array([np.percentile(choice.apply(pixels), (0.2, 99.8)) for choice in choices])
    low, high = min(-1.0, max(-4.0, ends.min())), max(1.0, min(4.0, ends.max()))
    return low - 0.25, high + 0.25


def _as_brightness(values: Values) -> Pixels:
    return np.rint(255 * values.clip(0, 1)).astype(np.uint8)


def _above_0(divide: float) -> float:
    """Return a divisor that is safe where all pixels are alike: the difference is 0 then, and stays so."""
    return float(divide) if divide > 1e-6 else 1.0


def _same(subtract: float, divide: float) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return (subtract,) * 3, (divide,) * 3


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue
