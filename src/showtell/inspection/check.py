"""The data report: what is unreadable, contradictory or strange, and what to do about it."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from showtell.console import many
from showtell.data.facts import Facts
from showtell.data.records import SPLITS, Dataset, Picture, Split
from showtell.data.split import classes_without

Level = Literal["wrong", "mind", "note"]

_TINY, _STRIP = 64, 3.0
"""Shorter side in pixels, and longer over shorter side, from which a picture is worth a word."""
_UNBALANCED, _FEW = 10, 10
"""How many times the smallest class the largest may be, and how few pictures make a class small."""
_DRAWN = 12
"""Pictures that a finding names for drawing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is worth knowing about the data.

    Attributes:
        kind: A short constant name, such as ``cut off``.
        level: ``wrong`` costs pictures or makes scores dishonest, ``mind`` may do so, ``note`` is handled.
        count: How many pictures, groups, rows or classes.
        what: A sentence with the count.
        advice: What to do about it.
        places: Each of them in a line.
        groups: Names of the first pictures to draw, those that belong together in one tuple.
    """

    kind: str
    level: Level
    count: int
    what: str
    advice: str
    places: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...] = ()


class _Check(NamedTuple):
    """What is asked of every picture, and what is said of those to which it applies.

    Attributes:
        kind: As in :class:`Finding`, like ``level``, ``what`` (without the count) and ``advice``.
        applies: To which pictures.
        detail: What is added to a picture's name.
    """

    kind: str
    level: Level
    applies: Callable[[Facts], bool]
    what: str
    advice: str
    detail: Callable[[Facts], str]


def check_files(facts: Sequence[Facts]) -> list[Finding]:
    """Find pictures that cannot be decoded, that lie on their side, or whose pixels are unusual."""
    found = [_pictures(check, [f for f in facts if check.applies(f)]) for check in _CHECKS]
    return [finding for finding in found if finding.count]


def check_kind(dataset: Dataset) -> list[Finding]:
    """Find that nothing can be learnt, since all pictures are of one class and none has a caption."""
    if len(dataset.classes) != 1 or any(picture.captions for picture in dataset.pictures):
        return []
    (name,) = dataset.classes
    what = (
        f"All {len(dataset.pictures):,} pictures are of one class, {name!r}: there is nothing to tell apart"
    )
    advice = "Put pictures of something else into a folder beside it, such as what the camera also sees."
    return [Finding("one class", "wrong", 1, what, advice, (name,))]


def check_classes(dataset: Dataset) -> list[Finding]:
    """Find classes that are small, missing in a split, or spelt almost like another."""
    counts = Counter(picture.label for picture in dataset.pictures)
    most = max((counts[name] for name in dataset.classes), default=0)
    small = [name for name in dataset.classes if counts[name] < _FEW or counts[name] * _UNBALANCED <= most]
    alike = _alike(dataset.classes)
    found = [
        Finding(
            "small class",
            "mind",
            len(small),
            f"{many(len(small), 'class is', 'classes are')} small; the largest has {most:,} pictures",
            "Bring more pictures of them, or expect the model to miss them.",
            tuple(f"{name}: {many(counts[name], 'picture', 'pictures')}" for name in small),
        ),
        *(_missing_in(split, dataset) for split in SPLITS if dataset.split(split)),
        Finding(
            "alike class names",
            "mind",
            len(alike),
            f"{many(len(alike), 'class has', 'classes have')} more than one spelling",
            "Give them one name, if they are one class.",
            tuple(" = ".join(names) for names in alike),
        ),
    ]
    return [finding for finding in found if finding.count]


def _missing_in(split: Split, dataset: Dataset) -> Finding:
    absent = classes_without(dataset.pictures, split)
    what = f"{many(len(absent), 'class has', 'classes have')} no picture in {split}"
    cost = "cannot be learnt" if split == "train" else "has no score of its own there"
    advice = f"Move some pictures there: such a class {cost}."
    return Finding("class missing in a split", "mind", len(absent), what, advice, tuple(absent))


def _alike(classes: Sequence[str]) -> list[list[str]]:
    """Return the names that differ in capitals, blanks and signs only."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for name in classes:
        folded = unicodedata.normalize("NFKC", name).casefold()
        spellings["".join(filter(str.isalnum, folded)) or name].append(name)
    return [names for names in spellings.values() if len(names) > 1]


