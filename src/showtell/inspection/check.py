"""Findings: what is unreadable, contradictory or strange in the data, and what to do about it."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from showtell.console import many
from showtell.data.image_info import ImageInfo
from showtell.data.records import SPLITS, AnnotatedImage, Dataset, Problem, Split
from showtell.data.split import classes_without

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = get_args(Level)

_TINY, _STRIP = 64, 3.0
"""Shorter side in pixels, and longer over shorter side, from which an image is worth a word."""
_UNBALANCED, _FEW = 10, 10
"""How many times the smallest class the largest may be, and how few images make a class small."""
_DRAWN = 12
"""Images that a finding names for drawing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is worth knowing about the data."""

    kind: str  # a short constant name, such as `cut off`
    level: Level  # `error` costs images or makes scores dishonest, `warning` may do so, `info` is handled
    count: int  # how many images, groups, rows or classes
    what: str  # a sentence with the count
    advice: str  # what to do about it
    places: tuple[str, ...]  # each of them in a line
    # names of the first images to draw, those that belong together in one tuple
    groups: tuple[tuple[str, ...], ...] = ()


class _Check(NamedTuple):
    """What is asked of every image, and what is said of those to which it applies."""

    kind: str  # as in :class:`Finding`, like `level`, `what` (without the count) and `advice`
    level: Level
    applies: Callable[[ImageInfo], bool]  # to which images
    what: str
    advice: str
    detail: Callable[[ImageInfo], str]  # what is added to an image's name


def check_files(info: Sequence[ImageInfo]) -> list[Finding]:
    """Find images that cannot be decoded, that lie on their side, or whose pixels are unusual."""
    found = [_images(check, [f for f in info if check.applies(f)]) for check in _CHECKS]
    return [finding for finding in found if finding.count]


def check_kind(dataset: Dataset) -> list[Finding]:
    """Find that nothing can be learnt, since all images are of one class and none has a caption."""
    if len(dataset.classes) != 1 or any(image.captions for image in dataset.images):
        return []
    (name,) = dataset.classes
    what = f"All {len(dataset.images):,} images are of one class, {name!r}: there is nothing to tell apart"
    advice = "Put images of something else into a folder beside it, such as what the camera also sees."
    return [Finding("one class", "error", 1, what, advice, (name,))]


def check_classes(dataset: Dataset) -> list[Finding]:
    """Find classes that are small, missing in a split, or spelt almost like another."""
    counts = Counter(image.label for image in dataset.images)
    largest = max((counts[name] for name in dataset.classes), default=0)
    small = [name for name in dataset.classes if counts[name] < _FEW or counts[name] * _UNBALANCED <= largest]
    alike = _alike(dataset.classes)
    found = [
        Finding(
            "small class",
            "warning",
            len(small),
            f"{many(len(small), 'class is', 'classes are')} small; the largest has {largest:,} images",
            "Bring more images of them, or expect the model to miss them.",
            tuple(f"{name}: {many(counts[name], 'image', 'images')}" for name in small),
        ),
        *(_missing_in(split, dataset) for split in SPLITS if dataset.split(split)),
        Finding(
            "alike class names",
            "warning",
            len(alike),
            f"{many(len(alike), 'class has', 'classes have')} more than one spelling",
            "Give them one name, if they are one class.",
            tuple(" = ".join(names) for names in alike),
        ),
    ]
    return [finding for finding in found if finding.count]


def _missing_in(split: Split, dataset: Dataset) -> Finding:
    absent = classes_without(dataset.images, split)
    what = f"{many(len(absent), 'class has', 'classes have')} no image in {split}"
    cost = "cannot be learnt" if split == "train" else "has no score of its own there"
    advice = f"Move some images there: such a class {cost}."
    return Finding("class missing in a split", "warning", len(absent), what, advice, tuple(absent))


def _alike(classes: Sequence[str]) -> list[list[str]]:
    """Return the names that differ in capitals, blanks and punctuation only."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        folded = unicodedata.normalize("NFKC", name).casefold()
        spellings["".join(filter(str.isalnum, folded)) or name].append(name)
    return [names for names in spellings.values() if len(names) > 1]


def _images(check: _Check, of: Sequence[ImageInfo]) -> Finding:
    """Return a finding about single images."""
    places = tuple(": ".join(filter(None, (info.image.name, check.detail(info)))) for info in of)
    groups = tuple((info.image.name,) for info in of[:_DRAWN] if not info.reason)
    what = f"{many(len(of), 'image is', 'images are')} {check.what}"
    return Finding(check.kind, check.level, len(of), what, check.advice, places, groups)


def _is_cut_off(info: ImageInfo) -> bool:
    return "truncated" in info.reason.lower() or "cut off" in info.reason


def _size(info: ImageInfo) -> str:
    return f"{info.width}x{info.height}"


def _decomposed(image: AnnotatedImage) -> bool:
    own = "/".join(image.path.parts[-image.name.count("/") - 1 :])
    return not unicodedata.is_normalized("NFC", own)


def _noted(kind: str, level: Level, what: str, advice: str) -> _Check:
    """Return what is said of the images to which something was done while they were read."""

    def details(info: ImageInfo) -> str:
        return ", ".join(note.detail for note in info.notes if note.kind == kind)

    return _Check(kind, level, lambda info: bool(details(info)), what, advice, details)


