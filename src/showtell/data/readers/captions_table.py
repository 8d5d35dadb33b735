"""Format ``csv``: captions in a table with a header, separated by comma, tab, pipe or semicolon."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from showtell.data.readers.collect import CaptionCollector, Collector, Entry
from showtell.data.readers.columns import ColumnNames, Columns, choose_columns
from showtell.data.readers.picture_folder import PictureFolder, choose_picture_folder
from showtell.data.readers.table import Row, Table, open_table
from showtell.data.records import Dataset

_SAMPLE = 100


def read_captions_table(source: Path, images: Path | None, names: ColumnNames) -> Dataset:
    """Read captions from a table such as ``image,caption`` or ``image_name|comment_number|comment``.

    Args:
        source: The table, UTF-8.
        images: Picture folder; None to look beside the table.
        names: The columns that the user named.

    Returns:
        Pictures with captions, and splits where the table has a column ``split``.

    Raises:
        DataError: Columns are missing, the file is not UTF-8, or nothing in it is usable.
    """
    table = open_table(source, names.given())
    columns = choose_columns(table, names, prefer="caption")
    collector = CaptionCollector(source, table_picture_folder(table, columns, images))
    for entry in table_entries(collector, table, columns):
        collector.add(entry)
    return collector.finish("csv")


def table_picture_folder(table: Table, columns: Columns, images: Path | None) -> PictureFolder:
    """List the folder in which the pictures of a table lie, judged by its first rows."""
    rows = (row.fields for row in islice(table.rows(), _SAMPLE))
    sample = list(dict.fromkeys(fields[columns.image] for fields in rows if len(fields) > columns.image))
    return choose_picture_folder(images, table.path.parent, sample)


def table_entries(collector: Collector, table: Table, columns: Columns) -> Iterator[Entry]:
    """Yield every row with the right number of fields.

    Where the words are the last column, surplus fields are delimiters inside an unquoted caption and
    are joined again. All else with too many or too few fields is reported and left out.
    """
    prefix = f"{table.path}:"
    for row in table.rows():
        where = f"{prefix}{row.line}"
        if row.unclosed_quote:
            collector.problem("unclosed quote", where, "a quote is opened and not closed; read as plain text")
        fields = row.fields
        if len(fields) != len(table.header):
            mended, detail = _mend(row, table, columns)
            if mended is None:
                collector.skip("wrong number of fields", where, detail)
                continue
            if detail:
                collector.problem("wrong number of fields", where, detail)
            fields = mended
        split = None if columns.split is None else collector.read_split(where, fields[columns.split])
        number = tuple([fields[place].strip() for place in columns.others])
        yield Entry(where, fields[columns.image], fields[columns.text], split, number)


def _mend(row: Row, table: Table, columns: Columns) -> tuple[list[str] | None, str]:
    """Return the fields, None where the row can't be understood; and what there is to report, if anything."""
    count, fields = len(table.header), list(row.fields)
    while len(fields) > count and not fields[-1].strip():
        fields.pop()
    if len(fields) == count:
        return fields, ""
    counts = f"{len(fields)} fields, the header has {count}"
    if len(fields) > count and columns.text == count - 1:
        joined = [*fields[: columns.text], table.delimiter.join(fields[columns.text :])]
        return joined, f"{counts}; the surplus was joined to the {table.header[columns.text]}"
    return None, f"{counts}: {table.delimiter.join(fields)[:80]!r}; left out"
