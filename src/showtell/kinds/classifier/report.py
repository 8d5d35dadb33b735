"""The report of a classifier: what it takes for what, how sure it is, and why it was wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from showtell.data.records import AnnotatedImage
from showtell.evaluation.class_scores import Bin
from showtell.evaluation.intervals import wilson
from showtell.kinds.classifier.drawing import draw_prediction
from showtell.kinds.classifier.evaluation import ClassEvaluationRecord, ClassRecord
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.kind import Reported
from showtell.kinds.report import facts_of, find_image, score_rows
from showtell.models.captioner import Caption, Word
from showtell.report.cards import WORDS, PageItem, card_of
from showtell.report.document import save_for_page
from showtell.report.figures import ACCENT, FAINT, GRID, INK, RIGHT, small_figure
from showtell.report.fonts import font, plain, text_width
from showtell.report.run_report import RunFacts, write_run_report
from showtell.runs.records import JsonObject

_WORDS = WORDS["en"] | {
    "hint": "Point at a class, tap it, or move with the arrow keys: the image shows what speaks for that "
    "class (Grad-CAM). The line under a class is how likely the model finds it.",
    "caption": "Likeliest classes",
    "references": "It is",
    "play": "Play the classes",
    "sure": "{percent}%; what speaks for it lies mostly at the {area}",
    "scale": ("What speaks for a class", "nothing", "most in the image"),
}
_NAMES = {"accuracy": "Accuracy", "top5": "Among the five likeliest", "macro_f1": "Mean F1 of the classes"}
_BESIDE = 6
"""Up to as many classes, the confusion matrix fits a phone."""
_PAIRS = 12
"""Pairs of classes that are listed as most confused."""
_MISTAKES = 8
"""Images that are shown."""
_LIKELIEST = 3
"""Likeliest classes of an image that are explained, besides the right one."""
_OPEN = 20
"""Classes that are listed unfolded, those with the lowest F1 first where there are more."""
_NUMBERED = 20
"""Up to as many classes, the confusion matrix has its counts written in it."""
_NAME = 24
"""Letters of a class's name that are drawn."""
_RULE = 10
"""With more classes than are numbered, every so many a stronger line leads the eye to the names."""


def report_classifier(reported: Reported) -> Path:
    """Write the report of a classifier and its figures.

    Shown are the most confident mistakes; or where there is none, the least confident predictions.

    Args:
        reported: What it is written of.

    Returns:
        ``report.html``.

    Raises:
        DataError: Images that were scored are not there any more.
        ImageError: An image cannot be read.
    """
    model, run, split = reported.model, reported.run, reported.split
    assert isinstance(model, ClassifierModel)
    evaluation = run.evaluation(split, ClassEvaluationRecord)
    named = {image.name: image for image in reported.dataset.images}
    chosen, mistakes = _telling(run.predictions(split))
    shown = [_explained(model, find_image(line["image"], named, reported), line) for line in chosen]
    facts = facts_of(reported, metrics=f"heads/{model.head.config.kind}")
    cards = [card_of(item, _WORDS) for item in shown]
    for number, item in enumerate(shown, 1):
        _draw(item, facts.figures / f"{'mistake' if mistakes else 'unsure'}-{number}.png")
    names, scores = list(evaluation.classes), evaluation.scores
    scored_on = f"{evaluation.folds} folds" if evaluation.folds else split
    few = len(names) <= 5  # all of five are among the five likeliest
    shown_scores = {key: name for key, name in _NAMES.items() if not (few and key == "top5")}
    confusion = save_for_page(
        draw_confusion(names, evaluation.confusion),
        facts.figures / "confusion.svg",
        f"Confusion matrix of {len(names)} classes; the pairs below are its largest mistakes",
    )
    return write_run_report(
        facts,
        "kinds/classifier/report.html",
        title="What the classifier learnt",
        summary=[
            (f"Accuracy, {scored_on}", f"{scores['accuracy']:.1%}"),
            ("Images scored", f"{evaluation.images:,}"),
            ("Classes", f"{len(names):,}"),
        ],
        cards=cards,
        shown=cards,
        class_words=_WORDS,
        heads=model.config.provenance.heads,
        mistakes=mistakes,
        split=split,
        images=evaluation.images,
        folds=evaluation.folds,
        doubt=evaluation.doubt,
        scores=score_rows(evaluation, shown_scores, lambda high: 1),
        leaks=len(evaluation.near_duplicates_of_training),
        fresh=evaluation.without_near_duplicates,
        confusion=confusion,
        wide=len(names) > _BESIDE,
        pairs=_confused_pairs(names, evaluation.confusion),
        by_class=_class_rows(evaluation.classes),
        open=_OPEN,
        reliability=_reliability(facts, evaluation),
    )