def _pictures(check: _Check, of: Sequence[Facts]) -> Finding:
    """Return a finding about single pictures."""
    places = tuple(": ".join(filter(None, (facts.picture.name, check.detail(facts)))) for facts in of)
    groups = tuple((facts.picture.name,) for facts in of[:_DRAWN] if not facts.reason)
    what = f"{many(len(of), 'picture is', 'pictures are')} {check.what}"
    return Finding(check.kind, check.level, len(of), what, check.advice, places, groups)


def _is_cut_off(facts: Facts) -> bool:
    return "truncated" in facts.reason.lower() or "cut off" in facts.reason


def _size(facts: Facts) -> str:
    return f"{facts.width}x{facts.height}"


def _decomposed(picture: Picture) -> bool:
    own = "/".join(picture.path.parts[-picture.name.count("/") - 1 :])
    return not unicodedata.is_normalized("NFC", own)


def _noted(kind: str, level: Level, what: str, advice: str) -> _Check:
    """Return what is said of the pictures to which something was done while they were read."""

    def details(facts: Facts) -> str:
        return ", ".join(note.detail for note in facts.notes if note.kind == kind)

    return _Check(kind, level, lambda facts: bool(details(facts)), what, advice, details)


_LEFT_OUT = "Every command leaves them out and says so."
_CHECKS = (
    _Check(
        "cut off",
        "wrong",
        _is_cut_off,
        "cut off: the file ends before the picture does",
        f"Copy or download them again. {_LEFT_OUT}",
        lambda f: f.reason,
    ),
    _Check(
        "unreadable",
        "wrong",
        lambda f: bool(f.reason) and not _is_cut_off(f),
        "unreadable",
        f"Mend or remove them. {_LEFT_OUT}",
        lambda f: f.reason,
    ),
    _Check(
        "one plain colour",
        "mind",
        lambda f: not f.reason and not f.signs.any(),
        "of one plain colour",
        "Look at them: exports that failed look like this.",
        _size,
    ),
    _Check(
        "tiny",
        "mind",
        lambda f: not f.reason and min(f.width, f.height) < _TINY,
        f"less than {_TINY} pixels high or wide",
        "Bring larger copies if there are any: networks look at 224 pixels and more.",
        _size,
    ),
    _Check(
        "strip",
        "mind",
        lambda f: not f.reason and not 1 / _STRIP < f.width / f.height < _STRIP,
        f"more than {_STRIP:.0f} times as long as wide",
        "Cut out what matters: the network's input is a square, into which they are squeezed.",
        _size,
    ),
    _Check(
        "rotated",
        "note",
        lambda f: not f.reason and f.orientation > 1,
        "turned by EXIF",
        "Nothing: every command turns them upright. Other programs may show them lying.",
        lambda f: f"orientation {f.orientation}",
    ),
    _Check(
        "nonsense rotation",
        "note",
        lambda f: not f.reason and f.orientation == 0,
        "marked with an EXIF orientation that does not exist",
        "Nothing: they are taken as upright.",
        lambda f: "",
    ),
    _Check(
        "colour mode",
        "note",
        lambda f: not f.reason and f.mode != "RGB",
        "not plain RGB",
        "Nothing: every command makes them RGB, on white where they are transparent.",
        lambda f: f"{f.mode} in {f.format}",
    ),
    _noted(
        "cut off at its end",
        "mind",
        "cut off at the very end, less than a row of blocks short",
        "Nothing: they are read. Copy or download them again where you can.",
    ),
    _noted(
        "bits in use",
        "note",
        "of deep values that use fewer bits than they have",
        "Nothing: each is scaled by the power of two above its largest value. Where brightness matters "
        "between pictures, scale them alike first.",
    ),
    _noted(
        "one of several",
        "note",
        "in files of several, of which one is taken: the first that shows something, or the largest",
        "Nothing, if that is the one meant; else save each as a file of its own.",
    ),
    _noted(
        "camera preview",
        "note",
        "previews that cameras put into their raw files",
        "Nothing; save them as JPEG yourself if the camera's own rendering will not do.",
    ),
    _noted(
        "colour profile",
        "note",
        "of other colours than sRGB by their profile",
        "Nothing: they are brought to sRGB.",
    ),
    _Check(
        "decomposed name",
        "note",
        lambda f: _decomposed(f.picture),
        "in files or folders whose name is in decomposed Unicode (NFD), as macOS writes it",
        "Nothing: they are read as composed (NFC), and a class written in both ways is one class.",
        lambda f: f.picture.label or "",
    ),
)
