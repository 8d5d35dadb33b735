"""Which columns of a table hold what is said of an image: captions, or the label."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from showtell.data.names import CAPTION_COLUMNS, COUNTER_COLUMNS, GROUP_COLUMNS, LABEL_COLUMNS, words
from showtell.data.readers.cells import (
    MARKS,
    holds_lists,
    mark_in,
    parted,
    texts_of,
    without_invisible,
)
from showtell.data.readers.label_columns import (
    has_words,
    holds_sentences,
    is_ticked,
    names_of_classes,
    one_hot,
    refuse_quantities,
    refuse_several_labels,
    say_other_labels,
    usual_label,
)
from showtell.data.readers.pieces import in_pieces, joined
from showtell.data.readers.reading import Kind, Reading
from showtell.data.readers.table import Sample, Table, UnclearColumnsError

_NUMBER = re.compile(r"[\W_]*\d+\W*$")
_BESIDE_CAPTION = frozenset(
    words("text txt str string raw image img picture photo alt human answer full final clean cleaned gt")
)
_LANGUAGES = frozenset(words("en ko de fr es it pt nl ru ja zh cn ar hi tr vi id pl sv cs eng kor"))
_ANSWERS = frozenset(words("answer response output"))
_INSTRUCTION = re.compile(
    r"\W*(?:<?image>?\W+)?(?:please )?(?:describe|caption|what|how|write|explain|summari[sz]e|list|tell"
    r"|give|provide|generate|identify)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Words:
    """Places of the columns that hold what is said of an image."""

    captions: tuple[int, ...] = ()  # of the captions; empty where there are none
    listed: tuple[int, ...] = ()  # those of all these whose cells hold lists
    marks: Mapping[int, str] = field(default_factory=dict)  # what parts several captions in a cell
    label: int | None = None  # of the label; None where there is none
    pieces: tuple[int, ...] = ()  # those of captions whose lists are one text each
    one_hot: tuple[int, ...] = ()  # of the columns that are a class each, with 1 where it is the image's
    ticks: Collection[str] = ()  # what marks the class in these; empty for 1

    def captions_of(self, fields: Sequence[Any]) -> list[str]:
        """Return the captions of a row."""
        return [
            part
            for place in self.captions
            for text in (
                joined(fields[place])
                if place in self.pieces
                else texts_of(fields[place], listed=place in self.listed)
            )
            for part in (parted(text, self.marks[place]) if place in self.marks else (text,))
        ]

    def labels_of(self, fields: Sequence[Any], header: Sequence[str]) -> list[str]:
        """Return the label of a row, empty where it has none; several where a late row has them."""
        if self.label is not None:
            texts = texts_of(fields[self.label], listed=self.label in self.listed)
            return [without_invisible(text) for text in texts] or [""]
        flagged = [header[place] for place in self.one_hot if is_ticked(fields[place], self.ticks)]
        return flagged or [""] * bool(self.one_hot)

    def say(self, table: Table, reading: Reading) -> None:
        """Say which columns are read as what, where that may surprise."""
        if len(self.captions) > 1:
            which = f"{len(self.captions)} columns of captions are read: {table.names(self.captions)}"
            reading.note(f"{which} (--text-column says otherwise)")
        if self.pieces:
            reading.note(f"each list in {table.names(self.pieces)!r} is one text in pieces, which are joined")
        if lists := [place for place in self.captions if place in self.listed and place not in self.pieces]:
            reading.note(f"each cell of {table.names(lists)!r} is a list of captions")
        for place, mark in self.marks.items():
            name = table.header[place]
            reading.note(f"each cell of {name!r} holds several captions, parted by {MARKS[mark]}")
        if self.one_hot:
            what = " or ".join(map(repr, sorted(self.ticks))) or "1"
            reading.note(f"the label is the column that holds {what}: {table.names(self.one_hot)}")


def choose_words(sample: Sample, left: Sequence[int], reading: Reading) -> Words:
    """Find the columns of captions and of labels.

    They are those that the user named; or those with usual names, all those of captions that differ by a
    number; or columns of 0 and 1 that are a class each; or else the one column of text that is left.
    Whether words are captions or labels is told by ``--format`` or the column's name; else
    values that occur twice or more on average and have at most three words each are labels.

    Raises UnclearColumnsError where several columns may be meant, or none, or an image has several labels.
    """
    if reading.source.text_column is not None:
        found = _named(sample, reading.source.text_column, reading)
    else:
        found = Words(_usual_captions(sample, left, reading), label=usual_label(sample, left))
        if not found.captions and found.label is not None and _says_captions(sample, found.label, reading):
            found = Words((found.label,))
        if found == Words():
            classes, ticks = one_hot(sample, left)
            found = Words(one_hot=classes, ticks=ticks) if classes else _only_words(sample, left, reading)
        if reading.kind == "caption" and found.captions:
            found = Words(found.captions)
        if reading.kind == "label" and found.label is not None:
            found = Words(label=found.label)
    if found.label is not None:
        label = names_of_classes(sample, left, found.label, reading)
        found = replace(found, label=label)
        refuse_several_labels(sample, label, reading)
        say_other_labels(sample, left, label, reading)
        refuse_quantities(sample, label)
    worded = (*found.captions, *([] if found.label is None else [found.label]))
    listed = tuple(place for place in worded if holds_lists(sample.cells[place]))
    pieces = tuple(place for place in found.captions if in_pieces(sample.cells[place]))
    marks = {
        place: mark_in(sample.texts[place]) for place in found.captions if place not in (*listed, *pieces)
    }
    marks = {place: mark for place, mark in marks.items() if mark}
    return replace(found, listed=listed, marks=marks, pieces=pieces)


def _named(sample: Sample, names: str, reading: Reading) -> Words:
    """Return the column that the user named; several names stand for captions."""
    table = sample.table
    if "," in names and table.find(names) is None:
        return Words(tuple(table.place(name) for name in names.split(",")))
    place = table.place(names)
    if sample.keys[place] in LABEL_COLUMNS:
        captions = _says_captions(sample, place, reading)
    else:
        captions = (reading.kind or _kind(sample, place)) == "caption"
    return Words((place,)) if captions else Words(label=place)


def _says_captions(sample: Sample, place: int, reading: Reading) -> bool:
    """Tell whether a column with a usual name of labels holds captions: as the user says, or by its cells."""
    if reading.kind or (reading.wanted == "captions" and reading.source.text_column):
        return reading.kind != "label"
    sentences = reading.wanted != "labels" and holds_sentences(sample, place)
    if sentences:
        which = f"column {sample.table.header[place]!r} holds sentences, nearly all different"
        reading.note(f"{which}: they are captions (--format labels says otherwise)")
    return sentences


def _usual_captions(sample: Sample, left: Sequence[int], reading: Reading) -> tuple[int, ...]:
    """Return the columns with the first usual name of captions, and those that differ from it by a number."""
    table = sample.table
    families: dict[str, list[int]] = {}
    languages: dict[str, list[int]] = {}
    for place in left:
        if sample.keys[place] in COUNTER_COLUMNS:
            continue
        base = _NUMBER.sub("", sample.keys[place].rpartition(".")[2] or sample.keys[place])
        base = base or _NUMBER.sub("", sample.keys[place])  # caption.1, as pandas writes the second
        stem, _, tail = base.rpartition("_")
        if _called(base):
            families.setdefault(base, []).append(place)
        elif stem in CAPTION_COLUMNS and tail in _LANGUAGES:
            languages.setdefault(base, []).append(place)
    ranked = sorted(families, key=lambda base: (base != _called(base), CAPTION_COLUMNS.index(_called(base))))
    worded = [name for name in ranked if not all(map(sample.is_numeric, families[name]))] or ranked
    found: list[int] = []
    if worded:
        found = families[worded[0]]
        if worded[0] not in ("caption", "captions"):
            found = _outdone(sample, left, [families[name] for name in worded])
            name = table.header[found[0]]
            reading.note(f"column {name!r} holds the captions (--text-column says otherwise)")
    elif len(languages) > 1:
        several = table.names([place for places in languages.values() for place in places])
        raise UnclearColumnsError(
            f"{table.path} has captions in several languages: {several}.",
            hint="Expected the one to learn: --text-column NAME.",
        )
    elif languages:
        (found,) = languages.values()
    named = [place for places in (*families.values(), *languages.values()) for place in places]
    prose = [p for p in left if sample.keys[p] not in LABEL_COLUMNS and sample.is_prose(p)] if found else []
    apart = [place for place in dict.fromkeys([*named, *prose]) if place not in found]
    if apart:
        reading.note(f"left out beside the captions: {table.names(apart)} (--text-column takes it instead)")
    return tuple(found)


def _outdone(sample: Sample, left: Sequence[int], families: Sequence[list[int]]) -> list[int]:
    """Return the first family of columns, or the one that outdoes it: a prompt, or remarks on a few rows.

    Instructions and questions that hardly vary yield to a further usual name or to answers, and what is
    mostly empty to a usual name alone: prose in nearly all rows, which hardly repeats. One caption for
    all, as of a thing that is learnt by name, stays.
    """
    first, rows = families[0], len(sample.rows)
    texts = [text for place in first for text in sample.texts[place]]
    sparse = 2 * len(texts) < rows * len(first)
    asked = 5 * len(set(texts)) <= len(texts) and 2 * sum(map(_asks, texts)) > len(texts)
    if not (sparse or asked):
        return first
    rich = [p for p in left if p not in first and sample.is_prose(p) and not sample.is_code(p)]
    rich = [p for p in rich if len(sample.texts[p]) >= max(0.8 * rows, 3)]
    rich = [p for p in rich if 2 * len(set(sample.texts[p])) > len(sample.texts[p])]
    usual = [family for family in families[1:] if not set(family).isdisjoint(rich)]
    answers = [p for p in rich if asked and not _ANSWERS.isdisjoint(sample.keys[p].split("_"))]
    return usual[0] if usual else answers if len(answers) == 1 else first


def _asks(text: str) -> bool:
    return bool(_INSTRUCTION.match(text)) or text.removesuffix("<image>").rstrip().endswith(("?", "\uff1f"))


def _called(base: str) -> str:
    """Return the usual name of captions that a column's name holds (``image_caption``), if any."""
    parts = ["description" if part == "desc" else part for part in re.split(r"[\W_]+", base)]
    telling = [part for part in parts if part not in _BESIDE_CAPTION] or [
        part for part in parts if part == "text"
    ]
    name = base if base in CAPTION_COLUMNS else "_".join(telling)
    return name if name in CAPTION_COLUMNS else ""