def _telling(lines: Sequence[JsonObject]) -> tuple[list[JsonObject], int]:
    """Return the lines of the most confident mistakes, or else of the least confident predictions.

    Returns:
        The lines, and how many mistakes there are.
    """
    mistakes = [line for line in lines if next(iter(line["classes"])) != line["label"]]
    sure = sorted(mistakes or lines, key=lambda line: -max(line["classes"].values()))
    return (sure if mistakes else sure[::-1])[:_MISTAKES], len(mistakes)


def _explained(model: ClassifierModel, image: AnnotatedImage, line: JsonObject) -> PageItem:
    """Return an image whose words are classes and whose attention is Grad-CAM for each, on one scale."""
    likely: dict[str, float] = dict(list(line["classes"].items())[:_LIKELIEST])
    if line["label"] not in likely:  # the record has the likeliest classes only
        likely[line["label"]] = model(image.path).probabilities[line["label"]]
    pixels = model.pixels(image.path)
    heats = {name: model.grad_cam(pixels, name) for name in likely}
    top = max(float(heat.max()) for heat in heats.values()) or 1.0
    words = tuple(Word(name, share, heats[name] / top) for name, share in likely.items())
    return PageItem(
        image=image.path,
        caption=Caption(words[0].text, words, 0.0),
        preprocessing=model.backbone.preprocessing,
        name=image.name,
        references=(line["label"],),
    )


def _draw(item: PageItem, out: Path) -> None:
    draw_prediction(
        item.open(),
        item.caption.words[0].attention,
        {word.text: word.probability for word in item.caption.words},
        item.preprocessing,
        out,
        right=item.references[0],
    )


@dataclass(frozen=True)
class _ConfusedPair:
    """How many images of a class were given another one's name, of how many."""

    right: str
    named: str
    count: int
    of: int


