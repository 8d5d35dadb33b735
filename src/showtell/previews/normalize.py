"""Draw a photo under several normalisations, each with its histogram: ``showtell preview normalize``."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from showtell.report.figures import (
    ACCENT,
    FAINT,
    figure_grid,
    inch_axes,
    save_figure,
    show_image,
    write,
    write_around,
)
from showtell.report.fonts import font, inches
from showtell.report.wrapping import shorten

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]

CHANNELS = ("#c62828", "#2e7d32", "#1f5fbf")
"""Colours of red, green and blue."""
_LEVELS_PER_BIN = 4
_SOFT, _EXPECTED = "#efe9df", "#fdf1e7"
_WORDS, _DIAGRAM, _NUMBERS, _HEIGHT = 2.55, 3.9, 1.62, 1.34
"""Inches: widths of three columns, height of a row."""
_GAP, _ABOVE, _BELOW = (0.28, 0.36), 0.12, 0.22
"""Inches: between columns and rows; around the row that is expected, above and below, where the ticks are."""
_NAME, _NOTE, _SMALL = 11.0, 8.0, 7.5
"""Points."""


@dataclass(frozen=True)
class Normalisation:
    """One way to normalise: ``(pixels - subtract) / divide``, with pixels in [0, 1].

    Attributes:
        name: What it is called.
        how: The same as a formula, for people.
        subtract: Per channel, or one number for all.
        divide: The same, above 0.
    """

    name: str
    how: str
    subtract: npt.ArrayLike
    divide: npt.ArrayLike

    def apply(self, pixels: Pixels) -> Values:
        """Return normalised pixels: (height, width, 3) in any unit, from uint8."""
        values: Values = (pixels / 255 - np.asarray(self.subtract)) / np.asarray(self.divide)
        return values

    def is_that_of(self, mean: Sequence[float], std: Sequence[float]) -> bool:
        """Say whether a network that states this mean and standard deviation expects it."""
        return np.allclose(self.subtract, mean, atol=2e-3) and np.allclose(self.divide, std, atol=2e-3)


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
    unit = pixels.reshape(-1, 3) / 255
    low, high = float(unit.min()), float(unit.max())
    own = unit.mean(0), _above_0(unit.std(0))
    counted = "the photo itself" if sample == 1 else f"{sample:,} photos of the data"
    return (
        Normalisation("As it is", "x, where 0 to 255 is 0 to 1", 0.0, 1.0),
        Normalisation("Minimum and maximum", "(x − min) / (max − min)", low, _above_0(high - low)),
        Normalisation("This photo's own", "(x − mean) / std, each channel's own", *own),
        Normalisation("The data set's", f"(x − mean) / std, of {counted}", data_mean, _above_0(data_std)),
        Normalisation("ImageNet's", "(x − mean) / std, of its photos", *imagenet),
        Normalisation("From −1 to 1", "(x − 0.5) / 0.5", 0.5, 0.5),
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
    own = Normalisation("The backbone's own", "(x − mean) / std, of its training", mean, std)
    return (*choices, own), len(choices)


def draw_normalisations(
    photo: tuple[str, Pixels], choices: Sequence[Normalisation], expected: tuple[int, str], out: Path
) -> Path:
    """Draw a row for each normalisation: what it is, the photo, its histogram, and its statistics.

    Args:
        photo: Its name, and its pixels as the network sees them, (height, width, 3).
        choices: What to draw.
        expected: Which of them a backbone expects, and the name of the backbone.
        out: The file to write; its suffix chooses the format.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    (name, pixels), (number, backbone) = photo, expected
    height, width = pixels.shape[:2]
    columns = [_WORDS, min(_HEIGHT * width / height, 2.2), _DIAGRAM, _NUMBERS]
    figure, axes = figure_grid(columns, [_HEIGHT] * len(choices), _GAP)
    total = figure.get_size_inches()
    reach = _reach(pixels, choices)
    for index, (choice, (words, image, diagram, numbers)) in enumerate(zip(choices, axes)):
        if index == number:
            pad, below = _ABOVE / total[0], words.get_position().y0 - _BELOW / total[1]
            tall = (_ABOVE + _HEIGHT + _BELOW) / total[1]
            ground = FancyBboxPatch((-pad, below), 1 + 2 * pad, tall, boxstyle="square,pad=0", zorder=-1)
            ground.set(facecolor=_EXPECTED, edgecolor="none")
            figure.add_artist(ground)
        values = choice.apply(pixels)
        _write_words(words, choice, backbone if index == number else None)
        show_image(image, _as_brightness(values))
        _draw_histogram(diagram, pixels, choice, values, reach)
        _write_numbers(numbers, values)
    write_around(figure, "One photo, and what normalising makes of it", _note(name, pixels))
    return save_figure(figure, out, crop=True)


