"""The report of a captioner: scores, best and worst captions, and whether its attention can be trusted."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from showtell.data.images import open_image
from showtell.kinds.captioner.drawing import draw_attention
from showtell.kinds.captioner.faithfulness import CHOICES, Faithfulness
from showtell.report.cards import WORDS, PageItem, card_of
from showtell.report.document import save_for_page
from showtell.report.figures import ACCENT, FAINT, GRID, INK, small_figure
from showtell.report.fonts import font
from showtell.report.run_report import RunFacts, write_run_report

_NAMES = {
    "cider_d": "CIDEr-D",
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "bleu3": "BLEU-3",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor_exact_stem": "METEOR, words and stems only",
}
"""Scores in the order of the table."""
_WORDS_SHOWN = 8


def write_captioner_report(
    facts: RunFacts,
    evaluation: Mapping[str, Any],
    *,
    best: Sequence[PageItem],
    worst: Sequence[PageItem],
    faithfulness: Faithfulness | None,
) -> Path:
    """Write the report of a captioner and its figures.

    Args:
        facts: What all reports tell.
        evaluation: ``evaluation-SPLIT.json`` of the run.
        best: Captions that agree most with people's.
        worst: Those that agree least.
        faithfulness: What words lose without what they looked at; None where no caption has a word.

    Returns:
        ``report.html``.

    Raises:
        ImageError: A picture cannot be read.
    """
    words = WORDS["en"]
    cards = {
        which: [card_of(item, words) for item in items] for which, items in (("best", best), ("worst", worst))
    }
    for which, items in (("best", best), ("worst", worst)):
        for number, item in enumerate(items, 1):
            _draw(item, facts.figures / f"{which}-{number}.png")
    scores, split = evaluation["scores"], evaluation["split"]
    diversity = evaluation["diversity"]
    return write_run_report(
        facts,
        "kinds/captioner/report.html",
        title="What the captioner learnt",
        summary=[
            (f"CIDEr-D, {split}", f"{scores['cider_d']:.3f}"),
            (f"BLEU-4, {split}", f"{scores['bleu4']:.3f}"),
            ("Pictures scored", f"{evaluation['pictures']:,}"),
        ],
        cards=[*cards["best"], *cards["worst"]],
        best=cards["best"],
        worst=cards["worst"],
        split=split,
        pictures=evaluation["pictures"],
        beam_size=evaluation["beam_size"],
        scores=_score_rows(evaluation),
        verdict=evaluation.get("verdict"),
        word_precision=diversity["model"]["word_precision"],
        forced=evaluation["teacher_forced"],
        diversity=_diversity_rows(diversity),
        unknown=evaluation["teacher_forced"]["unknown_words"],
        lengths=save_for_page(
            draw_lengths(_lengths(diversity["model"]), _lengths(diversity["people"])),
            facts.figures / "lengths.svg",
            "How many words the captions of the model and of people have",
        ),
        trust=_trust(facts, faithfulness),
    )


def _draw(item: PageItem, out: Path) -> None:
    image = open_image(item.image) if isinstance(item.image, Path) else item.image
    draw_attention(image, item.caption, item.preprocessing, out)


def _score_rows(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return scores with their intervals, and where to draw them, as shares of the widest."""
    intervals = evaluation["intervals_95"]
    widest = max([1.0, *(high for _, high in intervals.values())])
    return [
        {
            "name": name,
            "value": evaluation["scores"][key],
            "low": intervals[key][0],
            "high": intervals[key][1],
            "widest": widest,
        }
        for key, name in _NAMES.items()
    ]


def _diversity_rows(diversity: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    both = [diversity["model"], diversity["people"]]
    rows = [
        ("Different captions", [f"{one['distinct_captions']:,} of {one['captions']:,}" for one in both]),
        ("Different words", [f"{one['distinct_words']:,}" for one in both]),
        ("Words a caption", [f"{one['words'] / max(one['captions'], 1):.1f}" for one in both]),
    ]
    for name, what in (
        ("word_precision", "Words that others use of the same picture"),
        ("memorized", "Captions that stand word for word in training"),
    ):
        if both[0][name] is not None:
            rows.append((what, ["-" if one[name] is None else f"{one[name]:.1%}" for one in both]))
    return rows


def _lengths(diversity: Mapping[str, Any]) -> dict[int, int]:
    """Return counts by length; JSON has made text of the lengths."""
    return {int(length): count for length, count in diversity["lengths"].items()}


def _trust(facts: RunFacts, found: Faithfulness | None) -> dict[str, Any] | None:
    """Return the drawing of the faithfulness and what it says."""
    if found is None:
        return None
    low, high = found.intervals["difference"]
    drawn: Markup = save_for_page(
        draw_faithfulness(found),
        facts.figures / "faithfulness.svg",
        "How much less likely words become without the cells that they looked at",
    )
    return {
        "figure": drawn,
        "found": found,
        "keeps": {which: math.exp(-drop) for which, drop in found.drops.items()},
        "low": low,
        "high": high,
        "verdict": "more" if low > 0 else "less" if high < 0 else "same",
        "words": found.by_word[:_WORDS_SHOWN],
    }


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
