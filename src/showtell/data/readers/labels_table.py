"""Format ``labels``: a table of labels beside a folder of pictures, such as ``id,breed``."""

from pathlib import Path

from showtell.data.readers.captions_table import table_entries, table_picture_folder
from showtell.data.readers.collect import LabelCollector
from showtell.data.readers.columns import ColumnNames, choose_columns
from showtell.data.readers.table import open_table
from showtell.data.records import Dataset


def read_labels_table(source: Path, images: Path | None, names: ColumnNames) -> Dataset:
    """Read one label a picture from a table; the picture's name may lack its extension.

    Args:
        source: The table, UTF-8.
        images: Picture folder; None to look beside the table.
        names: The columns that the user named; ``text`` is the label.

    Returns:
        Pictures with labels, sorted classes, and splits where the table has a column ``split``.

    Raises:
        DataError: Columns are missing, the file is not UTF-8, or fewer than two classes are usable.
    """
    table = open_table(source, names.given())
    columns = choose_columns(table, names, prefer="label")
    collector = LabelCollector(source, table_picture_folder(table, columns, images))
    for entry in table_entries(collector, table, columns):
        collector.add(entry)
    return collector.finish("labels")
