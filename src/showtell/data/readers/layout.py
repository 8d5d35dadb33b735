"""How a folder of class folders is laid out: where its splits and its classes are, and what is none."""

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from showtell.data.names import split_in_name, split_named, split_off, splits_in_names, words
from showtell.data.readers.delimited import shape
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.readers.no_classes import MASKS, NO_CLASS, hold_classes, is_year, words_in
from showtell.data.records import Split

_UNLABELLED = frozenset(words("pred predict prediction unlabelled unlabeled unsup unsupervised submission"))
_ASIDE = _UNLABELLED | {*words("sample samples example examples doc docs assets demo figures screenshots")}
"""What lies beside a data set and holds no class of it."""
_FORMS = frozenset(
    words(
        "raw original originals orig cropped crop crops augmented augmentation aug resized processed "
        "preprocessed synthetic rgb gray grey grayscale color colour real clipart sketch painting photo "
        "cartoon infograph quickdraw"
    )
)
"""Words of folders that hold the same classes in another form each."""
_VIEWS = frozenset(
    words(
        "front back rear left right top bottom side above below inside outside indoor outdoor day night view "
        "앞면 뒷면 정면 후면 측면 왼쪽 오른쪽 위 아래"
    )
)
"""Words of folders that hold views of the class above them."""
_PARTS = frozenset(
    words(
        "near far morning noon evening bright dark spring summer autumn fall winter xs s m l xl xxl small "
        "medium large big red green blue yellow black white jan feb mar apr may jun jul aug sep oct nov dec "
        "january february march april june july august september october november december mon tue wed thu "
        "fri sat sun monday tuesday wednesday thursday friday saturday sunday 봄 여름 가을 겨울 낮 밤"
    )
)
"""Words of folders that part a class by hours, seasons, sizes or colours; above folders they are classes."""
_MARKS: dict[str, Split] = {"TS": "train", "TL": "train", "VS": "val", "VL": "val"}
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
    upper: bool = False  # whether these may be the classes themselves
    marked: bool = False  # whether the classes of each split begin with its mark: TS_apple, VS_apple

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
        label = (self.marked and without_mark(parts[0], split)) or parts[0]
        return label, split_in_name(parts[1]) if self.inner and len(parts) > 2 else split


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
    layout.marked = _are_marked(layout, inside)
    if not layout.splits and len(nested) > 1 and nested.keys() == {name.partition("/")[0] for name in inside}:
        second = [{name.partition("/")[0] for name in below} for below in nested.values()]
        inner = {split_in_name(name) for name in set().union(*second) if name.casefold() not in MASKS}
        each = all(any(map(split_in_name, names)) for names in second)
        layout.inner = None not in inner or (each and len(inner) > 2)  # beside the splits may be an extra/
        files = [{name.rpartition("/")[2] for name in below} for below in nested.values()]
        often = sum(count > 1 for count in Counter(name for names in files for name in names).values())
        same = not layout.inner and not _are_views(nested) and _are_classes_again(nested)
        if same and (same == "named" or 2 * often > max(map(len, files))):
            layout.variants, layout.upper = tuple(sorted(nested)), True
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


def without_mark(name: str, split: Split | None) -> str:
    """Return the name of a class without the mark of its split before it, empty where it has none.

    AI Hub writes ``TS_`` and ``VS_``, others ``train_`` and ``val_``.
    """
    found = re.fullmatch(r"(?:\[[^\]]*\])?([^\W\d_]+)\d*[_-]+(.+)", name)
    of = _MARKS.get(found[1].upper()) or split_named(found[1]) if found else None
    return found[2] if found and of and of == split else ""


def _are_marked(layout: Layout, inside: Sequence[str]) -> bool:
    """Tell whether all classes begin with the mark of their split, and splits share some without it."""
    held: defaultdict[Split, set[str]] = defaultdict(set)
    for name in inside if layout.splits else ():
        label, split = layout.place(layout.wrapper + name)
        if label and split:
            held[split].add(without_mark(label, split))
    again = Counter(label for labels in held.values() for label in labels)
    return len(held) > 1 and "" not in again and any(count > 1 for count in again.values())


