"""A data set as a notebook shows it: how much there is, a few images with their words, what was wrong."""

from collections import Counter

from markupsafe import Markup

from showtell import notebook
from showtell.data.pixels.opening import open_image
from showtell.data.records import SPLITS, AnnotatedImage, Dataset
from showtell.errors import ImageError

_IMAGES, _PROBLEMS, _CLASSES = 6, 8, 12
"""That are shown, at most."""


def dataset_html(dataset: Dataset) -> str:
    """Return a data set as HTML."""
    images = dataset.images
    counts: list[tuple[str, int]] = [("images", len(images))]
    counts += [(name, len(dataset.split(name))) for name in SPLITS if dataset.split(name)]
    if captions := sum(len(image.captions) for image in images):
        counts.append(("captions", captions))
    by_class = Counter(image.label for image in images if image.label is not None)
    classes = by_class.most_common(_CLASSES)
    parts = [notebook.row(notebook.table(counts), *([notebook.table(classes)] if classes else []))]
    if len(by_class) > len(classes):
        parts.append(_faint(f"the {len(classes)} largest of {len(by_class):,} classes"))
    parts.append(notebook.row(*(_image(image) for image in images[:: -(-len(images) // _IMAGES) or 1])))
    if dataset.problems:
        problems = [(one.kind, one.where, one.detail) for one in dataset.problems[:_PROBLEMS]]
        parts.append(notebook.table(problems, ("problem", "where", "what")))
    if len(dataset.problems) > _PROBLEMS:
        parts.append(_faint(f"and {len(dataset.problems) - _PROBLEMS:,} more problems"))
    parts += [_faint(note) for note in dataset.notes]
    return notebook.block(str(dataset.source), *parts, note=f"Dataset, format {dataset.format}")


def _image(image: AnnotatedImage) -> Markup:
    words = image.label if image.label is not None else next(iter(image.captions), "")
    try:
        return notebook.picture(open_image(image.path), image.name, words, image.split or "")
    except ImageError as error:
        return _faint(f"{image.name}: {error.what}")


def _faint(text: str) -> Markup:
    return Markup('<div style="color:{};margin-top:4px">{}</div>').format(notebook.FAINT, text)
