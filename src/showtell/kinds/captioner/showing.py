"""Captions and their scores as a notebook shows them."""

from showtell import notebook
from showtell.kinds.captioner.evaluation import CaptionEvaluation
from showtell.kinds.captioner.model import CaptionResult
from showtell.report.overlay import overlay, peak_of
from showtell.runs.showing import scores_table

_EXTREMES, _THUMBNAIL = 5, 130
"""Best captions and as many worst ones; width of a word's map, pixels."""


def caption_html(result: CaptionResult) -> str:
    """Return a caption as HTML: the image, and word by word where the model attended."""
    parts = []
    image = result.shown.open() if result.shown else None
    if image is not None and result.shown is not None:
        preprocessing = result.shown.preprocessing
        maps = [notebook.picture(image, result.text, "the image", width=2 * _THUMBNAIL)]
        small = image.copy()  # a Pillow image is the caller's own
        small.thumbnail((2 * _THUMBNAIL, 2 * _THUMBNAIL))
        peak = peak_of(word.attention for word in result.words)
        for word in result.words:
            heat = overlay(small, word.attention, preprocessing, peak=peak)
            says = f"where the model attended at {word.text}"
            maps.append(notebook.picture(heat, says, word.text, f"{word.probability:.0%}", width=_THUMBNAIL))
        parts.append(notebook.row(*maps))
    else:
        words = [(word.text, f"{word.probability:.0%}") for word in result.words]
        parts.append(notebook.table(words, ("word", "probability")))
    if result.others:
        others = [(other.text, other.log_probability) for other in result.others]
        parts.append(notebook.table(others, ("other captions", "log-probability")))
    if result.neighbours:
        said = [(one.image, one.captions[0]) for one in result.neighbours]
        parts.append(notebook.table(said, ("training image that spoke for it", "its caption")))
    gone = "The image is not at hand: it came from a stream or an open file, or was removed."
    note = gone if image is None else ""
    return notebook.block(result.text, *parts, note=note)


def caption_evaluation_html(evaluation: CaptionEvaluation) -> str:
    """Return what captions score as HTML, with the best and the worst."""
    cider = evaluation.cider_d
    ranked = list(cider)
    best = ranked[:_EXTREMES]
    worst = [name for name in ranked[::-1][:_EXTREMES] if name not in best]
    lines = [
        (kind, name, cider[name], evaluation.captions[name].text, evaluation.references[name][0])
        for kind, names in (("best", best), ("worst", worst))
        for name in names
    ]
    return notebook.block(
        f"Captions of {evaluation.split}",
        scores_table(evaluation.split, evaluation.figures(), dict(evaluation.scores.intervals)),
        notebook.table(lines, ("", "image", "CIDEr-D", "caption", "people")),
        note=f"{evaluation.scores.count:,} images, beam {evaluation.beam_size}",
    )
