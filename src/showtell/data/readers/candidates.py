"""The forms in which a path may be read, and which of several is meant."""

import re
from dataclasses import dataclass
from pathlib import Path

from showtell.data.names import CAPTION_COLUMNS, LABEL_COLUMNS, column_key, few, splits_in_names
from showtell.data.readers.columns import Columns
from showtell.data.readers.reading import Annotation, Reading
from showtell.data.readers.side_tables import Seen
from showtell.data.readers.tables import Part

_LABELLED = ("labels", "classes")
_USUAL = frozenset((*CAPTION_COLUMNS, *LABEL_COLUMNS))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A format that a path may be read as, and what its reader is to be given."""

    format: str  # a key of `FORMATS`
    source: Path  # the file or the folder
    parts: tuple[Part, ...] = ()  # the tables that are read together
    images: Path | None = None  # where the images of a table are found; None where none are
    # whether it is a table of labels that says who gave them, or whose labels are the folders of the images
    surpassing: bool = False
    usual: bool = True  # whether a table's words have a name that says so, and not just the one column left
    wide: bool = False  # whether the images of other splits are read in the folders beside
    labels: bool = False  # whether a table that tells neither by its format holds labels
    several: bool = True  # whether class folders are two or more, and told apart by more than numbers
    seen: Seen | None = None  # of a table whose images are found: what its first rows say

    @property
    def is_of_images(self) -> bool:
        """Whether it names images, and not by numbers that may be those of anything."""
        return self.seen is None or self.usual or not self.seen.numbered

    @property
    def words(self) -> Annotation:
        """What it says of images."""
        return "labels" if self.labels or self.format in _LABELLED else "captions"


def strongest(candidates: list[Candidate]) -> list[Candidate]:
    """Leave out what is read into files that mean something else.

    ``Flickr8k.token.txt`` wins over ``captions.txt`` beside it, since its lists bring splits; captions JSON
    and metadata win over folders of images that look like classes, such as ``train2017`` and ``val2017``.
    A table whose words have no usual name (``filename,photographer``) wins over neither texts nor class
    folders, but over a single folder, or numbered ones, of its images (``leaves``; ``p0``, ``p1``).
    """
    weaker: set[str] = set()
    sure = [one for one in candidates if one.images is not None or one.format not in ("csv", "labels")]
    candidates = sure or candidates  # a table whose images are not here is what it is only by itself
    usual = [one for one in candidates if one.usual or one.surpassing]
    formats = {candidate.format for candidate in usual}
    if any(one.images not in (None, one.source.parent) or one.surpassing for one in usual):
        weaker |= {"classes"}  # the folder of a table's images is not a class; answers are newer than folders
    if formats & {"flickr8k", "webdataset"}:
        weaker |= {"csv", "labels"}
    if formats & {"flickr8k", "coco", "karpathy", "imagefolder", "sidecar", "webdataset"}:
        weaker |= {"classes"}
    tables = any(one.images or one.format == "imagefolder" for one in candidates)
    if tables and not any(one.several for one in candidates if one.format == "classes"):
        weaker |= {"classes"}
    if formats - {"sidecar", "classes"}:
        weaker |= {"sidecar"}
    return [candidate for candidate in candidates if candidate.format not in weaker]


def say_left(candidates: list[Candidate], found: list[Candidate], reading: Reading) -> None:
    """Say which tables without images are left out, and class folders beside those of a table's images."""
    lost = [one for one in found if one.images is None and one.format in ("csv", "labels")]
    if names := [part.path.name for one in lost if one not in candidates for part in one.parts]:
        reading.note(f"left out, for each name of an image is that of no file, or of several: {few(names)}")
    taken = {one.images.name for one in candidates if one.images and len(one.parts) == 1}
    for left in found if taken else ():
        own = any(one.images == left.source for one in candidates)
        if left.format == "classes" and left not in candidates and not own:
            tops = {name.partition("/")[0] for name in reading.folder(left.source).images if "/" in name}
            wide = any(one.wide for one in candidates)
            if beside := sorted(tops - taken - (splits_in_names(tops).keys() if wide else set())):
                reading.note(f"images beside the table's are left out: {few(beside)} (see --format classes)")


def without_lemmas(candidates: list[Candidate], reading: Reading) -> list[Candidate]:
    """Leave out a file of captions whose words are in their basic forms, beside the captions: say so."""
    names = {one.source.name for one in candidates}
    lemmas = [
        one
        for one in candidates
        if (plain := re.sub(r"[._-]?lemma", "", one.source.name)) != one.source.name and plain in names
    ]
    if lemmas:
        which = few([one.source.name for one in lemmas])
        reading.note(
            f"left out, for its words are in their basic forms: {which} (give it as DATA to read it)"
        )
    return [one for one in candidates if one not in lemmas]


def is_usual(columns: Columns, reading: Reading) -> bool:
    """Tell whether the name of a column or the file says what the words are: ``label``, ``captions.csv``."""
    named = [columns.table.header[p] for p in (*columns.words.captions, columns.words.label) if p is not None]
    parts = {p for name in (*named, columns.table.path.stem) for p in re.split(r"[\W_\d]+", column_key(name))}
    return bool(reading.source.text_column or columns.words.one_hot or parts & _USUAL)
