"""Format ``classes``: a folder of class folders, with or without split folders above them."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from showtell.data.names import few, split_in_name, split_named, split_off, splits_in_names, words
from showtell.data.readers.collect import dataset_of
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.readers.reading import Reading
from showtell.data.readers.split_lists import list_places, said_elsewhere, with_listed_splits
from showtell.data.records import AnnotatedImage, Dataset, Problem, Split
from showtell.errors import ConfigError, DataError

_UNLABELLED = frozenset(words("pred predict prediction unlabelled unlabeled unsup unsupervised submission"))
_ASIDE = _UNLABELLED | {*words("sample samples example examples doc docs assets demo figures screenshots")}
"""What lies beside a data set and holds no class of it."""
_MASKS = frozenset(words("masks mask segmentation segmentations annotations trimaps ground_truth gt"))
_NO_CLASS = _MASKS | {*words("images image imgs img pictures photos jpg jpeg png jpegimages data dcim 사진")}
_MASK_OF = re.compile(
    r"(.+?)[_.-](?:mask|masks|seg|segmentation|gt|groundtruth)(?:[ _-]?\d+)?", re.IGNORECASE
)
_CAMERA = re.compile(r"\d{3}[A-Z_]{3,}\d*")
_FOLD = re.compile(r"(?:fold|cv|part)[_ -]?(\d+)", re.IGNORECASE)


@dataclass
class Layout:
    """How a folder of classes is laid out."""

    wrapper: str  # folders above everything, with a slash at the end; empty where there are none
    beside: bool = False  # whether something lies beside the last of them
    # folders that are splits: which, and the folders between it and its classes
    splits: dict[str, tuple[Split, str]] = field(default_factory=dict)
    # folders that are a class in a split each, such as train_cat: both
    flat: dict[str, tuple[str, Split]] = field(default_factory=dict)
    inner: bool = False  # whether each class has split folders inside, instead
    classes: Counter[str] = field(default_factory=Counter)  # number of images by class folder
    copies: frozenset[str] = frozenset()  # folders that hold the classes beside them once more
    variants: tuple[str, ...] = ()  # folders that hold classes of their own: which is meant?

    def place(self, name: str) -> tuple[str, Split | None]:
        """Return the class folder of an image, empty where it is in none, and its split."""
        if not name.startswith(self.wrapper):
            return "", None
        parts = name.removeprefix(self.wrapper).split("/")
        split: Split | None = None
        if self.flat:
            return self.flat.get(parts[0], ("", None)) if len(parts) > 1 else ("", None)
        if self.splits:
            if parts[0] not in self.splits:
                return "", None
            split, between = self.splits[parts[0]]
            parts = "/".join(parts[1:]).removeprefix(between).split("/")
        if len(parts) < 2 or not _MASKS.isdisjoint(part.casefold() for part in parts[1:-1]):
            return "", split
        return parts[0], split_in_name(parts[1]) if self.inner and len(parts) > 2 else split


def layout_of(folder: ImageFolder) -> Layout:
    """Tell where in a folder the classes are.

    A folder that holds everything is looked through, however many there are, and so is one inside of a split
    (``seg_train/seg_train/cat``). A folder named after a split is one only where it holds folders with
    images, so that a class may be called ``train`` as well; loose images in ``test`` beside classes have
    no label.
    """
    wrapper, sets = _home(folder.images)
    inside = [name.removeprefix(wrapper) for name in folder.images if name.startswith(wrapper)]
    layout = Layout(wrapper, beside=len(inside) < len(folder.images), variants=sets)
    nested = _nested(inside)
    if not nested:
        layout.flat = _flat({name.partition("/")[0] for name in inside if "/" in name})
    splits = {**splits_in_names(nested), **_folds(nested)}
    layout.splits = {top: (split, _through(nested[top])) for top, split in splits.items()}
    if not layout.splits and len(nested) > 1 and nested.keys() == {name.partition("/")[0] for name in inside}:
        second = [{name.partition("/")[0] for name in below} for below in nested.values()]
        inner = {split_in_name(name) for name in set().union(*second) if name.casefold() not in _MASKS}
        each = all(any(map(split_in_name, names)) for names in second)
        layout.inner = None not in inner or (each and len(inner) > 2)  # beside the splits may be an extra/
        same = len({name.casefold() for name in second[0]} - _NO_CLASS) > 1 and all(
            names == second[0] for names in second
        )
        files = [{name.rpartition("/")[2] for name in below} for below in nested.values()]
        often = sum(count > 1 for count in Counter(name for names in files for name in names).values())
        if same and not layout.inner and 2 * often > max(map(len, files)):
            layout.variants = tuple(sorted(nested))
    layout.classes = Counter(label for name in folder.images if (label := layout.place(name)[0]))
    if not layout.splits and not layout.flat and len(layout.classes) > 2:
        for label in list(layout.classes):
            if split_in_name(label) in ("val", "test") or label.casefold() in _UNLABELLED:
                del layout.classes[label]
    if not layout.splits and not layout.flat:
        layout.copies = _copies(nested, Counter(name.partition("/")[0] for name in inside))
    for label in _no_classes(layout, inside) | layout.copies:
        del layout.classes[label]
    return layout


def _nested(names: Collection[str]) -> dict[str, list[str]]:
    """Return what lies in folders below folders, by the upper ones."""
    nested: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        top, _, below = name.partition("/")
        if "/" in below:
            nested[top].append(below)
    return nested


def _home(names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the folders that lead to the classes or their splits, and data sets that lie side by side there.

    The one folder that holds splits with classes is meant, and what lies beside it is not; so is the one
    that holds folders beside those of samples and the like.
    """
    wrapper = _through(names, loose=True)
    inside = [name.removeprefix(wrapper) for name in names]
    nested, tops = _nested(inside), {name.partition("/")[0] for name in inside if "/" in name}
    splits = [top for top in splits_in_names(nested) if not all(map(split_in_name, _tops(nested[top])))]
    sets = [] if splits else [top for top in nested if _holds_splits(nested[top])]
    others = [top for top in tops if top.casefold() not in _ASIDE]
    if not sets and not splits and len(others) == 1 < len(tops) and len(_tops(nested.get(others[0], []))) > 1:
        sets = others
    if len(sets) != 1:
        return wrapper, tuple(sorted(sets))
    above = f"{wrapper}{sets[0]}/"
    below, sets_below = _home([name.removeprefix(above) for name in names if name.startswith(above)])
    return above + below, sets_below


