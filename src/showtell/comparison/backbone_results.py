"""What backbones reach against what they cost, as a table and as a drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter, ScalarFormatter

from showtell.kinds.captioner.settings import BEAM_SIZE
from showtell.report.figures import (
    ACCENT,
    FAINT,
    GRID,
    INK,
    PAPER,
    check_figure_path,
    save_figure,
    small_figure,
)
from showtell.report.fonts import font, plain
from showtell.report.wrapping import columns_of

_TITLES = {"accuracy": "accuracy", "cider_d": "CIDEr-D"}


@dataclass(frozen=True)
class Row:
    """A backbone in the table.

    Attributes:
        backbone: As it was named; a folder without those above it.
        score: Accuracy of a linear head, or CIDEr-D of a captioner, on validation.
        interval_95: Of the score.
        images_per_second: Of the network alone, in batches.
        megabytes_per_thousand: Of features in the store.
        milliseconds: Median time of a prediction, from file to class or caption.
        images: Validation images.
        input_size: Side of the input, pixels.
    """

    backbone: str
    score: float
    interval_95: tuple[float, float]
    images_per_second: float
    megabytes_per_thousand: float
    milliseconds: float
    images: int
    input_size: int


def comparison_table(rows: Sequence[Row], kind: str, steps: int) -> str:
    """Return the backbones as a table, best first.

    Args:
        rows: At least one.
        kind: ``accuracy`` or ``cider_d``.
        steps: Of each captioner's training.
    """
    width = max(8, *(columns_of(row.backbone) for row in rows))
    lines = [
        f"{'backbone':<{width}}  input  {_TITLES[kind]:>8}   95% interval       images/s   MB/1,000   "
        "ms/prediction"
    ]
    for row in rows:
        low, high = row.interval_95
        name = row.backbone + " " * (width - columns_of(row.backbone))
        lines.append(
            f"{name}  {row.input_size:5}  {row.score:8.4f}   {low:.4f} to {high:.4f}   "
            f"{row.images_per_second:10.0f}   {row.megabytes_per_thousand:8.1f}   {row.milliseconds:13.1f}"
        )
    what = f"{rows[0].images:,} validation images"
    lines.append(
        f"(linear head on {what}, which also chose its strength)"
        if kind == "accuracy"
        else f"(captioners of {steps:,} steps, alike but for the backbone, on {what} by beam "
        f"{BEAM_SIZE}; a whole training scores higher)"
    )
    return "\n".join(lines)


def draw_comparison(rows: Sequence[Row], kind: str, out: Path) -> Path:
    """Draw scores with their 95% intervals against the time of a prediction, on a logarithmic scale.

    Args:
        rows: The backbones, at least one.
        kind: ``accuracy`` or ``cider_d``.
        out: The file to write; its suffix chooses the format.

    Returns:
        ``out``.

    Raises:
        ConfigError: The suffix names no format that matplotlib writes.
    """
    scale, unit = (100, " in %") if kind == "accuracy" else (1, "")
    check_figure_path(out)
    figure, axes = small_figure(7.2, 4.4)
    times = [row.milliseconds for row in rows]
    least, most = min(times) / 2, max(times) * 2
    axes.set_xscale("log")
    axes.set_xlim(least, most)
    axes.set_xticks([t for t in _round_numbers() if least <= t <= most])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    for row in rows:
        score, low, high = (scale * value for value in (row.score, *row.interval_95))
        axes.errorbar(
            row.milliseconds,
            score,
            yerr=[[score - low], [high - score]],
            fmt="o",
            color=ACCENT,
            ecolor=FAINT,
            elinewidth=1,
            capsize=3,
        )
        # Towards the middle, where there is room.
        is_left = row.milliseconds**2 <= least * most
        axes.annotate(
            plain(row.backbone),
            (row.milliseconds, score),
            xytext=(7 if is_left else -7, 5),
            textcoords="offset points",
            horizontalalignment="left" if is_left else "right",
            fontproperties=font(row.backbone, 10),
            color=INK,
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground=PAPER)],
        )
    axes.margins(y=0.1)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, length=0)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("milliseconds a prediction", color=FAINT)
    axes.set_ylabel(f"{_TITLES[kind]}{unit} (val, {rows[0].images:,} images)", color=FAINT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    return save_figure(figure, out)


def _round_numbers() -> list[float]:
    """Return 1, 2, 5, 10, 20, 50 and so on, far in both directions."""
    return [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
