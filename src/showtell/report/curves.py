"""Draw how a training went: loss a step, validation score an epoch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from showtell.errors import ModelError
from showtell.evaluation.caption_scores import SCORE_TITLES
from showtell.report.figures import ACCENT, FAINT, GRID, INK, PAPER, small_figure
from showtell.report.fonts import font
from showtell.runs.metrics import Numbers, read_metrics
from showtell.runs.records import RangeTestRecord

_NAMES = {"cider_d": SCORE_TITLES["cider_d"], "accuracy": "accuracy", "bleu4": SCORE_TITLES["bleu4"]}
"""Validation figures by what they are called in a figure; the first that a run has is drawn."""

Floats = npt.NDArray[np.float64]


def draw_loss(metrics_jsonl: Path, *, xe_epochs: int | None = None) -> Figure:
    """Draw the loss of every step with a running mean.

    Args:
        metrics_jsonl: ``metrics.jsonl`` of a run; the run may still be going on.
        xe_epochs: Epochs until training went on by reward, whose loss is another quantity and is left
            out; None where there was no such change.

    Raises:
        ModelError: The file is missing, holds no step, or is damaged before its last line.
    """
    steps, _ = _steps_and_validations(metrics_jsonl)
    if xe_epochs is not None:
        steps = [record for record in steps if record["epoch"] <= xe_epochs] or steps
    figure, axes = small_figure()
    _draw_loss(axes, steps)
    return figure


def draw_score(metrics_jsonl: Path, *, xe_epochs: int | None = None) -> Figure:
    """Draw the validation score of every epoch.

    Args:
        metrics_jsonl: ``metrics.jsonl`` of a run; the run may still be going on.
        xe_epochs: Epochs until training went on by reward; a line marks the change.

    Raises:
        ModelError: As for :func:`draw_loss`.
    """
    _, validations = _steps_and_validations(metrics_jsonl)
    figure, axes = small_figure()
    _draw_score(axes, validations)
    if xe_epochs is not None and any(f["epoch"] > xe_epochs for f in validations):
        axes.axvline(xe_epochs + 0.5, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        text = "by reward"
        axes.annotate(
            text,
            (xe_epochs + 0.5, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            color=FAINT,
            fontproperties=font(text, 8.5),
        )
    return figure


def draw_range_test(test: RangeTestRecord) -> Figure:
    """Draw the loss of a range test over the learning rate, with what it suggests and what is set."""
    rates, losses = np.array(test.rates), np.array(test.losses)
    figure, axes = small_figure(6.4, 3.6)
    axes.set_xscale("log")
    axes.plot(rates, losses, color=FAINT, alpha=0.5, linestyle="none", marker=".", markersize=4)
    axes.plot(rates, test.smoothed, color=INK, linewidth=1.8)
    low, high = min(test.smoothed), max(test.smoothed[: max(1, len(rates) // 2)])
    axes.set_ylim(low - 0.15 * (high - low + 1e-9), high + 0.55 * (high - low + 1e-9))
    marks = [(test.present, f"set {test.present:.2g}", FAINT, 0.83)]
    if test.suggested is not None:
        marks.append((test.suggested, f"suggested {test.suggested:.2g}", ACCENT, 0.94))
    for at, text, colour, height in marks:
        axes.axvline(at, color=colour, linewidth=1.1, linestyle="-" if colour == ACCENT else (0, (4, 3)))
        axes.annotate(
            text,
            (at, height),
            xycoords=("data", "axes fraction"),
            xytext=(5, 0),
            textcoords="offset points",
            color=colour,
            fontproperties=font(text, 9.5, bold=colour == ACCENT),
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},  # points pass behind it
        )
    _name(axes, "Loss while the learning rate grows", "learning rate")
    axes.xaxis.set_major_locator(LogLocator())
    axes.tick_params(which="minor", length=0)
    axes.set_xlim(rates[0], max(rates[-1], 2 * test.present))
    return figure


def _steps_and_validations(path: Path) -> tuple[list[Numbers], list[Numbers]]:
    steps, validations = read_metrics(path)
    if not steps:
        raise ModelError(f"{path} holds no training step yet.")
    return steps, validations


def _running_mean(values: Floats) -> Floats:
    """Average each value with its neighbours on both sides, about a fiftieth of all."""
    reach = len(values) // 100
    window = np.ones(2 * reach + 1)
    return np.convolve(values, window, "same") / np.convolve(np.ones_like(values), window, "same")


def _draw_loss(axes: Axes, steps: list[Numbers]) -> None:
    at = np.array([record["step"] for record in steps], np.float64)
    loss = np.array([record["loss"] for record in steps], np.float64)
    smooth = _running_mean(loss)
    axes.plot(at, loss, color=FAINT, alpha=0.35, linewidth=0.7)
    axes.plot(at, smooth, color=ACCENT, linewidth=2, marker="o" if len(at) == 1 else None)
    # The first steps of an untrained network would squeeze all the rest into the lowest tenth.
    finite = loss[np.isfinite(loss)]
    if len(finite) > 100:
        low, high = finite.min(), np.quantile(finite, 0.995)
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    _name(axes, "Training loss", "step")


def _draw_score(axes: Axes, validations: list[Numbers]) -> None:
    metric = next((name for name in _NAMES if any(name in figures for figures in validations)), "score")
    label = f"Validation {_NAMES.get(metric, metric)}"
    _name(axes, label, "epoch")
    points = [(figures["epoch"], figures[metric]) for figures in validations if metric in figures]
    if not points:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no epoch is finished yet", ha="center", transform=axes.transAxes, color=FAINT)
        return
    epochs, scores = zip(*points)
    best = int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))
    axes.plot(epochs, scores, color=INK, linewidth=1.6, marker="o", markersize=3.5)
    axes.plot(epochs[best], scores[best], color=ACCENT, marker="o", markersize=8)
    text = f"{scores[best]:.3f} in epoch {epochs[best]}"
    right = best > (len(points) - 1) / 2
    axes.annotate(
        text,
        (epochs[best], scores[best]),
        xytext=(4 if right else -4, 9),
        textcoords="offset points",
        ha="right" if right else "left",
        color=ACCENT,
        fontproperties=font(text, 9.5, bold=True),
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},  # lines pass behind it
    )
    axes.margins(y=0.18)


def _name(axes: Axes, title: str, along: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontproperties=font(title, 11, bold=True))
    axes.set_xlabel(along, color=FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(colors=FAINT, length=0, labelsize=9)
