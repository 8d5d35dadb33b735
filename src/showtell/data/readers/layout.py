"""How a folder of class folders is laid out: where its splits and its classes are, and what is none."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from showtell.data.names import split_in_name, split_off, splits_in_names, words
from showtell.data.readers.delimited import shape
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.records import Split

_UNLABELLED = frozenset(words("pred predict prediction unlabelled unlabeled unsup unsupervised submission"))
_ASIDE = _UNLABELLED | {*words("sample samples example examples doc docs assets demo figures screenshots")}
"""What lies beside a data set and holds no class of it."""
MASKS = frozenset(words("masks mask segmentation segmentations annotations trimaps ground_truth gt"))
_NO_CLASS = MASKS | {*words("images image imgs img pictures photos jpg jpeg png jpegimages data dcim 사진")}
_CAMERA = re.compile(r"\d{3}[A-Z_]{3,}\d*")
_DATE = re.compile(r"(?:19|20)\d\d(?:([-_.])(?:0\d|1[0-2])(?:\1[0-3]\d)?|(?:0\d|1[0-2])[0-3]\d)")
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
        if len(parts) < 2 or not MASKS.isdisjoint(part.casefold() for part in parts[1:-1]):
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
        inner = {split_in_name(name) for name in set().union(*second) if name.casefold() not in MASKS}
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
    names = [name for name in layout.classes if not split_in_name(name) and not _is_of_no_class(name)]
    if names == list(layout.classes) and len(names) > 1 and len({*map(shape, names)}) == 1:
        names = [name for name in names if _NO_CLASS.isdisjoint(_words(name))]  # Photos from 2019, ... 2020
    if layout.splits and _NO_CLASS.issuperset(label.casefold() for label in layout.classes):
        return False  # train/images, val/images
    if layout.splits or layout.flat or layout.variants or (names and len(layout.classes) >= 2):
        return True
    return bool(names) and layout.classes.total() == len(folder.images)


def _words(name: str) -> set[str]:
    return {*re.findall(r"[^\W\d_]+", name.casefold())}


def _is_of_no_class(name: str) -> bool:
    """Tell folders of images as such (``images_001``, ``data_256``), of a camera, and of a day or a month."""
    words = _words(name)
    return bool(_CAMERA.fullmatch(name) or _DATE.fullmatch(name) or (words and words <= _NO_CLASS))
