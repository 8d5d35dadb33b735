"""What each column of a table is: by what its cells hold, and by its name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from showtell.data.names import (
    CAPTION_COLUMNS,
    COUNTER_COLUMNS,
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    column_key,
    words,
)
from showtell.data.readers.brought_splits import SplitColumn, split_column
from showtell.data.readers.cells import holds_lists, several_labels, texts_of
from showtell.data.readers.folders import find_pictures
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import (
    DelimitedTable,
    Table,
    UnclearColumnsError,
    column_index,
    missing_columns,
)
from showtell.errors import DataError

Kind = Literal["caption", "label"]
_SAMPLE_ROWS = 1000
_LANGUAGES = frozenset(words("en ko de fr es it pt nl ru ja zh cn ar hi tr vi id pl sv cs eng kor"))


@dataclass(frozen=True, slots=True)
class Columns:
    """Places of the columns in a table.

    Attributes:
        image: Of the picture's name.
        captions: Of the captions; empty where there are none.
        listed: Those of the captions whose cells hold lists.
        label: Of the label; None where there is none.
        one_hot: Of the columns that are a class each, with 1 where it is the picture's.
        split: The column that brings the split; None where none does.
        group: Of what belongs on one side of a split; None where nothing says it.
        others: All further columns with a name; two rows that differ there are not repeats.
    """

    image: int
    captions: tuple[int, ...] = ()
    listed: tuple[int, ...] = ()
    label: int | None = None
    one_hot: tuple[int, ...] = ()
    split: SplitColumn | None = None
    group: int | None = None
    others: tuple[int, ...] = ()


class _Sample:
    """The first rows of a table, by column."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.keys = [column_key(name) for name in table.header]
        self.rows = [row.fields for row in islice(table.rows(), _SAMPLE_ROWS)]

    def cells(self, place: int) -> list[Any]:
        return [
            fields[place] for fields in self.rows if len(fields) > place and fields[place] not in ("", None)
        ]

    def texts(self, place: int) -> list[str]:
        return [str(cell).strip() for cell in self.cells(place)]

    def is_numeric(self, place: int) -> bool:
        texts = self.texts(place)
        return bool(texts) and all(text.replace(".", "", 1).lstrip("-").isdecimal() for text in texts)

    def says_something(self, place: int) -> bool:
        """Tell words from names of files, dates and the like, which are all different and hold no blank."""
        texts = self.texts(place)
        dated = all(re.match(r"\d{4}-\d\d", text) for text in texts)
        return not dated and (self.is_prose(place) or 2 * len(set(texts)) <= len(texts))

    def is_prose(self, place: int) -> bool:
        """Tell whether most cells hold several words."""
        texts = self.texts(place)
        return 2 * sum(len(text.split()) > 2 for text in texts) > len(texts)


def choose_columns(
    table: Table, reading: Reading, kind: Kind | None = None, *, folder: PictureFolder | None = None
) -> tuple[Table, Columns, PictureFolder, bool]:
    """Find what the columns of a table are, and the folder in which its pictures lie.

    The user's names come first. The image is the column whose cells are files; of several the one with a
    usual name. The words are columns with usual names, all those of captions that differ by a number; else
    the one column of text that is left. Whether words are captions or labels is told by the column's name;
    where that says nothing, values that occur twice or more on average and have at most three words each are
    labels.

    Args:
        table: The table.
        reading: What the user named; told what was guessed.
        kind: What the words are, where the user says so by ``--format``.
        folder: Where the pictures lie, where that is known.

    Returns:
        The table, as one without a header where its first row proved to be data; its columns; the folder; and
        whether any picture is found there.

    Raises:
        DataError: A column is missing, or several may be meant.
    """
    sample = _Sample(table)
    named = reading.source.image_column
    places = [_named(table, named)] if named else _by_preference(sample)
    image, folder, found = find_pictures(
        reading, table, {place: sample.texts(place) for place in places}, folder
    )
    if isinstance(table, DelimitedTable) and table.headed and folder.names_exactly(table.header[image]):
        reading.note(f"{table.path.name} has no header: its first line names a picture")
        header = tuple(f"column {place + 1}" for place in range(len(table.header)))
        table = replace(table, header=header, headed=False)
        sample = _Sample(table)
    try:
        columns = _with_words(sample, reading, kind, image)
    except UnclearColumnsError as error:
        raise error if found else DataError(error.what, would_do=error.would_do) from None
    if not named and sample.keys[image] not in IMAGE_COLUMNS:
        reading.note(f"column {table.header[image]!r} holds the pictures (--image-column says otherwise)")
    return table, columns, folder, found