_LEFT_OUT = "Every command leaves them out and says so."
_CHECKS = (
    _Check(
        "cut off",
        "error",
        _is_cut_off,
        "cut off: the file ends before the image does",
        f"Copy or download them again. {_LEFT_OUT}",
        lambda f: f.reason,
    ),
    _Check(
        "unreadable",
        "error",
        lambda f: bool(f.reason) and not _is_cut_off(f),
        "unreadable",
        f"Mend or remove them. {_LEFT_OUT}",
        lambda f: f.reason,
    ),
    _Check(
        "one plain colour",
        "warning",
        lambda f: not f.reason and not f.phash.any(),
        "of one plain colour",
        "Look at them: exports that failed look like this.",
        _size,
    ),
    _Check(
        "tiny",
        "warning",
        lambda f: not f.reason and min(f.width, f.height) < _TINY,
        f"less than {_TINY} pixels high or wide",
        "Bring larger copies if there are any: networks see 224 pixels and more.",
        _size,
    ),
    _Check(
        "strip",
        "warning",
        lambda f: not f.reason and not 1 / _STRIP < f.width / f.height < _STRIP,
        f"more than {_STRIP:.0f} times as long as wide",
        "Cut out what matters: the network's input is a square, into which they are squeezed.",
        _size,
    ),
    _Check(
        "rotated",
        "info",
        lambda f: not f.reason and f.orientation > 1,
        "turned by EXIF",
        "Nothing: every command turns them upright. Other programs may show them lying.",
        lambda f: f"orientation {f.orientation}",
    ),
    _Check(
        "nonsense rotation",
        "info",
        lambda f: not f.reason and f.orientation == 0,
        "marked with an EXIF orientation that does not exist",
        "Nothing: they are taken as upright.",
        lambda f: "",
    ),
    _Check(
        "colour mode",
        "info",
        lambda f: not f.reason and f.mode != "RGB",
        "not plain RGB",
        "Nothing: every command makes them RGB, on white where they are transparent.",
        lambda f: f"{f.mode} in {f.format}",
    ),
    _noted(
        "cut off at its end",
        "warning",
        "cut off at the very end, less than a row of blocks short",
        "Nothing: they are read. Copy or download them again where you can.",
    ),
    _noted(
        "bits in use",
        "info",
        "of deep values that use fewer bits than they have",
        "Nothing: each is scaled by the power of two above its largest value. Where brightness matters "
        "between images, scale them alike first.",
    ),
    _noted(
        "one of several",
        "info",
        "in files of several, of which one is taken: the first that shows something, or the largest",
        "Nothing, if that is the one meant; else save each as a file of its own.",
    ),
    _noted(
        "camera preview",
        "info",
        "previews that cameras put into their raw files",
        "Nothing; save them as JPEG yourself if the camera's own rendering will not do.",
    ),
    _noted(
        "transparent all over",
        "info",
        "transparent in every pixel, as where a program has left that channel empty",
        "Nothing: they are shown as if they were not transparent.",
    ),
    _noted(
        "colour profile",
        "info",
        "of other colours than sRGB by their profile",
        "Nothing: they are brought to sRGB.",
    ),
    _Check(
        "decomposed name",
        "info",
        lambda f: _decomposed(f.image),
        "in files or folders whose name is in decomposed Unicode (NFD), as macOS writes it",
        "Nothing: they are read as composed (NFC), and a class written in both ways is one class.",
        lambda f: f.image.label or "",
    ),
)


_READER_ADVICE: dict[str, tuple[Level, str]] = {
    "missing image": ("error", "Put the images where the table says, or name their folder by --images."),
    "two labels": ("error", "Keep the right row. Until then the image is left out."),
    "two splits": (
        "error",
        "Keep one row; until then the image counts for the earlier of train, val, test.",
    ),
    "outside the image folder": (
        "error",
        "Copy the files into the folder; links out of it are not followed.",
    ),
    "ambiguous name": ("error", "Write the names with their folders, so that each is one file."),
    "table left out": ("warning", "Nothing, if it is a list without answers, as competitions have them."),
    "missing caption": ("warning", "Write the captions, or remove the rows."),
    "missing label": ("warning", "Write the labels, or remove the rows."),
    "address": ("error", "Download them first: addresses are never fetched."),
    "dangling link": ("warning", "Mend or remove the link."),
    "link inside": (
        "warning",
        "Nothing, if the class or split of the folder that it leads to is the right one.",
    ),
    "link as text": (
        "error",
        "Copy what it leads to: links were lost when the data was packed or checked out.",
    ),
    "system folder": ("info", "Nothing: it is left out."),
    "made by showtell": ("info", "Nothing: it is left out."),
    "not a file": ("warning", "Remove it: it is not an image."),
    "unlabelled image": ("info", "Nothing: they can be predicted, but not learnt from."),
    "image outside a split folder": ("info", "Nothing, if they are unlabelled: they can be predicted."),
    "two files of one name": ("warning", "Remove one of the two files: their names look the same."),
    "name differs in case": ("info", "Nothing here; where capitals count, the names should be equal."),
    "repeated row": ("info", "Nothing: it counts once."),
    "hidden file": ("info", "Nothing: they are left out."),
    "not an image": ("info", "Nothing: they are left out."),
    "empty class folder": ("warning", "Put images in, or remove the folder."),
    "image without captions": ("warning", "Write captions for them, or remove them."),
    "image without label": ("warning", "Add them to the table, or remove them."),
    "unclosed quote": ("warning", "Close the quotation mark: the rest of the row was read as one text."),
}


def check_reading(problems: Iterable[Problem]) -> list[Finding]:
    """Turn what the reader reported into findings, one a kind."""
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    otherwise: tuple[Level, str] = ("warning", "Mend the places named; until then they are left out.")
    found = []
    for kind, same in kinds.items():
        level, advice = _READER_ADVICE.get(kind, otherwise)
        places = tuple(f"{problem.where}: {problem.detail}" for problem in same)
        found.append(Finding(kind, level, len(same), f"{len(same):,} x {kind}", advice, places))
    return found
