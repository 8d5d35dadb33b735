"""Format ``classes``: a folder of class folders, with or without split folders above them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from showtell.data.names import few, split_in_name, split_named
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.readers.layout import Layout, layout_of
from showtell.data.readers.no_classes import MASKS
from showtell.data.readers.read_data import dataset_of
from showtell.data.readers.reading import Reading
from showtell.data.readers.split_lists import list_places, with_listed_splits
from showtell.data.records import AnnotatedImage, Dataset, Problem
from showtell.errors import ConfigError, DataError

_MASK_OF = re.compile(
    r"(.+?)[_.-](?:mask|masks|seg|segmentation|gt|groundtruth)(?:[ _-]?\d+)?", re.IGNORECASE
)


def read_classes(source: Path, reading: Reading) -> Dataset:
    """Read images whose folder is their label.

    ``Train/Leo/a.jpg`` has the label Leo and the split train; ``Leo/a.jpg`` has no split. Images in deeper
    folders belong to the class above them. Hidden files, files that are not images, empty class folders and
    images without a class are reported.

    Raises:
        DataError: There is no image in a class folder, or several folders hold the same classes.
        ConfigError: ``--images`` was given.
    """
    if reading.source.images is not None:
        raise ConfigError(
            f"--images {reading.source.images} has no meaning here: {source} holds its images itself, in "
            "class folders.",
            hint="Leave --images out, or give a table as DATA.",
        )
    folder = reading.folder(source)
    layout = layout_of(folder)
    if layout.variants and not (layout.upper and reading.source.format == "classes"):
        names = ", ".join(layout.variants)
        upper = f", or --format classes, by which {names} are the classes" if layout.upper else ""
        raise DataError(
            f"{source} holds folders with classes of their own that are not named after splits: {names}.",
            hint=f"Expected one of them as DATA, or names such as train and val{upper}.",
            run=f"showtell inspect {source / layout.wrapper / layout.variants[0]}",
        )
    problems: list[Problem] = []
    images: list[AnnotatedImage] = []
    stems = {name.rpartition(".")[0] for name in folder.images}
    for name in folder.images:
        label, split = layout.place(name)
        mask = _MASK_OF.fullmatch(name.rpartition(".")[0])
        if mask and mask[1] in stems:
            problems.append(Problem("mask", name, f"is one of {mask[1]!r}, which lies beside it; left out"))
        elif label in layout.classes:
            images.append(AnnotatedImage(name, folder.path_of(name), label=label.strip(), split=split))
        else:
            problems.append(_without_class(name, label, layout))
    problems = [*folder.problems, *problems, *_without_images(folder, layout)]
    if not images:
        shown = "".join(f"\n  {problem.where}: {problem.kind}: {problem.detail}" for problem in problems[:10])
        raise DataError(
            f"{source} holds no class folder with images ({len(problems)} problems).{shown}",
            hint="Expected a folder for each class with its images inside, such as cats/leo/1.jpg.",
        )
    _say(layout, images, reading)
    dataset = dataset_of(source, "classes", images, problems, reading)
    if layout.splits or layout.flat or layout.inner:
        return dataset
    return with_listed_splits(dataset, list_places(source, folder), folder, reading)


def _without_class(name: str, label: str, layout: Layout) -> Problem:
    top = name.removeprefix(layout.wrapper).partition("/")[0]
    if label in layout.copies:
        return Problem("copy of the classes", name, f"{label!r} holds the classes beside it again; left out")
    if label:
        detail = f"has no label: {label!r} is taken for unlabelled images beside the classes; left out"
        return Problem("unlabelled image", name, detail)
    if layout.splits and top not in layout.splits:
        beside = ", ".join(sorted(layout.splits))
        detail = f"has no label: it lies beside the split folders ({beside}); left out"
        return Problem("image outside a split folder", name, detail)
    if not MASKS.isdisjoint(name.casefold().split("/")):
        return Problem("mask", name, "lies in a folder of masks; left out")
    return Problem("image outside a class folder", name, "has no label; left out")


def _without_images(folder: ImageFolder, layout: Layout) -> list[Problem]:
    """Report hidden files, files that are not images, and class folders that hold none."""
    reported = {problem.where for problem in folder.problems}
    others = folder.files.keys() - set(folder.images) - reported
    above = {f"{layout.wrapper}{top}/{between}" for top, (_, between) in layout.splits.items()}
    above = above or {layout.wrapper}
    holding = {PurePosixPath(name) for name in {name.rpartition("/")[0] for name in folder.images}}
    filled = {str(one) for path in holding for one in (path, *path.parents)}
    empty = [name for name in folder.folders - filled - reported if name[: name.rfind("/") + 1] in above]
    return [
        *(Problem("hidden file", name, "left out") for name in sorted(folder.hidden)),
        *(Problem("not an image", name, "by its name and its content; left out") for name in sorted(others)),
        *(Problem("empty class folder", name, "holds no images; left out") for name in sorted(empty)),
    ]


def _say(layout: Layout, images: Sequence[AnnotatedImage], reading: Reading) -> None:
    for top, (label, split) in sorted(layout.flat.items())[:1]:
        reading.note(f"the folders are named after class and split: {top} is {label!r} in {split}")
    if layout.wrapper:
        what = "the classes" if layout.beside else "everything"
        reading.note(f"the folder {layout.wrapper.rstrip('/')} holds {what}, and is looked through")
    named = [f"{top} is {split}" for top, (split, _) in sorted(layout.splits.items()) if not split_named(top)]
    if named:
        reading.note(f"splits by the folders' names: {', '.join(named)}")
    if layout.inner:
        reading.note("the splits are the folders inside of each class")
        if without := sum(image.split is None for image in images):
            reading.note(f"{without:,} images have no split in the data; training puts them into one")
    for top, (_, between) in sorted(layout.splits.items()):
        if between:
            reading.note(f"the classes of {top} lie in {top}/{between.rstrip('/')}")
    _say_marks(layout, images, reading)
    for label in layout.classes:
        if label != label.strip():
            reading.note(f"the class folder {label!r} is read without the blank at its end")
        if split_in_name(label):
            reading.note(f"the folder {label!r} is a class here, not a split: it holds no class folders")
    deep = [one for one in images if one.name.split("/")[-2].strip() != one.label and not layout.flat]
    if deep and not layout.inner and not layout.marked:
        example = f"{deep[0].name} is of {deep[0].label}"
        reading.note(f"{len(deep):,} images in deeper folders belong to the class above: {example}")


def _say_marks(layout: Layout, images: Sequence[AnnotatedImage], reading: Reading) -> None:
    """Say that the marks of splits are taken off the classes, or that no class is in two splits."""
    if layout.marked:
        folder = images[0].name.split("/")[-2]
        reading.note(f"classes are read without the mark of their split: {folder} is {images[0].label!r}")
    held: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        if image.split and image.label:
            held[image.split].add(image.label)
    if len(held) > 1 and sum(map(len, held.values())) == len(set().union(*held.values())):
        which = "; ".join(f"{split} has {few(sorted(labels), 5)}" for split, labels in sorted(held.items()))
        reading.note(f"no class is in two splits: {which}")