def _note(name: str, pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    return (
        f"{name} at {width} × {height} pixels, as the network sees it. A normalisation moves the hills of "
        "the histogram and stretches them, and changes nothing else. The images show 0 as black and 1 as "
        "full brightness, the shaded stretch; what lies outside of it is clipped. Below each histogram: mean "
        "and standard deviation of every channel."
    )


def _write_words(axes: Axes, choice: Normalisation, backbone: str | None) -> None:
    inch_axes(axes, _WORDS, _HEIGHT)
    write(axes, 0, 0.13, shorten(choice.name, _WORDS, inches(_NAME, bold=True)), _NAME, bold=True)
    write(axes, 0, 0.33, choice.how, _NOTE)
    for line, (what, values) in enumerate((("subtract", choice.subtract), ("divide by", choice.divide))):
        text = "  ".join(f"{value:.3f}" for value in np.atleast_1d(values))
        write(axes, 0, 0.53 + line * 0.155, what, _SMALL, colour=FAINT)
        write(axes, 0.62, 0.53 + line * 0.155, text, _SMALL, colour=FAINT)
    if backbone is not None:
        name = shorten(backbone, _WORDS - 1.05, inches(_NOTE, bold=True), middle=True)
        badge = {"boxstyle": "round,pad=0.5", "facecolor": ACCENT, "edgecolor": "none"}
        write(axes, 0.08, 1.04, f"expected by {name}", _NOTE, bold=True, colour="white", bbox=badge)


def _draw_histogram(
    axes: Axes, pixels: Pixels, choice: Normalisation, values: Values, reach: tuple[float, float]
) -> None:
    """Draw a hill for each channel, and below it its mean and standard deviation."""
    axes.set_axis_on()
    edges = np.arange(0, 257, _LEVELS_PER_BIN)
    subtract, divide = (np.broadcast_to(values, 3) for values in (choice.subtract, choice.divide))
    hills = [np.histogram(pixels[..., channel], edges)[0] for channel in range(3)]
    # A burnt-out sky would press everything else to the ground, so a hill's highest bin may be cut off.
    peaks = [float(np.sort(hill)[-2] or hill.max()) for hill in hills]
    axes.axvspan(0, 1, color=_SOFT, zorder=0, linewidth=0)
    axes.axhline(0, color=FAINT, linewidth=0.5)
    for channel, (hill, peak, colour) in enumerate(zip(hills, peaks, CHANNELS)):
        where = (edges / 255 - subtract[channel]) / divide[channel]
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


def _write_numbers(axes: Axes, values: Values) -> None:
    inch_axes(axes, _NUMBERS, _HEIGHT)
    column = partial(write, axes, va="top", linespacing=1.55)
    inside = f"{((values >= 0) & (values <= 1)).mean():.0%} within 0 to 1"
    column(0, 0.05, f"\nmean\nstd\nmin\nmax\n\n{inside}", _SMALL, colour=FAINT)
    rows = [values.mean((0, 1)), values.std((0, 1)), values.min((0, 1)), values.max((0, 1))]
    for channel, colour in enumerate(CHANNELS):
        right = 0.36 + (channel + 1) * (_NUMBERS - 0.36) / 3
        numbers = [f"{row[channel]:.2f}".replace("-0.00", "0.00").replace("-", "−") for row in rows]
        column(right, 0.05, "RGB"[channel], _SMALL, bold=True, colour=colour, ha="right")
        column(right, 0.05, "\n" + "\n".join(numbers), _SMALL, ha="right")


def _reach(pixels: Pixels, choices: Sequence[Normalisation]) -> tuple[float, float]:
    """Return from where to where nearly all values of all normalisations lie, and at least -1 to 1."""
    ends = np.array([np.percentile(choice.apply(pixels), (0.2, 99.8)) for choice in choices])
    low, high = min(-1.0, max(-4.0, ends.min())), max(1.0, min(4.0, ends.max()))
    return low - 0.25, high + 0.25


def _as_brightness(values: Values) -> Pixels:
    pixels: Pixels = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return pixels


def _above_0(divide: npt.ArrayLike) -> Values:
    """Return a divisor that is safe where all pixels are alike: the difference is 0 then, and stays so."""
    return np.where(np.asarray(divide) > 1e-6, divide, 1.0)