def _tops(names: Collection[str]) -> set[str]:
    return {name.partition("/")[0] for name in names}


def _holds_splits(names: Sequence[str]) -> bool:
    """Tell whether folders of different splits, with folders in them, are among those of some images."""
    through = _through(names)
    return len(set(splits_in_names(_nested([name.removeprefix(through) for name in names])).values())) > 1


def _flat(tops: Collection[str]) -> dict[str, tuple[str, Split]]:
    """Return class and split of folders named after both: ``train_cat``, ``train_dog``, ``test_cat``."""
    found = {top: pair for top in tops if (pair := split_off(top))}
    in_splits = Counter(label for label, _ in found.values())
    usual = any(label.casefold() in _NO_CLASS for label in in_splits)  # train_images beside train_masks
    several = [label for label, count in in_splits.items() if count > 1]
    alone = len(set(found.values())) == len(found) == len(tops)
    return found if alone and not usual and len(several) > 1 else {}


def _copies(nested: Mapping[str, list[str]], tops: Mapping[str, int]) -> frozenset[str]:
    """Return folders of nothing but folders called as classes beside them: ``cells/cat`` beside ``cat``."""
    below = {top: {*(name.partition("/")[0] for name in names)} for top, names in nested.items()}
    below = {top: names for top, names in below.items() if len(nested[top]) == tops[top]}
    return frozenset(top for top, names in below.items() if len(names) > 1 and names <= tops.keys() - {top})


def _no_classes(layout: Layout, inside: Sequence[str]) -> set[str]:
    """Return folders that hold all images of a split where another split has classes: ``val/images``."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    for name in inside if layout.splits else ():
        if label := layout.place(layout.wrapper + name)[0]:
            held[name.partition("/")[0]].add(label)
    alone = {next(iter(labels)) for labels in held.values() if len(labels) == 1}
    classes = set().union(*(labels for labels in held.values() if len(labels) > 1))
    return {one for one in alone - classes if classes and (one.casefold() in _NO_CLASS or one in held)}


def _folds(nested: Collection[str]) -> dict[str, Split]:
    """Return folders that are folds as splits: the first is val, the others are train."""
    numbers = {top: int(match[1]) for top in nested if (match := _FOLD.fullmatch(top))}
    if len(numbers) < 2 or len(numbers) < len(nested):
        return {}
    return {top: "val" if number == min(numbers.values()) else "train" for top, number in numbers.items()}


def _through(names: Collection[str], *, loose: bool = False) -> str:
    """Return the folders through which all images are reached, classes and splits excluded.

    Loose: where some images lie in folders below it, others may lie in such a folder itself.
    """
    through = ""
    while True:
        inside = [name.removeprefix(through) for name in names]
        tops = {name.partition("/")[0] for name in inside}
        deep = [name.count("/") >= 2 for name in inside]
        if len(tops) != 1 or not (any(deep) if loose else all(deep)) or (loose and split_in_name(*tops)):
            return through
        through += f"{tops.pop()}/"


def holds_classes(folder: ImageFolder) -> bool:
    """Tell whether a folder is one of class folders."""
    layout = layout_of(folder)
    # train/ and test/ with loose images are the two halves of something, not two classes.
    names = [name for name in layout.classes if not split_in_name(name) and name.casefold() not in _NO_CLASS]
    names = [name for name in names if not _CAMERA.fullmatch(name)]
    if layout.splits or layout.flat or layout.variants or (names and len(layout.classes) >= 2):
        return True
    return bool(names) and layout.classes.total() == len(folder.images)


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
    if layout.variants:
        names = ", ".join(layout.variants)
        raise DataError(
            f"{source} holds folders with classes of their own that are not named after splits: {names}.",
            hint="Expected one of them as DATA, or names such as train and val.",
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
    dataset = with_listed_splits(dataset, list_places(source, folder), folder, reading)
    unread = said_elsewhere(folder.files)
    if unread and not any(image.split for image in dataset.images):
        reading.note(
            f"not read, though it may say the splits: {few(unread)} (expected lists: train.txt, test.txt)"
        )
    return replace(dataset, notes=tuple(reading.notes))


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
    if not _MASKS.isdisjoint(name.casefold().split("/")):
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
    for label in layout.classes:
        if label != label.strip():
            reading.note(f"the class folder {label!r} is read without the blank at its end")
        if split_in_name(label):
            reading.note(f"the folder {label!r} is a class here, not a split: it holds no class folders")
    deep = [one for one in images if one.name.split("/")[-2].strip() != one.label and not layout.flat]
    if deep and not layout.inner:
        example = f"{deep[0].name} is of {deep[0].label}"
        reading.note(f"{len(deep):,} images in deeper folders belong to the class above: {example}")
