"""The report of a classifier: what it takes for what, how sure it is, and why it was wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from showtell.data.images import open_image
from showtell.report.cards import WORDS, PageItem, card_of
from showtell.report.figures_classifier import draw_confusion, draw_reliability
from showtell.report.page_figure import save_for_page
from showtell.report.prediction import draw_prediction
from showtell.report.run_report import RunFacts, write_run_report

_WORDS = WORDS["en"] | {
    "hint": "Point at a class, tap it, or move with the arrow keys: the picture shows what speaks for that "
    "class (Grad-CAM). The line under a class is how likely the model finds it.",
    "caption": "Likeliest classes",
    "references": "It is",
    "play": "Play the classes",
    "sure": "{percent}%; what speaks for it lies mostly at the {area}",
    "scale": ("What speaks for a class", "nothing", "most in the picture"),
}
_NAMES = {"accuracy": "Accuracy", "top5": "Among the five likeliest", "macro_f1": "Mean F1 of the classes"}
_BESIDE = 6
"""Up to as many classes, the confusion matrix fits a phone."""
_PAIRS = 12
"""Pairs of classes that are listed as most confused."""
_OPEN = 20
"""Classes that are listed unfolded, those with the lowest F1 first where there are more."""


def write_classifier_report(
    facts: RunFacts,
    evaluation: Mapping[str, Any],
    *,
    heads: Sequence[Mapping[str, Any]],
    mistakes: int,
    shown: Sequence[PageItem],
) -> Path:
    """Write the report of a classifier and its figures.

    Args:
        facts: What all reports tell.
        evaluation: ``evaluation-SPLIT.json`` of the run.
        heads: The heads that were tried, as training recorded them; empty where it did not.
        mistakes: How many predictions are wrong.
        shown: The most confident mistakes; or where there is none, the least confident predictions. Their
            words are classes, their attention is Grad-CAM.

    Returns:
        ``report.html``.

    Raises:
        ImageError: A picture cannot be read.
    """
    cards = [card_of(item, _WORDS) for item in shown]
    for number, item in enumerate(shown, 1):
        _draw(item, facts.figures / f"{'mistake' if mistakes else 'unsure'}-{number}.png")
    names, split = list(evaluation["classes"]), evaluation["split"]
    scores = evaluation["scores"]
    confusion = save_for_page(
        draw_confusion(names, evaluation["confusion"]),
        facts.figures / "confusion.svg",
        f"Confusion matrix of {len(names)} classes; the pairs below are its largest mistakes",
    )
    return write_run_report(
        facts,
        "classifier_report.html",
        title="What the classifier learnt",
        summary=[
            (f"Accuracy, {split}", f"{scores['accuracy']:.1%}"),
            ("Pictures scored", f"{evaluation['pictures']:,}"),
            ("Classes", f"{len(names):,}"),
        ],
        cards=cards,
        shown=cards,
        class_words=_WORDS,
        heads=heads,
        mistakes=mistakes,
        split=split,
        pictures=evaluation["pictures"],
        scores=_score_rows(evaluation),
        twins=len(evaluation["near_duplicates_of_training"]),
        fresh=evaluation.get("without_near_duplicates"),
        confusion=confusion,
        wide=len(names) > _BESIDE,
        pairs=_confused_pairs(names, evaluation["confusion"]),
        by_class=_class_rows(evaluation["classes"]),
        open=_OPEN,
        reliability=_reliability(facts, evaluation),
    )


def _draw(item: PageItem, out: Path) -> None:
    draw_prediction(
        open_image(item.image) if isinstance(item.image, Path) else item.image,
        item.caption.words[0].attention,
        {word.text: word.probability for word in item.caption.words},
        item.preprocessing,
        out,
        right=item.references[0],
    )


def _score_rows(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "value": evaluation["scores"][key],
            "low": evaluation["intervals_95"][key][0],
            "high": evaluation["intervals_95"][key][1],
            "widest": 1.0,
        }
        for key, name in _NAMES.items()
        if key != "top5" or len(evaluation["classes"]) > 5  # all of five are among the five likeliest
    ]


def _confused_pairs(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Return which class was most often taken for which other one."""
    counts = np.array(confusion)
    present = counts.sum(1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_PAIRS]
    places = [divmod(int(place), len(names)) for place in order]
    return [
        {
            "right": names[row],
            "named": names[column],
            "count": int(counts[row, column]),
            "of": int(present[row]),
        }
        for row, column in places
        if counts[row, column]
    ]


def _class_rows(classes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the figures of each class; those with the lowest F1 first where there are many."""
    rows = [{"name": name, **figures} for name, figures in classes.items()]
    if len(rows) > _OPEN:
        rows.sort(key=lambda row: 2.0 if row["f1"] is None else row["f1"])
    return rows


def _reliability(facts: RunFacts, evaluation: Mapping[str, Any]) -> list[Any]:
    errors = {"before": "calibration_error_before_scaling", "after": "calibration_error"}
    titles = {"before": "Before scaling", "after": "After scaling"}
    return [
        save_for_page(
            draw_reliability(bins, titles[when], evaluation["scores"][errors[when]]),
            facts.figures / f"reliability-{when}.svg",
            f"{titles[when]}: how often predictions are right against how sure they are",
        )
        for when, bins in evaluation["reliability"].items()
    ]
