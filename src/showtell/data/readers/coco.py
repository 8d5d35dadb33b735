"""Format ``coco``: COCO captions JSON, one file or a folder of them."""

from pathlib import Path

from showtell.data.readers.captions_json import CaptionsJson, json_kind, read_captions_json
from showtell.data.readers.collect import CaptionCollector, Entry
from showtell.data.readers.columns import ColumnNames
from showtell.data.readers.picture_folder import choose_picture_folder
from showtell.data.records import Dataset, Split
from showtell.errors import DataError

_SAMPLE = 100


def read_coco(source: Path, images: Path | None, names: ColumnNames) -> Dataset:
    """Read COCO captions.

    Args:
        source: A captions JSON; or a folder that holds some, itself or in ``annotations/``.
        images: Picture folder; None to look beside the JSON. It may hold ``train2017/`` and the like.
        names: Not used: the form has no columns.

    Returns:
        Pictures with captions. Several files with ``train`` and ``val`` in their names bring splits; a
        single file brings none, whatever its name, for it is the whole data set then.

    Raises:
        DataError: There is no such file, it is malformed, or nothing in it is usable.
    """
    files = [source] if source.is_file() else coco_files(source)
    if not files:
        raise DataError(
            f"{source} holds no COCO captions JSON, nor does its annotations/ folder.",
            would_do="A file such as captions_val2017.json would do.",
        )
    contents = [read_captions_json(path) for path in files]
    sample = [image.file_name for content in contents for image in content.images[:_SAMPLE]]
    base = files[0].parent.parent if files[0].parent.name == "annotations" else files[0].parent
    subsets = [path.stem.removeprefix("captions_") for path in files]
    if len(files) == 1:
        root = images / subsets[0] if images and (images / subsets[0]).is_dir() else images
        folder = choose_picture_folder(root, base, sample, first=[base / subsets[0]])
    else:
        folder = choose_picture_folder(images, base, sample, first=[base])
    collector = CaptionCollector(source, folder)
    for path, subset, content in zip(files, subsets, contents):
        split = _split_of(subset) if len(files) > 1 else None
        under = subset if subset in folder.folders else ""
        _add(collector, path, content, split, under)
    # Of the folder's other pictures nothing is said: it is often shared with other annotation files.
    return collector.finish("coco", report_unused=False)


def coco_files(folder: Path) -> list[Path]:
    """Return the COCO captions files of a folder and of its ``annotations/``, sorted."""
    candidates = [*folder.glob("*.json"), *folder.glob("annotations/*.json")]
    return sorted(path for path in candidates if path.is_file() and json_kind(path) == "coco")


def _split_of(subset: str) -> Split | None:
    splits: tuple[Split, ...] = ("train", "val", "test")
    return next((split for split in splits if subset.lower().startswith(split)), None)


def _add(
    collector: CaptionCollector, path: Path, content: CaptionsJson, split: Split | None, under: str
) -> None:
    names = {image.id: image.file_name for image in content.images}
    captioned = set()
    for place, annotation in enumerate(content.annotations):
        where = f"{path}:annotations[{place}]"
        name = names.get(annotation.image_id)
        if name is None:
            detail = f"image_id {annotation.image_id!r} is not among the images; left out"
            collector.skip("missing picture", where, detail)
            continue
        captioned.add(annotation.image_id)
        collector.add(Entry(where, name, annotation.caption or "", split, number=place), under=under)
    for place, image in enumerate(content.images):
        if image.id not in captioned:
            detail = f"{image.file_name!r} has no annotation; left out"
            collector.problem("picture without captions", f"{path}:images[{place}]", detail)
