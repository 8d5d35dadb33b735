"""Draw what a classifier said: the photo, where it looked, and how likely each class is."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image
from torch import Tensor

from showtell.data.images import Preprocessing
from showtell.report.figures import FAINT, INK, PAPER, check_figure_path, save_figure
from showtell.report.fonts import font, plain
from showtell.report.overlay import overlay

RIGHT, OTHER = "#2e7d32", "#b9b2a7"
"""Colours of the right class's bar, and of the others."""


def draw_prediction(
    image: Image.Image,
    heat: Tensor,
    probabilities: Mapping[str, float],
    preprocessing: Preprocessing,
    out: Path,
    *,
    right: str | None = None,
) -> Path:
    """Draw a photo beside a Grad-CAM overlay and a bar a class.

    Args:
        image: Upright, as ``open_image`` returns it.
        heat: What spoke for the first class, (rows, columns), each 0 or more.
        probabilities: Of the most likely classes, in [0, 1], most likely first.
        preprocessing: Of the model's backbone.
        out: The file to write; its suffix chooses the format.
        right: The right class where it is known: its name stands above the photo, and its bar is green.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    check_figure_path(out)
    image = image.convert("RGB")
    image.thumbnail((900, 900))
    shape = image.width / image.height
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure((2 * 3.2 * shape + 4.4, 3.8), facecolor=PAPER, layout=layout)
    FigureCanvasAgg(figure)
    photo, looked, bars = figure.subplots(1, 3, width_ratios=(3.2 * shape, 3.2 * shape, 4.4))
    best = next(iter(probabilities))
    for axes, shown, title in (
        (photo, image, right or ""),
        (looked, overlay(image, heat, preprocessing), f"what speaks for {best}"),
    ):
        axes.imshow(shown)
        axes.axis("off")
        axes.set_title(plain(title), fontproperties=font(title, 10), color=FAINT, parse_math=False)
    names = list(probabilities)[::-1]
    values = [100 * probabilities[name] for name in names]
    found = bars.barh(range(len(names)), values, color=[RIGHT if name == right else OTHER for name in names])
    labels = bars.bar_label(found, [f"{value:.1f}%" for value in values], padding=3)
    for label in labels:
        label.set_color(INK)
    bars.set_yticks(range(len(names)), [_short(name) for name in names])
    for tick, name in zip(bars.get_yticklabels(), names):
        tick.set_fontproperties(font(name, 11, bold=name == right))
        tick.set_parse_math(False)
        tick.set_color(RIGHT if name == right else INK)
    bars.set_xlim(0, 118)
    bars.set_xticks([])
    bars.tick_params(length=0)
    bars.spines[:].set_visible(False)
    return save_figure(figure, out)


def _short(name: str, most: int = 28) -> str:
    text = plain(name)
    return text if len(text) <= most else text[: most - 1] + "…"
