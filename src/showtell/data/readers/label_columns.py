"""Which columns of a table hold the label of an image, and what is no label."""

from collections.abc import Collection, Sequence

from showtell.data.names import COUNTER_COLUMNS, GROUP_COLUMNS, LABEL_COLUMNS, words
from showtell.data.readers.cells import holds_lists, several_labels, texts_of, truth_of
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Sample, Table, UnclearColumnsError

_CROSSES = frozenset(words("x × ✗ ✘ ❌"))
_TICKS = _CROSSES | frozenset(words("✓ ✔ ✔️ ✅ ☑ √ v o ○ ◯ 〇 ● ■ *"))
_SMALL_WORDS = frozenset(words("a an the is are on in at of with and to near over under by from for"))


def has_words(sample: Sample, place: int) -> bool:
    """Tell whether cells hold text or numbers, and not objects alone, such as boxes; or there are none."""
    return not sample.cells[place] or any(map(texts_of, sample.cells[place]))


def usual_label(sample: Sample, left: Sequence[int]) -> int | None:
    """Return the column with the first usual name of labels; None where none has one."""
    keys = {sample.keys[place]: place for place in reversed(left) if has_words(sample, place)}
    return next((keys[name] for name in LABEL_COLUMNS if name in keys), None)


def holds_sentences(sample: Sample, place: int) -> bool:
    """Tell whether a column holds a sentence a cell, nearly all different, which are no classes.

    In doubt they are classes: names as of goods, with capitals and numbers; and short ones, or few, without
    the small words of sentences.
    """
    cells = sample.cells[place]
    listed = holds_lists(cells)
    found = [texts_of(cell, listed=listed) for cell in cells]
    texts = [text for several in found for text in several]
    worded = 2 * sum(map(_is_sentence, texts)) > len(texts) > 2
    worded = worded and (len(texts) > 4 or 2 * sum(map(_has_small_words, texts)) > len(texts))
    different = all(len(several) < 2 for several in found) and len(set(texts)) >= 0.9 * len(texts)
    return worded and different and not sample.is_code(place) and several_labels(texts) is None


def _is_sentence(text: str) -> bool:
    parts = text.split()
    titled = sum(part[:1].isupper() or any(map(str.isdigit, part)) for part in parts[1:])
    cased = any(sign.islower() or sign.isupper() for sign in text)
    long = len(parts) > 4 or (len(parts) > 3 and (not cased or _has_small_words(text)))
    return long and 2 * titled < len(parts) - 1


def _has_small_words(text: str) -> bool:
    return not _SMALL_WORDS.isdisjoint(text.split())


def one_hot(sample: Sample, left: Sequence[int]) -> tuple[tuple[int, ...], frozenset[str]]:
    """Return the columns that are a class each, and what marks it; of 0 and 1 no marks, of others no columns.

    One of them is 1 or marked in each row, or in some none.
    """
    flags = [p for p in left if sample.texts[p] and None not in map(truth_of, sample.texts[p])]
    marked = [p for p in left if sample.texts[p] and _TICKS.issuperset(map(str.casefold, sample.texts[p]))]
    ticks: frozenset[str] = frozenset()
    if len(marked) > 1:
        flags = marked
        found = {text.casefold() for place in marked for text in sample.texts[place]}
        ticks = frozenset(found - _CROSSES or found)  # O and X, or X alone
    if len(flags) < 2:
        return (), ticks
    rows = [row for row in sample.rows if len(row) > max(flags)]
    sums = {sum(is_ticked(row[place], ticks) for place in flags) for row in rows}
    if sums == {1} or (sums == {0, 1} and (ticks or len(flags) > 2)):
        return tuple(flags), ticks
    quiet = COUNTER_COLUMNS | GROUP_COLUMNS
    others = [p for p in left if p not in flags and sample.texts[p] and sample.keys[p] not in quiet]
    if sums <= {0} or (len(flags) < 3 and others):
        return (), ticks
    what = f"columns of {'marks' if ticks else '0 and 1'} ({sample.table.names(flags[:6])})"
    if max(sums) > 1:
        how = "marked" if ticks else "1"
        raise _several_labels(sample.table, f"{what}, of which up to {max(sums)} are {how}")
    raise UnclearColumnsError(
        f"{sample.table.path} has {what}, of which in some rows none is 1.",
        hint="Expected a 1 in each row, a further column for what is neither, or one column of classes.",
    )


def is_ticked(cell: object, ticks: Collection[str]) -> bool:
    """Tell whether a cell marks the class of its column."""
    return str(cell).strip().casefold() in ticks if ticks else bool(truth_of(cell))


def refuse_several_labels(sample: Sample, label: int, reading: Reading) -> None:
    """Raise UnclearColumnsError where cells hold several labels each.

    Texts that look so are classes where the user says that the column holds labels, or names it.
    """
    table, cells = sample.table, sample.cells[label]
    listed = holds_lists(cells)
    if any(len(texts_of(cell, listed=listed)) > 1 for cell in cells):
        raise _several_labels(table, f"lists in {table.header[label]!r}")
    example = several_labels(sample.texts[label])
    if example is None:
        return
    what = f"{example!r} in {table.header[label]!r}"
    if reading.kind != "label" and reading.source.text_column is None:
        raise _several_labels(table, what, " If it is one class, --format labels reads it as it is written.")
    reading.note(f"{what} is read as one class, as it is written, and so is what is like it")


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


def _several_labels(table: Table, what: str, further: str = "") -> UnclearColumnsError:
    return UnclearColumnsError(
        f"{table.path} gives an image several labels: {what}.",
        hint="A classifier learns one label an image: keep one question to a column (colour, shape) and "
        "train one classifier on each (--text-column NAME); or write the labels as a sentence in a column "
        f"'caption', and train a captioner.{further}",
    )