def _by_preference(sample: _Sample) -> list[int]:
    """Return all columns, those with a usual name of pictures first."""
    keys = sample.keys
    usual = [keys.index(name) for name in IMAGE_COLUMNS if name in keys]
    said = (*CAPTION_COLUMNS, *LABEL_COLUMNS)
    rest = [place for place, key in enumerate(keys) if place not in usual and key not in said and key]
    return [*usual, *rest, *(place for place, key in enumerate(keys) if key in said and place not in usual)]


def _with_words(sample: _Sample, reading: Reading, kind: Kind | None, image: int) -> Columns:
    table, source = sample.table, reading.source
    left = [place for place, name in enumerate(table.header) if name and place != image]
    group = None if source.group_column is None else _named(table, source.group_column)
    split = split_column(table.header, {place: sample.texts(place) for place in left if place != group})
    left = [place for place in left if place != group and (split is None or place != split.place)]
    captions: tuple[int, ...] = ()
    label: int | None = None
    one_hot: tuple[int, ...] = ()
    if source.text_column is not None:
        captions, label = _as_named(sample, source.text_column, kind)
    else:
        captions, label = _usual_captions(sample, left, reading), _usual_label(sample, left)
        if not captions and label is None:
            one_hot = _one_hot(sample, left)
        if not captions and label is None and not one_hot:
            captions, label = _only_words(sample, left, kind, reading)
        if kind == "caption" and captions:
            label = None
        if kind == "label" and label is not None:
            captions = ()
    if split is not None:
        reading.note(split.sentence)
    if label is not None:
        _refuse_several_labels(sample, label)
    listed = tuple(place for place in captions if holds_lists(sample.cells(place)))
    _say_words(table, captions, listed, one_hot, reading)
    if group is None:
        _hint_at_groups(table, left, reading)
    used = {image, *captions, label, *one_hot, group, split.place if split else None}
    others = tuple(place for place, name in enumerate(table.header) if name and place not in used)
    return Columns(image, captions, listed, label, one_hot, split, group, others)


def _named(table: Table, name: str) -> int:
    place = column_index(table, name)
    if place is None:
        raise missing_columns(table, f"no column {name!r}")
    return place


def _as_named(sample: _Sample, names: str, kind: Kind | None) -> tuple[tuple[int, ...], int | None]:
    """Return the captions or the label that the user named; several names stand for captions."""
    one = column_index(sample.table, names)
    if one is None and "," in names:
        return tuple(_named(sample.table, name) for name in names.split(",")), None
    place = _named(sample.table, names)
    return ((), place) if (kind or _kind(sample, place)) == "label" else ((place,), None)


def _usual_captions(sample: _Sample, left: Sequence[int], reading: Reading) -> tuple[int, ...]:
    """Return the columns with the first usual name of captions, and those that differ from it by a number."""
    families: dict[str, list[int]] = {}
    languages: dict[str, list[int]] = {}
    for place in left:
        base = sample.keys[place].rstrip("0123456789").rstrip("_#") or sample.keys[place]
        stem, _, tail = base.rpartition("_")
        base = "description" if base == "desc" else base
        if base in CAPTION_COLUMNS:
            families.setdefault(base, []).append(place)
        elif stem in CAPTION_COLUMNS and tail in _LANGUAGES:
            languages.setdefault(base, []).append(place)
    ranked = sorted(families, key=CAPTION_COLUMNS.index)
    worded = [name for name in ranked if not all(sample.is_numeric(place) for place in families[name])]
    found = families[(worded or ranked)[0]] if ranked else []
    if found and (worded or ranked)[0] not in ("caption", "captions"):
        name = sample.table.header[found[0]]
        reading.note(f"column {name!r} holds the captions (--text-column says otherwise)")
    if not found and len(languages) == 1:
        (found,) = languages.values()
    if not found and languages:
        names = ", ".join(sample.table.header[place] for places in languages.values() for place in places)
        raise UnclearColumnsError(
            f"{sample.table.path} has captions in several languages: {names}.",
            would_do="Expected the one to learn: --text-column NAME.",
        )
    apart = [p for places in (*families.values(), *languages.values()) for p in places if p not in found]
    said = {*found, *apart}
    apart += [p for p in left if p not in said and sample.keys[p] not in LABEL_COLUMNS and sample.is_prose(p)]
    if found and apart:
        names = ", ".join(sample.table.header[place] for place in apart)
        reading.note(f"left out beside the captions: {names} (--text-column takes it instead)")
    return tuple(found)


def _usual_label(sample: _Sample, left: Sequence[int]) -> int | None:
    keys = {sample.keys[place]: place for place in reversed(left)}
    return next((keys[name] for name in LABEL_COLUMNS if name in keys), None)


