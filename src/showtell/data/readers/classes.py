"""Format ``classes``: a folder of class folders, with or without split folders above them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from showtell.data.names import PICTURE_FOLDERS, split_in_name, split_named
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.records import Dataset, Picture, Problem
from showtell.errors import ConfigError, DataError

_UNLABELLED = frozenset(
    (
        "pred",
        "predict",
        "prediction",
        "unlabelled",
        "unlabeled",
        "unsup",
        "unsupervised",
        "extra",
        "submission",
    )
)


@dataclass
class Layout:
    """How a folder of classes is laid out.

    Attributes:
        wrapper: Folders above everything, with a slash at the end; empty where there are none.
        splits: Folders that are splits, each with the folders between it and its classes.
        classes: Number of pictures by class folder, in the order of names.
    """

    wrapper: str = ""
    splits: dict[str, str] = field(default_factory=dict)
    classes: Counter[str] = field(default_factory=Counter)

    def place(self, name: str) -> tuple[str | None, str | None]:
        """Return the split folder of a picture (empty where there are none), and its class; or None."""
        parts = name.removeprefix(self.wrapper).split("/")
        if not self.splits:
            return "", parts[0] if len(parts) > 1 else None
        if parts[0] not in self.splits:
            return None, None
        inside = "/".join(parts[1:]).removeprefix(self.splits[parts[0]]).split("/")
        return parts[0], inside[0] if len(inside) > 1 else None


def layout_of(folder: PictureFolder) -> Layout:
    """Tell where in a folder the classes are.

    A folder that holds everything is looked through, however many there are, and so is one inside of a split
    (``seg_train/seg_train/cat``). A folder named after a split is one only where it holds folders with
    pictures, so that a class may be called ``train`` as well; loose pictures in ``test`` beside classes have
    no label.
    """
    names = folder.pictures
    layout = Layout()
    while True:
        inside = [name.removeprefix(layout.wrapper) for name in names]
        tops = {name.partition("/")[0] for name in inside}
        deep = any(name.count("/") >= 2 for name in inside)
        if len(tops) != 1 or not deep or any("/" not in name for name in inside) or split_in_name(*tops):
            break
        layout.wrapper += f"{tops.pop()}/"
    nested: defaultdict[str, list[str]] = defaultdict(list)
    for name in inside:
        if name.count("/") >= 2:
            nested[name.partition("/")[0]].append(name.partition("/")[2])
    layout.splits = {top: _between(below) for top, below in nested.items() if split_in_name(top)}
    for name in names:
        split, label = layout.place(name)
        if split is not None and label is not None:
            layout.classes[label] += 1
    if not layout.splits:
        for label in [label for label in layout.classes if _is_unlabelled(label, layout.classes)]:
            del layout.classes[label]
    return layout


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
    names = [name for name in layout.classes if not split_named(name)]
    alone = not set(names) <= set(PICTURE_FOLDERS) and layout.classes.total() == len(folder.pictures)
    return bool(layout.splits) or (len(layout.classes) >= 2 and bool(names)) or alone


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
        DataError: There is no picture in a class folder.
        ConfigError: ``--images`` was given.
    """
    if reading.source.images is not None:
        raise ConfigError(
            f"--images {reading.source.images} has no meaning here: {source} holds its pictures.",
            would_do="Leave --images out, or give a table as DATA.",
        )
    folder = reading.folder(source)
    layout = layout_of(folder)
    _say(layout, reading)
    problems: list[Problem] = []
    pictures: list[Picture] = []
    for name in folder.pictures:
        split, label = layout.place(name)
        if split is None:
            beside = ", ".join(sorted(layout.splits))
            detail = f"has no label: it lies beside the split folders ({beside}); left out"
            problems.append(Problem("picture outside a split folder", name, detail))
        elif label is None:
            problems.append(Problem("picture outside a class folder", name, "has no label; left out"))
        elif label not in layout.classes:
            detail = f"has no label: {label!r} is taken for unlabelled pictures beside the classes; left out"
            problems.append(Problem("unlabelled picture", name, detail))
        else:
            brought = split_in_name(split) if split else None
            pictures.append(Picture(name, Path(folder.files[name]), label=label.strip(), split=brought))
    reported = {problem.where for problem in folder.problems}
    others = sorted(folder.files.keys() - set(folder.pictures) - reported)
    problems += [Problem("hidden file", name, "left out") for name in sorted(folder.hidden)]
    problems += [
        Problem("not a picture", name, "by its extension and its content; left out") for name in others
    ]
    problems += _empty_classes(folder, layout)
    problems = [*folder.problems, *problems]
    classes = tuple(sorted({picture.label for picture in pictures if picture.label is not None}))
    if not classes:
        raise _no_classes(source, problems)
    return Dataset(source, "classes", tuple(pictures), tuple(problems), classes, tuple(reading.notes))


def _say(layout: Layout, reading: Reading) -> None:
    if layout.wrapper:
        reading.note(f"the folder {layout.wrapper.rstrip('/')} holds everything, and is looked through")
    named = [f"{top} is {split_in_name(top)}" for top in sorted(layout.splits) if split_named(top) is None]
    if named:
        reading.note(f"splits by the folders' names: {', '.join(named)}")
    for top, between in sorted(layout.splits.items()):
        if between:
            reading.note(f"the classes of {top} lie in {top}/{between.rstrip('/')}")


def _empty_classes(folder: PictureFolder, layout: Layout) -> list[Problem]:
    """Report class folders without pictures; folders with other problems have been reported already."""
    prefixes = [f"{layout.wrapper}{top}/{between}" for top, between in layout.splits.items()] or [
        layout.wrapper
    ]
    known = {problem.where for problem in folder.problems}
    filled = {name.rpartition("/")[0] for name in folder.pictures}
    empty = [
        name
        for name in sorted(folder.folders)
        if any(name.startswith(prefix) and "/" not in name.removeprefix(prefix) for prefix in prefixes)
        and name not in known
        and not any(found == name or found.startswith(name + "/") for found in filled)
    ]
    return [Problem("empty class folder", name, "holds no pictures; left out") for name in empty]


def _no_classes(source: Path, problems: list[Problem]) -> DataError:
    shown = "".join(f"\n  {problem.where}: {problem.detail}" for problem in problems[:10])
    return DataError(
        f"{source} holds no class folder with pictures ({len(problems)} problems).{shown}",
        would_do="Expected a folder for each class with its pictures inside, such as cats/leo/1.jpg.",
    )
