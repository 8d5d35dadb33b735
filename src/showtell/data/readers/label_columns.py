"""Which columns of a table hold the label of an image, and what is no label."""

from collections.abc import Sequence

from showtell.data.names import COUNTER_COLUMNS, GROUP_COLUMNS, LABEL_COLUMNS
from showtell.data.readers.cells import holds_lists, several_labels, texts_of, truth_of
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Sample, Table, UnclearColumnsError


def has_words(sample: Sample, place: int) -> bool:
    """Tell whether cells hold text or numbers, and not objects alone, such as boxes; or there are none."""
    return not sample.cells[place] or any(map(texts_of, sample.cells[place]))


def usual_label(sample: Sample, left: Sequence[int]) -> int | None:
    """Return the column with the first usual name of labels; None where none has one."""
    keys = {sample.keys[place]: place for place in reversed(left) if has_words(sample, place)}
    return next((keys[name] for name in LABEL_COLUMNS if name in keys), None)


def holds_sentences(sample: Sample, place: int) -> bool:
    """Tell whether a column holds a sentence a cell, nearly all different, which are no classes."""
    cells = sample.cells[place]
    listed = holds_lists(cells)
    found = [texts_of(cell, listed=listed) for cell in cells]
    texts = [text for several in found for text in several]
    worded = 2 * sum(len(text.split()) > 3 for text in texts) > len(texts) > 2
    different = all(len(several) < 2 for several in found) and len(set(texts)) >= 0.9 * len(texts)
    return worded and different and not sample.is_code(place) and several_labels(texts) is None


def one_hot(sample: Sample, left: Sequence[int]) -> tuple[int, ...]:
    """Return the columns of 0 and 1 that are a class each: one of them is 1 in each row, or in some none."""
    flags = [
        place for place in left if sample.texts[place] and None not in map(truth_of, sample.texts[place])
    ]
    if len(flags) < 2:
        return ()
    sums = {sum(truth_of(row[place]) or 0 for place in flags) for row in sample.rows if len(row) > max(flags)}
    if sums == {1} or (sums == {0, 1} and len(flags) > 2):
        return tuple(flags)
    if len(flags) < 3 or sums <= {0}:
        return ()
    which = f"columns of 0 and 1 ({sample.table.names(flags[:6])}), of which up to {max(sums)} are 1"
    raise _several_labels(sample.table, which)


def refuse_several_labels(sample: Sample, label: int) -> None:
    """Raise UnclearColumnsError where cells hold several labels each."""
    table, cells = sample.table, sample.cells[label]
    listed = holds_lists(cells)
    if any(len(texts_of(cell, listed=listed)) > 1 for cell in cells):
        raise _several_labels(table, f"lists in {table.header[label]!r}")
    example = several_labels(sample.texts[label])
    if example is not None:
        raise _several_labels(table, f"{example!r} in {table.header[label]!r}")


def refuse_quantities(sample: Sample, label: int) -> None:
    """Raise UnclearColumnsError where the labels are measured numbers."""
    texts = sample.texts[label]
    broken = sample.is_numeric(label) and not all(float(text).is_integer() for text in texts)
    if broken and 2 * len(set(texts)) > len(texts):
        which = f"numbers in {sample.table.header[label]!r} that hardly repeat, such as {texts[0]}"
        raise UnclearColumnsError(
            f"{sample.table.path} has {which}: a classifier learns classes, not quantities.",
            hint="Expected a class for each image, such as small, medium and large.",
        )


def names_of_classes(sample: Sample, left: Sequence[int], label: int, reading: Reading) -> int:
    """Return the column that names the classes of which the label holds numbers, as ``label_text`` does.

    Each number has one name in the whole table, and each name one number.
    """
    if reading.source.text_column is not None or not sample.is_numeric(label):
        return label
    table, aside = sample.table, COUNTER_COLUMNS | GROUP_COLUMNS
    worded = [p for p in left if sample.keys[p] not in aside and not sample.is_numeric(p)]
    for place in sorted(worded, key=lambda p: sample.keys[p] not in LABEL_COLUMNS):
        least = 1 if sample.keys[place] in LABEL_COLUMNS else 2  # of one class anything may be the name
        if not sample.is_code(place) and _pairs(table, label, place) >= least:
            names = f"{table.header[place]!r} names the classes that {table.header[label]!r} numbers"
            reading.note(f"column {names} (--text-column says otherwise)")
            return place
    return label


def _pairs(table: Table, label: int, place: int) -> int:
    """Return how many values of two columns stand for each other, 0 where one has several of the other."""
    names: dict[str, str] = {}
    for row in table.rows():
        if len(row.fields) > max(label, place) and row.fields[label] not in ("", None):
            number, name = str(row.fields[label]), str(row.fields[place] or "").strip()
            if not name or names.setdefault(number, name) != name:
                return 0
    return len(names) if len(names) == len(set(names.values())) else 0


def say_other_labels(sample: Sample, left: Sequence[int], label: int, reading: Reading) -> None:
    """Say which other columns could be the labels, but for those that say the same in other words."""
    if reading.source.text_column is not None:
        return
    cells = [(row[label], row) for row in sample.rows if len(row) == len(sample.keys)]
    values = {str(value) for value, _ in cells}
    for place in left:
        pairs = {(str(value), str(row[place])) for value, row in cells}
        alike = len(pairs) == len(values) == len({other for _, other in pairs})
        if place != label and sample.keys[place] in LABEL_COLUMNS and not alike:
            names = f"{sample.table.header[label]!r} holds the labels, not {sample.table.header[place]!r}"
            reading.note(f"column {names} (--text-column says otherwise)")


def _several_labels(table: Table, what: str) -> UnclearColumnsError:
    return UnclearColumnsError(
        f"{table.path} gives an image several labels: {what}.",
        hint="A classifier learns one label an image: keep one question to a column (colour, shape) and "
        "train one classifier on each (--text-column NAME); or write the labels as a sentence in a column "
        "'caption', and train a captioner.",
    )
