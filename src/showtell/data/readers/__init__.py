"""Readers: from a path to images with their words, whatever the form."""

from dataclasses import replace

from showtell.data.names import split_in_name
from showtell.data.readers.candidates import Candidate
from showtell.data.readers.caption_files import read_coco, read_flickr8k, read_karpathy
from showtell.data.readers.classes import read_classes
from showtell.data.readers.forms import FORMATS
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.readers.parts import metadata_parts
from showtell.data.readers.reading import Annotation, Reading
from showtell.data.readers.recognise import recognise
from showtell.data.readers.sidecar import read_sidecar
from showtell.data.readers.tables import Part, read_tables
from showtell.data.records import AnnotatedImage, Dataset
from showtell.data.source import DataSource
from showtell.errors import ConfigError, DataError

__all__ = ["FORMATS", "read_dataset", "read_images"]

# Each is given the file or the folder, and the reading: what the user said, to be told what was guessed.
_WITHOUT_COLUMNS = {
    "flickr8k": read_flickr8k,
    "coco": read_coco,
    "karpathy": read_karpathy,
    "classes": read_classes,
    "sidecar": read_sidecar,
}


def read_dataset(source: DataSource, wanted: Annotation | None = None) -> Dataset:
    """Read images with their captions or labels, in any of the known formats.

    Args:
        source: Where the data is, and what is known of its form.
        wanted: Which of the two is read of a folder that has both; None to refuse such a one.

    Returns:
        The data set. What was not usable is in ``problems``, each with its place; ``format`` says what
        was recognised, and ``notes`` what was guessed.

    Raises:
        DataError: The data can't be recognised, or nothing in it is usable.
        ConfigError: ``format`` is unknown, or columns are named for a format that has none.
    """
    if source.format is not None and source.format not in FORMATS:
        raise ConfigError(
            f"--format {source.format} is not known.", hint=f"Expected one of {', '.join(FORMATS)}."
        )
    try:
        return _read(source, Reading(source, wanted))
    except RecursionError:
        raise DataError(f"{source.data} nests lists or objects too deeply to be read.") from None


def _read(source: DataSource, reading: Reading) -> Dataset:
    found = recognise(source.data, reading)
    if found.format in _WITHOUT_COLUMNS:
        if reading.columns:
            raise ConfigError(
                f"{found.source} is read as {found.format}, which has no columns to name.",
                hint="Leave --image-column, --text-column and --group-column out, or give the table "
                "itself as DATA.",
            )
        return _WITHOUT_COLUMNS[found.format](found.source, reading)
    if found.format == "imagefolder":
        return _read_imagefolder(found, reading)
    return read_tables(found.source, found.parts or (Part(found.source),), reading, found.format)


def _read_imagefolder(found: Candidate, reading: Reading) -> Dataset:
    """Read Hugging Face's metadata; images below a folder named after a split have that split."""
    source, images = found.source, reading.source.images
    parts = found.parts or (metadata_parts(source) if source.is_dir() else ())
    if not parts:
        raise DataError(
            f"{source} holds no metadata.csv or metadata.jsonl, nor do its split folders.",
            hint="Expected a metadata.csv with the columns file_name,text beside the images.",
        )
    folder = reading.folder(images or (source.parent if source.is_file() else source))
    if images:
        parts = tuple(replace(part, under="") for part in parts)
    dataset = read_tables(source, parts, reading, "imagefolder", folder)
    return replace(dataset, images=tuple(map(_with_split_of_folder, dataset.images)))


def _with_split_of_folder(image: AnnotatedImage) -> AnnotatedImage:
    top, _, below = image.name.partition("/")
    return replace(image, split=split_in_name(top)) if below and not image.split else image


def read_images(source: DataSource) -> tuple[Dataset, DataError | None]:
    """Read images, whether or not anything is said of them; the argument is that of `read_dataset`.

    Returns:
        The data set, and None; or all images below a folder, and why it is not a data set.

    Raises:
        DataError: There are no images, or the format that was named does not fit.
        ConfigError: As `read_dataset` does.
    """
    try:
        return read_dataset(source), None
    except DataError as error:
        if source.format is not None or not source.data.is_dir():
            raise
        folder = ImageFolder(source.data)
        if not folder.images:
            raise
        images = tuple(AnnotatedImage(name, folder.path_of(name)) for name in folder.images)
        return Dataset(source.data, "images without words", images, tuple(folder.problems)), error
