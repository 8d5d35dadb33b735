"""Format ``classes``: a folder of class folders, with or without split folders above them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from showtell.data.names import split_in_name, split_named, words
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.records import Dataset, Picture, Problem, Split
from showtell.errors import ConfigError, DataError

_UNLABELLED = frozenset(words("pred predict prediction unlabelled unlabeled unsup unsupervised submission"))
_MASKS = frozenset(words("masks mask segmentation segmentations annotations trimaps ground_truth gt"))
_NO_CLASS = _MASKS | {*words("images image imgs img pictures photos jpg jpeg png jpegimages data dcim 사진")}
_CAMERA = re.compile(r"\d{3}[A-Z_]{3,}\d*")
_FOLD = re.compile(r"(?:fold|cv|part)[_ -]?(\d+)", re.IGNORECASE)


@dataclass
class Layout:
    """How a folder of classes is laid out.

    Attributes:
        wrapper: Folders above everything, with a slash at the end; empty where there are none.
        splits: Folders that are splits: which, and the folders between it and its classes.
        inner: Whether each class has split folders inside, instead.
        classes: Number of pictures by class folder.
        variants: Folders that hold the same classes and are no splits: which is meant?
    """

    wrapper: str = ""
    splits: dict[str, tuple[Split, str]] = field(default_factory=dict)
    inner: bool = False
    classes: Counter[str] = field(default_factory=Counter)
    variants: tuple[str, ...] = ()

    def place(self, name: str) -> tuple[str, Split | None]:
        """Return the class folder of a picture, empty where it is in none, and its split."""
        parts = name.removeprefix(self.wrapper).split("/")
        split: Split | None = None
        if self.splits:
            if parts[0] not in self.splits:
                return "", None
            split, between = self.splits[parts[0]]
            parts = "/".join(parts[1:]).removeprefix(between).split("/")
        if len(parts) < 2 or any(part.casefold() in _MASKS for part in parts[1:-1]):
            return "", split
        return parts[0], split_in_name(parts[1]) if self.inner and len(parts) > 2 else split


def layout_of(folder: PictureFolder) -> Layout:
    """Tell where in a folder the classes are.

    A folder that holds everything is looked through, however many there are, and so is one inside of a split
    (``seg_train/seg_train/cat``). A folder named after a split is one only where it holds folders with
    pictures, so that a class may be called ``train`` as well; loose pictures in ``test`` beside classes have
    no label.
    """
    layout = Layout()
    while True:
        inside = [name.removeprefix(layout.wrapper) for name in folder.pictures]
        tops = {name.partition("/")[0] for name in inside}
        deep = any(name.count("/") >= 2 for name in inside)
        if len(tops) != 1 or not deep or any("/" not in name for name in inside) or split_in_name(*tops):
            break
        layout.wrapper += f"{tops.pop()}/"
    nested: defaultdict[str, list[str]] = defaultdict(list)
    for name in inside:
        if name.count("/") >= 2:
            nested[name.partition("/")[0]].append(name.partition("/")[2])
    splits = {top: split_in_name(top) for top in nested} | _folds(nested)
    layout.splits = {top: (split, _between(nested[top])) for top, split in splits.items() if split}
    if not layout.splits and len(nested) == len(tops) > 1:
        second = {top: frozenset(name.partition("/")[0] for name in below) for top, below in nested.items()}
        layout.inner = all(split_in_name(name) for names in second.values() for name in names)
        same = len(set(second.values())) == 1 and len(next(iter(second.values()))) > 1
        files = [{name.rpartition("/")[2] for name in below} for below in nested.values()]
        often = sum(count > 1 for count in Counter(name for names in files for name in names).values())
        if same and not layout.inner and 2 * often > max(map(len, files)):
            layout.variants = tuple(sorted(nested))
    layout.classes = Counter(label for name in folder.pictures if (label := layout.place(name)[0]))
    if not layout.splits:
        for label in [label for label in layout.classes if _is_unlabelled(label, layout.classes)]:
            del layout.classes[label]
    return layout


def _folds(nested: dict[str, list[str]]) -> dict[str, Split | None]:
    """Return folders that are folds as splits: the first is val, the others are train."""
    numbers = {top: int(match[1]) for top in nested if (match := _FOLD.fullmatch(top))}
    if len(numbers) < 2 or len(numbers) < len(nested):
        return {}
    return {top: "val" if number == min(numbers.values()) else "train" for top, number in numbers.items()}


def _between(names: Iterable[str]) -> str:
    """Return the folders through which all pictures of a split are reached, classes excluded."""
    between, names = "", list(names)
    while True:
        inside = [name.removeprefix(between) for name in names]
        tops = {name.partition("/")[0] for name in inside}
        if len(tops) > 1 or any(name.count("/") < 2 for name in inside):
            return between
        between += f"{tops.pop()}/"


def _is_unlabelled(name: str, classes: Iterable[str]) -> bool:
    others = [other for other in classes if other != name]
    return len(others) >= 2 and (split_in_name(name) in ("val", "test") or name.casefold() in _UNLABELLED)


def holds_classes(folder: PictureFolder) -> bool:
    """Tell whether a folder is one of class folders."""
    layout = layout_of(folder)
    # train/ and test/ with loose pictures are the two halves of something, not two classes.
    names = [name for name in layout.classes if not split_in_name(name) and name.casefold() not in _NO_CLASS]
    names = [name for name in names if not _CAMERA.fullmatch(name)]
    if layout.splits or layout.variants or (names and len(layout.classes) >= 2):
        return True
    return bool(names) and layout.classes.total() == len(folder.pictures)


def read_classes(source: Path, reading: Reading) -> Dataset:
    """Read pictures whose folder is their label.

    ``Train/Leo/a.jpg`` has the label Leo and the split train; ``Leo/a.jpg`` has no split. Pictures in deeper
    folders belong to the class above them.

    Args:
        source: The folder.
        reading: Told how the folder was read.

    Returns:
        Pictures with labels in order of their names, and sorted classes. Hidden files, files that are no
        pictures, empty class folders and pictures without a class are reported.

    Raises:
        DataError: There is no picture in a class folder, or several folders hold the same classes.
        ConfigError: ``--images`` was given.
    """
    images = reading.source.images
    if images is not None:
        raise ConfigError(
            f"--images {images} has no meaning here: {source} holds its pictures itself, in class folders.",
            would_do="Leave --images out, or give a table as DATA.",
        )
    folder = reading.folder(source)
    layout = layout_of(folder)
    if layout.variants:
        names = ", ".join(layout.variants)
        raise DataError(
            f"{source} holds folders with the same classes that are not named after splits: {names}.",
            would_do="Expected one of them as DATA, or names such as train and val.",
            run=f"showtell look {source / layout.wrapper / layout.variants[0]}",
        )
    problems: list[Problem] = []
    pictures: list[Picture] = []
    for name in folder.pictures:
        label, split = layout.place(name)
        if label in layout.classes:
            path = Path(folder.files[name])
            pictures.append(Picture(name, path, label=label.strip(), split=split))
        else:
            problems.append(_without_class(name, label, layout))
    reported = {problem.where for problem in folder.problems}
    others = sorted(folder.files.keys() - set(folder.pictures) - reported)
    problems += [Problem("hidden file", name, "left out") for name in sorted(folder.hidden)]
    problems += [Problem("not a picture", name, "by its name and its content; left out") for name in others]
    problems += _empty_classes(folder, layout)
    problems = [*folder.problems, *problems]
    if not pictures:
        raise _no_classes(source, problems)
    _say(layout, pictures, reading)
    classes = tuple(sorted({picture.label for picture in pictures if picture.label is not None}))
    return Dataset(source, "classes", tuple(pictures), tuple(problems), classes, tuple(reading.notes))


def _without_class(name: str, label: str, layout: Layout) -> Problem:
    top = name.removeprefix(layout.wrapper).partition("/")[0]
    if label:
        detail = f"has no label: {label!r} is taken for unlabelled pictures beside the classes; left out"
        return Problem("unlabelled picture", name, detail)
    if layout.splits and top not in layout.splits:
        beside = ", ".join(sorted(layout.splits))
        detail = f"has no label: it lies beside the split folders ({beside}); left out"
        return Problem("picture outside a split folder", name, detail)
    if any(part.casefold() in _MASKS for part in name.split("/")):
        return Problem("mask", name, "lies in a folder of masks; left out")
    return Problem("picture outside a class folder", name, "has no label; left out")


def _say(layout: Layout, pictures: Iterable[Picture], reading: Reading) -> None:
    if layout.wrapper:
        reading.note(f"the folder {layout.wrapper.rstrip('/')} holds everything, and is looked through")
    named = [f"{top} is {split}" for top, (split, _) in sorted(layout.splits.items()) if not split_named(top)]
    if named:
        reading.note(f"splits by the folders' names: {', '.join(named)}")
    if layout.inner:
        reading.note("the splits are the folders inside of each class")
    for top, (_, between) in sorted(layout.splits.items()):
        if between:
            reading.note(f"the classes of {top} lie in {top}/{between.rstrip('/')}")
    for label in layout.classes:
        if label != label.strip():
            reading.note(f"the class folder {label!r} is read without the blank at its end")
        if split_in_name(label):
            reading.note(f"the folder {label!r} is a class here, not a split: it holds no class folders")
    deep = [picture for picture in pictures if picture.name.split("/")[-2].strip() != picture.label]
    if deep and not layout.inner:
        example = f"{deep[0].name} is of {deep[0].label}"
        reading.note(f"{len(deep):,} pictures in deeper folders belong to the class above: {example}")


def _empty_classes(folder: PictureFolder, layout: Layout) -> list[Problem]:
    """Report class folders without pictures; folders with other problems have been reported already."""
    prefixes = [f"{layout.wrapper}{top}/{between}" for top, (_, between) in layout.splits.items()]
    known = {problem.where for problem in folder.problems}
    filled = {name.rpartition("/")[0] for name in folder.pictures}
    empty = [
        name
        for name in sorted(folder.folders - known)
        if any(
            name.startswith(prefix) and "/" not in name.removeprefix(prefix)
            for prefix in prefixes or [layout.wrapper]
        )
        and not any(found == name or found.startswith(name + "/") for found in filled)
    ]
    return [Problem("empty class folder", name, "holds no pictures; left out") for name in empty]


def _no_classes(source: Path, problems: list[Problem]) -> DataError:
    shown = "".join(f"\n  {problem.where}: {problem.kind}: {problem.detail}" for problem in problems[:10])
    return DataError(
        f"{source} holds no class folder with pictures ({len(problems)} problems).{shown}",
        would_do="Expected a folder for each class with its pictures inside, such as cats/leo/1.jpg.",
    )
