"""Format ``karpathy``: the dataset JSON of Karpathy & Fei-Fei (2015), with its splits."""

import posixpath
from pathlib import Path

from showtell.data.readers.captions_json import Image, read_captions_json
from showtell.data.readers.collect import CaptionCollector, Entry
from showtell.data.readers.columns import ColumnNames
from showtell.data.readers.picture_folder import Match, PictureFolder, choose_picture_folder
from showtell.data.records import Dataset

_SAMPLE = 100


def read_karpathy(source: Path, images: Path | None, names: ColumnNames) -> Dataset:
    """Read a Karpathy JSON: ``images[].sentences[].raw`` and ``split``, with ``restval`` as train.

    Args:
        source: The JSON file.
        images: Picture folder; None to look beside the file. ``filepath`` (``val2014``) is followed where
            it exists below the folder, and left out where the pictures lie in one folder.
        names: Not used: the form has no columns.

    Returns:
        Pictures with captions and splits.

    Raises:
        DataError: The file is malformed, or nothing in it is usable.
    """
    content = read_captions_json(source)
    sample = [name for image in content.images[:_SAMPLE] for name in dict.fromkeys(_names(image))]
    collector = CaptionCollector(source, choose_picture_folder(images, source.parent, sample))
    for place, image in enumerate(content.images):
        where = f"{source}:images[{place}]"
        name = _existing(collector.folder, image)
        split = collector.read_split(where, image.split)
        if not image.sentences:
            collector.problem("picture without captions", where, f"{name!r} has no sentences; left out")
        for number, sentence in enumerate(image.sentences):
            caption = sentence.raw or " ".join(sentence.tokens)
            collector.add(Entry(f"{where}.sentences[{number}]", name, caption, split, number))
    # Of the folder's other pictures nothing is said: COCO's folders hold more than any one file names.
    return collector.finish("karpathy", report_unused=False)


def _names(image: Image) -> tuple[str, str]:
    """Return the name with its folder, and the bare one, which is unique in these files."""
    return posixpath.join(image.filepath, image.filename), image.filename


def _existing(folder: PictureFolder, image: Image) -> str:
    full, bare = _names(image)
    # A path that leads out must be refused as such, so only a plainly missing one falls back.
    found = folder.find(full)
    if isinstance(found, Match) or found.kind != "missing picture":
        return full
    return bare if isinstance(folder.find(bare), Match) else full
