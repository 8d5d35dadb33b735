"""Images that were read, as a data set: its classes, and what may name them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from showtell.data.names import few, splits_spoken_of
from showtell.data.readers.reading import Reading
from showtell.data.records import AnnotatedImage, Dataset, Problem

CODE = re.compile(r"-?\d+(?:\.0)?|n\d{8}|/m/\w+")
_NAMING = re.compile(r"(?:class|label|categor|synset|name|words|map).*\.(?:txt|csv|tsv|json|ya?ml)$", re.I)


def dataset_of(
    source: Path,
    format_name: str,
    images: Sequence[AnnotatedImage],
    problems: Sequence[Problem],
    reading: Reading,
) -> Dataset:
    """Return images as a data set, with their classes and what was guessed."""
    classes = tuple(sorted({image.label for image in images if image.label is not None}))
    forms: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        plain = " ".join(name.casefold().split())
        number = plain.removesuffix(".0")
        forms[number.lstrip("0") if number.isdecimal() else plain].append(name)
    if alike := [" and ".join(map(repr, names)) for names in forms.values() if len(names) > 1]:
        reading.note(
            f"classes that differ in capitals, blanks, leading zeros or .0 alone stay apart: {few(alike)}"
        )
    if naming := _names_beside(source, classes):
        reading.note(f"the classes are numbers or codes; not read, though it may name them: {few(naming)}")
    return Dataset(source, format_name, tuple(images), tuple(problems), classes, tuple(reading.notes))


def _names_beside(source: Path, classes: Sequence[str]) -> list[str]:
    """Return files beside a data set, or in it, that may name classes which are numbers or codes."""
    if not classes or not all(map(CODE.fullmatch, classes)):
        return []
    beside = source if source.is_dir() else source.parent
    names = [path.name for path in sorted(beside.iterdir()) if path != source and _NAMING.search(path.name)]
    return [name for name in names if not splits_spoken_of(name)]