def _only_words(
    sample: _Sample, left: Sequence[int], kind: Kind | None, reading: Reading
) -> tuple[tuple[int, ...], int | None]:
    """Return the one column of words that is left."""
    table = sample.table
    worded = [p for p in left if sample.keys[p] not in COUNTER_COLUMNS | GROUP_COLUMNS and sample.cells(p)]
    for telling in (lambda place: not sample.is_numeric(place), sample.says_something):
        if len(worded) > 1:
            worded = [place for place in worded if telling(place)] or worded
    if len(worded) > 1:
        several = "; ".join(f"{table.header[p]!r}, such as {sample.texts(p)[0][:40]!r}" for p in worded[:6])
        raise missing_columns(table, f"several columns that may hold the words: {several}")
    if len(worded) == 1 and _is_measure(sample, worded[0]) and kind is None:
        raise missing_columns(
            table, f"numbers in {table.header[worded[0]]!r}, which are neither words nor classes"
        )
    if not worded:
        raise missing_columns(table, "no column that holds a caption or a label")
    kind = kind or _kind(sample, worded[0])
    reading.note(f"column {table.header[worded[0]]!r} holds the {kind}s (--text-column says otherwise)")
    return ((), worded[0]) if kind == "label" else ((worded[0],), None)


def _is_measure(sample: _Sample, place: int) -> bool:
    return sample.is_numeric(place) and len(set(sample.texts(place))) > max(20, len(sample.rows) // 2)


def _kind(sample: _Sample, place: int) -> Kind:
    key = sample.keys[place]
    if key in LABEL_COLUMNS:
        return "label"
    values = [text for cell in sample.cells(place) for text in texts_of(cell)]
    if key in CAPTION_COLUMNS or any(isinstance(cell, list) for cell in sample.cells(place)):
        return "caption"
    few = 2 * len(set(values)) <= len(values)
    return "label" if few and all(len(value.split()) <= 3 for value in values) else "caption"


def _one_hot(sample: _Sample, left: Sequence[int]) -> tuple[int, ...]:
    """Return the columns that are a class each: two or more of nothing but 0 and 1.

    Raises:
        DataError: Some rows have several ones.
    """
    flags = [place for place in left if {_flag(text) for text in sample.texts(place)} <= {0, 1}]
    flags = [place for place in flags if sample.texts(place)]
    if len(flags) < 2:
        return ()
    sums = {sum(_flag(row[place]) or 0 for place in flags) for row in sample.rows if len(row) > max(flags)}
    if sums <= {1}:
        return tuple(flags)
    if len(flags) < 3 or sums == {0}:
        return ()
    names = ", ".join(sample.table.header[place] for place in flags[:6])
    raise several_labels_error(
        sample.table, f"columns of 0 and 1 ({names}), of which up to {max(sums)} are 1"
    )


def _flag(cell: Any) -> int | None:
    return {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}.get(str(cell).strip().casefold())


def _refuse_several_labels(sample: _Sample, label: int) -> None:
    cells = sample.cells(label)
    listed = holds_lists(cells)
    if any(len(texts_of(cell, listed=listed)) > 1 for cell in cells):
        raise several_labels_error(sample.table, f"lists in {sample.table.header[label]!r}")
    example = several_labels(sample.texts(label))
    if example is not None:
        raise several_labels_error(sample.table, f"{example!r} in {sample.table.header[label]!r}")


def several_labels_error(table: Table, what: str) -> DataError:
    """Explain that a classifier gives each picture one label."""
    return UnclearColumnsError(
        f"{table.path} gives a picture several labels: {what}.",
        would_do="A classifier learns one label a picture: keep one question to a column (colour, shape) and "
        "train one classifier on each (--text-column NAME); or write the labels as a sentence in a column "
        "'caption', and train a captioner.",
    )


def _say_words(
    table: Table,
    captions: Sequence[int],
    listed: Sequence[int],
    one_hot: Sequence[int],
    reading: Reading,
) -> None:
    if len(captions) > 1:
        names = ", ".join(table.header[place] for place in captions)
        reading.note(f"{len(captions)} columns of captions are read: {names} (--text-column says otherwise)")
    if listed:
        names = ", ".join(table.header[place] for place in listed)
        reading.note(f"each cell of {names!r} is a list of captions")
    if one_hot:
        names = ", ".join(table.header[place] for place in one_hot)
        reading.note(f"the label is the column that holds 1: {names}")


def _hint_at_groups(table: Table, left: Sequence[int], reading: Reading) -> None:
    for place in left:
        if column_key(table.header[place]) in GROUP_COLUMNS:
            name = table.header[place]
            reading.note(f"{name!r} may say what belongs on one side of a split (--group-column {name})")


def label_of(fields: Sequence[Any], columns: Columns, header: Sequence[str]) -> Iterator[str]:
    """Yield the label of a row, if it has one."""
    if columns.label is not None:
        yield from texts_of(fields[columns.label])
    for place in columns.one_hot:
        if _flag(fields[place]) == 1:
            yield header[place]