def _confused_pairs(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[_ConfusedPair]:
    """Return which class was most often taken for which other one."""
    counts = np.array(confusion)
    present = counts.sum(1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_PAIRS]
    places = [divmod(int(place), len(names)) for place in order]
    return [
        _ConfusedPair(names[row], names[column], int(counts[row, column]), int(present[row]))
        for row, column in places
        if counts[row, column]
    ]


def _class_rows(classes: Mapping[str, ClassRecord]) -> list[JsonObject]:
    """Return the figures of each class; those with the lowest F1 first where there are many."""
    rows = [{"name": name, **msgspec.structs.asdict(figures)} for name, figures in classes.items()]
    if len(rows) > _OPEN:
        rows.sort(key=lambda row: 2.0 if row["f1"] is None else row["f1"])
    return rows


def _reliability(facts: RunFacts, evaluation: ClassEvaluationRecord) -> list[Any]:
    errors = {"before": "calibration_error_before_scaling", "after": "calibration_error"}
    titles = {"before": "Before scaling", "after": "After scaling"}
    return [
        save_for_page(
            draw_reliability(bins, titles[when], evaluation.scores[errors[when]]),
            facts.figures / f"reliability-{when}.svg",
            f"{titles[when]}: how often predictions are right against how sure they are",
        )
        for when, bins in evaluation.reliability.items()
    ]


def draw_confusion(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> Figure:
    """Draw the confusion matrix: right classes by row, named classes by column, coloured by share of the row.

    What is right is green and what is wrong is orange, the stronger the larger its share. The size grows with
    the number of classes, so that every name is written; of many classes on all four sides.

    Args:
        classes: Their names, C.
        confusion: Images of each class (row) that were given each name (column), (C, C).
    """
    counts = np.asarray(confusion)
    few = len(classes) <= _NUMBERED
    cell = 0.62 if len(classes) <= 6 else 0.44 if few else 0.1
    side = cell * len(classes)
    size = 9.5 if few else 6.2
    names = [_short(name) for name in classes]
    margin = 0.3 + max(text_width(name, size) for name in names)
    turned = len(classes) > 6 or margin > 1.1
    sides = 1 if few else 2
    figure, axes = small_figure(side + sides * margin, side + (sides * margin if turned else 0.6))
    axes.imshow(_coloured(counts), interpolation="nearest")
    for number in range(len(classes) + 1):
        width = 0.8 if few or number % _RULE == 0 else 0.2
        axes.axhline(number - 0.5, color=GRID, linewidth=width)
        axes.axvline(number - 0.5, color=GRID, linewidth=width)
    if few:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=INK, fontsize=9.5)
    axes.tick_params(axis="x", rotation=90 if turned else 0, length=0, labeltop=not few)
    axes.tick_params(axis="y", length=0, labelright=not few)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(range(len(names)), names)
        for tick, name in zip(axis.get_major_ticks(), names):
            for label in (tick.label1, tick.label2):
                label.set_fontproperties(font(name, size))
                label.set_parse_math(False)
                label.set_color(INK)
    axes.set_xlabel("named", color=FAINT)
    axes.set_ylabel("right class", color=FAINT)
    axes.spines[:].set_visible(False)
    return figure


def _coloured(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return colours (C, C, 4) that lie well on light and on dark paper."""
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    colours = np.empty((*counts.shape, 4))
    colours[..., :3] = to_rgb(ACCENT)
    colours[np.eye(len(counts), dtype=bool), :3] = to_rgb(RIGHT)
    # A rare mistake should still be seen.
    colours[..., 3] = np.where(counts > 0, 0.12 + 0.58 * np.sqrt(share), 0)
    return colours


def draw_reliability(bins: Sequence[Bin], title: str, error: float) -> Figure:
    """Draw how many predictions are right against how sure they are; on the diagonal, both are the same.

    Args:
        bins: Over equal parts of [0, 1].
        title: Of the drawing.
        error: Expected calibration error, which stands in the title.
    """
    figure, axes = small_figure(3.6, 3.6)
    full = [one for one in bins if one.images]
    most = max((one.images for one in full), default=1)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    for one in full:
        low, high = wilson(one.accuracy, one.images)
        axes.plot([one.confidence] * 2, [low, high], color=ACCENT, linewidth=1.2, alpha=0.45)
        axes.scatter(
            one.confidence,
            one.accuracy,
            s=14 + 120 * one.images / most,
            color=ACCENT,
            alpha=0.85,
            linewidths=0,
        )
    axes.set(xlim=(-0.03, 1.05), ylim=(-0.03, 1.05), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    title = f"{title}: error {error:.3f}"
    axes.set_title(title, loc="left", color=INK, fontproperties=font(title, 10, bold=True))
    axes.set_xlabel("how sure it is", color=FAINT)
    axes.set_ylabel("how often it is right", color=FAINT)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=FAINT, length=0, labelsize=9)
    return figure


def _short(name: str) -> str:
    """Cut a long name in the middle: names of kinds often differ in their ends only."""
    text, half = plain(name), _NAME // 2
    return text if len(text) <= _NAME else f"{text[: half - 1].rstrip()}…{text[-half:].lstrip()}"
