"""Where images and their words are: what every command that reads data is told."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from showtell.settings import Data, Maybe, Settings


@dataclass(frozen=True)
class DataSource(Settings):
    """Data as the user names it: a path, and whatever its reader is to know beforehand."""

    data: Data
    """Captions (a table or JSON, or a folder that holds some), a table of labels, or a folder of class
    folders."""
    images: Maybe[Path] = None
    """Folder of the images, where they do not lie beside the table."""
    format: Maybe[str] = None
    """Format of DATA, where it is not recognised: csv, labels, classes, flickr8k, coco, karpathy,
    imagefolder, sidecar or webdataset."""
    image_column: Maybe[str] = None
    """Column that names the image; by default known by its name and its values."""
    text_column: Maybe[str] = None
    """Column of the caption or the label; several captions with commas: caption_1,caption_2."""
    group_column: Maybe[str] = None
    """Column of what belongs on one side of a split: a patient, a camera, a site, a burst."""
    encoding: Maybe[str] = None
    """Encoding of DATA where it is not UTF-8 and cannot be told, such as cp949, gbk or cp1252."""


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
