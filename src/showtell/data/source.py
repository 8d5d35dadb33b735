"""Where images and their words are: what every command that reads data is told."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from showtell.settings import Data, Maybe, Settings


@dataclass(frozen=True)
class DataSource(Settings):
    """Data as the user names it: a path, and whatever its reader is to know beforehand."""

    data: Data
    """Captions (a table, JSON, or a folder with one), a table of labels, or a folder of class folders."""
    images: Maybe[Path] = None
    """Folder of the images, unless they are beside the table."""
    format: Maybe[str] = None
    """Format of DATA, if it is not recognised.
    One of csv, labels, classes, flickr8k, coco, karpathy, imagefolder, sidecar, webdataset."""
    image_column: Maybe[str] = None
    """Column of the image names; by default found by its name and values."""
    text_column: Maybe[str] = None
    """Column of the caption or label; several columns with commas."""
    group_column: Maybe[str] = None
    """Column of groups that a split keeps together, such as a patient, a camera or a site."""
    encoding: Maybe[str] = None
    """Encoding of DATA if it is not UTF-8 and not recognised, such as cp949, gbk or cp1252."""


def source_of(config: Any, *, data: Path | None = None, images: Path | None = None) -> DataSource:
    """Return the data source that settings name, or other data in its place.

    Args:
        config: Settings that are a `DataSource` themselves.
        data: Other data, whose form is not known; None for that of the settings.
        images: Folder of the images; None for that of the settings where the data is theirs.
    """
    if data is not None:
        return DataSource(data, images)
    named = {field.name: getattr(config, field.name) for field in fields(DataSource)}
    return DataSource(**named | ({} if images is None else {"images": images}))