def _only_words(sample: Sample, left: Sequence[int], reading: Reading) -> Words:
    """Return the one column of words that is left."""
    table = sample.table
    worded = [p for p in left if sample.keys[p] not in COUNTER_COLUMNS | GROUP_COLUMNS and sample.cells[p]]
    worded = [
        p
        for p in worded
        if has_words(sample, p) and not sample.is_code(p) and (sample.varies(p) or sample.is_prose(p))
    ]
    for test in (lambda place: not sample.is_numeric(place), sample.says_something, sample.varies):
        if len(worded) > 1:
            worded = [place for place in worded if test(place)] or worded
    bare = all(key.startswith("column_") for key in sample.keys)
    if len(worded) > 1 and bare and all(map(sample.is_prose, worded)):
        return Words(tuple(worded))  # several captions in a line without a header
    if len(worded) > 1:
        several = "; ".join(f"{table.header[p]!r}, such as {sample.texts[p][0][:40]!r}" for p in worded[:6])
        raise table.lacking(f"several columns that may hold the words: {several}")
    if not worded:
        raise table.lacking("no column that holds a caption or a label")
    place, name = worded[0], table.header[worded[0]]
    many = len(set(sample.texts[place])) > max(20, len(sample.rows) // 2)
    kind = reading.kind or _kind(sample, place)
    if reading.kind is None and sample.is_numeric(place) and (many or kind == "caption"):
        raise table.lacking(f"numbers in {name!r}, which are neither words nor classes")
    reading.note(f"column {name!r} holds the {kind}s (--text-column says otherwise)")
    return Words(label=place) if kind == "label" else Words((place,))


def _kind(sample: Sample, place: int) -> Kind:
    key, cells = sample.keys[place], sample.cells[place]
    if key in CAPTION_COLUMNS or any(isinstance(cell, list) and len(cell) != 1 for cell in cells):
        return "caption"
    values = [text for cell in cells for text in texts_of(cell)]
    few = 2 * len(set(values)) <= len(values)
    return "label" if few and all(len(value.split()) <= 3 for value in values) else "caption"
