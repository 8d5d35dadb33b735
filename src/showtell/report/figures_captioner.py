"""Draw how long a captioner's captions are, and what words lose without what they looked at."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from showtell.report.figures import ACCENT, FAINT, GRID, INK, small_figure
from showtell.report.fonts import font
from showtell.training.faithfulness import CHOICES, Faithfulness

_LONGEST = 30
"""Captions with more words are drawn as having as many."""
_CHOICE_NAMES = {
    "most": "looked at most",
    "random": "at random",
    "least": "looked at least",
}


def draw_lengths(model: Mapping[int, int], people: Mapping[int, int]) -> Figure:
    """Draw how many words captions have.

    Args:
        model: How many of the model's captions have as many words, by the number of words.
        people: The same of people's captions.
    """
    figure, axes = small_figure()
    longest = min(_LONGEST, max([*model, *people], default=1))
    at = np.arange(longest + 1)
    for lengths, colour, name in ((people, FAINT, "people"), (model, ACCENT, "model")):
        counts = np.zeros(longest + 1)
        for words, count in lengths.items():
            counts[min(words, longest)] += count
        share = counts / max(counts.sum(), 1)
        axes.fill_between(at, share, step="mid", color=colour, alpha=0.18, linewidth=0)
        axes.step(at, share, where="mid", color=colour, linewidth=1.8, label=name)
    axes.set_xlim(0, longest + 0.5)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.set_xlabel("words in a caption", color=FAINT)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", colors=FAINT, labelsize=9)
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    _plain(axes)
    return figure


def draw_faithfulness(found: Faithfulness) -> Figure:
    """Draw the mean drop of a word's log-probability for each choice of cells, with its 95% interval."""
    figure, axes = small_figure(height=2.1)
    for row, choice in enumerate(CHOICES):
        low, high = found.intervals[choice]
        drop = found.drops[choice]
        colour = ACCENT if choice == "most" else FAINT
        axes.barh(row, drop, color=colour, alpha=0.3, height=0.62)
        axes.errorbar(
            drop, row, xerr=[[drop - low], [high - drop]], color=colour, fmt="o", capsize=4, markersize=5
        )
    names = [_CHOICE_NAMES[choice] for choice in CHOICES]
    axes.set_yticks(range(len(names)), names)
    for tick, choice in zip(axes.get_yticklabels(), CHOICES):
        tick.set_fontproperties(font(_CHOICE_NAMES[choice], 9.5, bold=choice == "most"))
        tick.set_color(INK)
    axes.invert_yaxis()
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.set_xlabel("fall of a word's log-probability", color=FAINT)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(axis="x", colors=FAINT, length=0, labelsize=9)
    axes.tick_params(axis="y", length=0)
