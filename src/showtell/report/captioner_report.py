"""The report of a captioner: scores, best and worst captions, and whether its attention can be trusted."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from showtell.data.images import open_image
from showtell.report.attention import draw_attention
from showtell.report.cards import WORDS, PageItem, card_of
from showtell.report.figures_captioner import draw_faithfulness, draw_lengths
from showtell.report.page_figure import save_for_page
from showtell.report.run_report import RunFacts, write_run_report
from showtell.training.faithfulness import Faithfulness

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
    habits = evaluation["habits"]
    return write_run_report(
        facts,
        "captioner_report.html",
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
        agreed=habits["model"]["agreed"],
        forced=evaluation["teacher_forced"],
        habits=_habit_rows(habits),
        unknown=evaluation["teacher_forced"]["unknown_words"],
        lengths=save_for_page(
            draw_lengths(_lengths(habits["model"]), _lengths(habits["people"])),
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


def _habit_rows(habits: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    both = [habits["model"], habits["people"]]
    rows = [
        ("Different captions", [f"{one['distinct_captions']:,} of {one['captions']:,}" for one in both]),
        ("Different words", [f"{one['distinct_words']:,}" for one in both]),
        ("Words a caption", [f"{one['words'] / max(one['captions'], 1):.1f}" for one in both]),
    ]
    for name, what in (
        ("agreed", "Words that others use of the same picture"),
        ("by_rote", "Captions that stand word for word in training"),
    ):
        if both[0][name] is not None:
            rows.append((what, ["-" if one[name] is None else f"{one[name]:.1%}" for one in both]))
    return rows


def _lengths(habits: Mapping[str, Any]) -> dict[int, int]:
    """Return counts by length; JSON has made text of the lengths."""
    return {int(length): count for length, count in habits["lengths"].items()}


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
