"""Classes and their scores as a notebook shows them."""

from markupsafe import Markup

from showtell import notebook
from showtell.data.images import open_image
from showtell.errors import ImageError
from showtell.evaluation.class_scores import SCORE_NAMES
from showtell.kinds.classifier.evaluation import ClassEvaluation
from showtell.kinds.classifier.model import ClassResult
from showtell.runs.showing import scores_table

_MISTAKES, _WIDE, _IMAGE = 6, 12, 220
"""Mistakes shown; classes up to which the confusion matrix is; width of an image, pixels."""


def class_html(result: ClassResult) -> str:
    """Return a classification as HTML: the image, and a bar for each of the likeliest classes."""
    parts = [notebook.bars(dict(result.top()))]
    image = result.shown.open() if result.shown else None
    if image is not None:
        parts = [notebook.picture(image, result.label, width=_IMAGE), *parts]
    return notebook.block(result.label, notebook.row(*parts))


def class_evaluation_html(evaluation: ClassEvaluation) -> str:
    """Return what a classifier scores as HTML, with the confusion matrix and the most confident mistakes."""
    scores = evaluation.scores
    figures = {name: float(getattr(scores, name)) for name in (*SCORE_NAMES, "calibration_error")}
    parts = [scores_table(evaluation.split, figures, dict(scores.intervals))]
    if len(evaluation.classes) <= _WIDE:
        parts.append(_confusion(evaluation))
    mistakes = evaluation.mistakes()
    wrong = notebook.row(*(_mistake(evaluation, place) for place in mistakes[:_MISTAKES]))
    title = "Most confident mistakes" if mistakes else "No mistakes"
    heading = Markup('<div style="margin-top:10px"><b>{}</b></div>').format(title)
    note = evaluation.doubt or evaluation.scored
    return notebook.block(f"Classes of {evaluation.split}", notebook.row(*parts), heading, wrong, note=note)


def _confusion(evaluation: ClassEvaluation) -> Markup:
    counts = evaluation.scores.confusion.tolist()
    lines = [(name, *row) for name, row in zip(evaluation.classes, counts)]
    return notebook.table(lines, ("it is, by what it was named", *evaluation.classes))


def _mistake(evaluation: ClassEvaluation, place: int) -> Markup:
    image, shares = evaluation.images[place], evaluation.probabilities[place]
    named = f"{evaluation.classes[shares.argmax()]} {shares.max():.0%}"
    right = f"it is {image.label}"
    try:
        return notebook.picture(open_image(image.path), image.name, named, right)
    except ImageError as error:
        return Markup("<div>{}: {}, {} ({})</div>").format(image.name, named, right, error.what)
