"""Readers: one file a format, and the one function that recognises the format."""

from collections.abc import Callable
from pathlib import Path

from showtell.config.source import DataSource
from showtell.data.readers.captions_table import read_captions_table
from showtell.data.readers.classes import read_classes
from showtell.data.readers.coco import read_coco
from showtell.data.readers.columns import ColumnNames
from showtell.data.readers.flickr8k import read_flickr8k
from showtell.data.readers.imagefolder import read_imagefolder
from showtell.data.readers.karpathy import read_karpathy
from showtell.data.readers.labels_table import read_labels_table
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.readers.recognise import FORMATS, recognise
from showtell.data.records import Dataset, Picture
from showtell.errors import ConfigError, DataError

__all__ = ["FORMATS", "read_dataset", "read_pictures"]

_READERS: dict[str, Callable[[Path, Path | None, ColumnNames], Dataset]] = {
    "csv": read_captions_table,
    "flickr8k": read_flickr8k,
    "coco": read_coco,
    "karpathy": read_karpathy,
    "imagefolder": read_imagefolder,
    "classes": read_classes,
    "labels": read_labels_table,
}
_WITH_COLUMNS = ("csv", "imagefolder", "labels")


def read_dataset(source: DataSource) -> Dataset:
    """Read pictures with their captions or labels, in any of the known formats.

    Args:
        source: Where the data is, and what is known of its form.

    Returns:
        The data set. What was not usable is in ``problems``, each with its place; ``format`` says what
        was recognised.

    Raises:
        DataError: The data can't be recognised, or nothing in it is usable.
        ConfigError: ``format`` is unknown, or columns are named for a format that has none.
    """
    data, images, format = source.data, source.images, source.format
    if format is not None and format not in _READERS:
        raise ConfigError(
            f"--format {format} is not known.", would_do=f"One of these would do: {', '.join(FORMATS)}."
        )
    names = ColumnNames(source.image_column, source.text_column)
    found = recognise(data, names, format)
    if names.given() and found.format not in _WITH_COLUMNS:
        raise ConfigError(
            f"{found.source} is read as {found.format}, which has no columns to name.",
            would_do="Leave --image-column and --text-column out, or give the table itself as DATA.",
        )
    return _READERS[found.format](found.source, images, names)


def read_pictures(source: DataSource) -> tuple[Dataset, DataError | None]:
    """Read pictures, whether or not anything is said of them; the argument is that of `read_dataset`.

    Returns:
        The data set, and None; or all pictures below a folder, and why it is no data set.

    Raises:
        DataError: There are no pictures, or the format that was named does not fit.
        ConfigError: As `read_dataset` does.
    """
    try:
        return read_dataset(source), None
    except DataError as error:
        if source.format is not None or not source.data.is_dir():
            raise
        folder = PictureFolder(source.data)
        if not folder.pictures:
            raise
        pictures = tuple(Picture(name, Path(folder.files[name])) for name in folder.pictures)
        return Dataset(source.data, "pictures without words", pictures, tuple(folder.problems)), error