def _are_classes_again(nested: Mapping[str, list[str]]) -> str:
    """Tell whether folders hold folders of the same names, but for a word at the end of all; empty if not.

    ``named`` where these differ in more than a number, so that they are hardly parts of a class.
    """
    second = []
    for below in nested.values():
        through = _through(below)
        names = {name.removeprefix(through).partition("/")[0] for name in below}
        end = posixpath.commonprefix([name[::-1] for name in names])[::-1] if len(names) > 1 else ""
        word = re.search(r"[\W_][^\W_]+$", end)
        second.append({name.removesuffix(word[0]) if word else name for name in names})
    kinds = {re.sub(r"\d+", "", name.casefold()) for name in second[0]} - NO_CLASS
    if len({name.casefold() for name in second[0]} - NO_CLASS) < 2 or any(one != second[0] for one in second):
        return ""
    return "named" if len(kinds) > 1 and hold_classes(dict.fromkeys(second[0], ())) else "numbered"


def _are_views(nested: Mapping[str, list[str]]) -> bool:
    """Tell whether folders are classes whose own folders hold views, by the names of these or of all files.

    They are not where they are forms of the same things (``raw``), or numbered (``site1``, ``siteB``).
    """
    kinds = [re.sub(r"(?<=\D)\d+|(?<=[a-z])[A-Z]$|[ _-][A-Za-z]$", "", top) for top in nested]
    if len({kind for kind in kinds if (_FORMS | _VIEWS).isdisjoint(words_in(kind))}) < 2:
        return False
    views = [words_in(name) for below in nested.values() for name in _tops(below)]
    files = [(top, posixpath.basename(name)) for top, below in nested.items() for name in below]
    begin = all(file.casefold().startswith(top.casefold()) for top, file in files)
    return begin or all(view and view <= _VIEWS | _PARTS | _FORMS for view in views)


def are_several(folder: ImageFolder, layout: Layout) -> bool:
    """Tell whether class folders are two or more, and not just numbered ones of one folder (``scans/p0``)."""
    tops = _tops(name for name in folder.images if "/" in name)
    return len(layout.classes) > 1 and (len(tops) > 1 or len({*map(shape, layout.classes)}) > 1)


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


def _tops(names: Iterable[str]) -> set[str]:
    return {name.partition("/")[0] for name in names}


def _holds_splits(names: Sequence[str]) -> bool:
    """Tell whether folders of different splits, with folders in them, are among those of some images."""
    through = _through(names)
    return len(set(splits_in_names(_nested([name.removeprefix(through) for name in names])).values())) > 1


def _flat(tops: Collection[str]) -> dict[str, tuple[str, Split]]:
    """Return class and split of folders named after both: ``train_cat``, ``train_dog``, ``test_cat``."""
    found = {top: pair for top in tops if (pair := split_off(top))}
    in_splits = Counter(label for label, _ in found.values())
    usual = any(label.casefold() in NO_CLASS for label in in_splits)  # train_images beside train_masks
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
    return {one for one in alone - classes if classes and (one.casefold() in NO_CLASS or one in held)}


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


def holds_classes(folder: ImageFolder, layout: Layout) -> bool:
    """Tell whether a folder of that layout is one of class folders."""
    # train/ and test/ with loose images are the two halves of something, not two classes.
    nested = _nested([name.removeprefix(layout.wrapper) for name in folder.images])
    inside = {name: _tops(nested.get(name, [])) for name in layout.classes if not split_in_name(name)}
    above = f"{folder.root.name}/{layout.wrapper}".split("/")[-2]  # in 2024 the folders are 01 and 02
    inside = {f"{above}-{name}": below for name, below in inside.items()} if is_year(above) else inside
    names = hold_classes(inside)
    if layout.splits and NO_CLASS.issuperset(label.casefold() for label in layout.classes):
        return False  # train/images, val/images
    if layout.splits or layout.flat or layout.variants or (names and len(layout.classes) >= 2):
        return True
    return names and layout.classes.total() == len(folder.images)
