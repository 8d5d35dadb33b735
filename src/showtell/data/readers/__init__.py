"""Readers: one file a format, and the one function that recognises the format."""

from collections.abc import Callable
from pathlib import Path

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


def read_dataset(
    data: Path,
    *,
    images: Path | None = None,
    format: str | None = None,
    image_column: str | None = None,
    text_column: str | None = None,
) -> Dataset:
    """Read pictures with their captions or labels, in any of the known formats.

    Args:
        data: A captions table, a labels table, a captions JSON, or a folder that holds one of them or is
            made of class folders.
        images: Folder of the pictures; None to look beside the table.
        format: A key of `FORMATS`; None to recognise it.
        image_column: Column of a table that names the picture; None to know it by its name.
        text_column: Column of the caption or label; None to know it by its name.

    Returns:
        The data set. What was not usable is in ``problems``, each with its place; ``format`` says what
        was recognised.

    Raises:
        DataError: The data can't be recognised, or nothing in it is usable.
        ConfigError: ``format`` is unknown, or columns are named for a format that has none.
    """
    if format is not None and format not in _READERS:
        raise ConfigError(
            f"--format {format} is not known.", would_do=f"One of these would do: {', '.join(FORMATS)}."
        )
    names = ColumnNames(image_column, text_column)
    found = recognise(data, names, format)
    if names.given() and found.format not in _WITH_COLUMNS:
        raise ConfigError(
            f"{found.source} is read as {found.format}, which has no columns to name.",
            would_do="Leave --image-column and --text-column out, or give the table itself as DATA.",
        )
    return _READERS[found.format](found.source, images, names)


def read_pictures(
    data: Path,
    *,
    images: Path | None = None,
    format: str | None = None,
    image_column: str | None = None,
    text_column: str | None = None,
) -> tuple[Dataset, DataError | None]:
    """Read pictures, whether or not anything is said of them; the arguments are those of `read_dataset`.

    Returns:
        The data set, and None; or all pictures below a folder, and why it is no data set.

    Raises:
        DataError: There are no pictures, or the format that was named does not fit.
        ConfigError: As `read_dataset` does.
    """
    try:
        dataset = read_dataset(
            data, images=images, format=format, image_column=image_column, text_column=text_column
        )
        return dataset, None
    except DataError as error:
        if format is not None or not data.is_dir():
            raise
        folder = PictureFolder(data)
        if not folder.pictures:
            raise
        pictures = tuple(Picture(name, Path(folder.files[name])) for name in folder.pictures)
        return Dataset(data, "pictures without words", pictures, tuple(folder.problems)), error
