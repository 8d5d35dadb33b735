"""Folders of images that are named after splits: a row whose split is known means the image in its own."""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from showtell.data.names import split_in_name, splits_in_names
from showtell.data.readers.image_folder import EXACT, ImageFolder, Match, Refusal
from showtell.data.readers.reading import Reading
from showtell.data.records import Split

_MOST = 50
_FEW = 10
"""Of so many rows one may mean another image than the rest of their split."""


class Found(NamedTuple):
    """What the name in a row stands for; and whether that is an image in the folder of another split."""

    what: Match | Refusal
    foreign: bool = False


class SplitFolders:
    """Finds the images of rows whose split is known, in a folder that holds folders named after splits.

    ``7.jpg`` of val is ``val/7.jpg``, whatever ``train/7.jpg`` is. Where val has no folder of its own, or
    the file is not in it, the file in the folder of another split is found as a foreign one: whether it is
    meant shows when all rows are known, since a name that that split has as well is of another image. Where
    files of train and test share names, a val without a folder was cut from train.

    Args:
        folder: The image folder.
        chosen: Whether it was chosen for its images, so that its own name may be that of their split.
    """

    def __init__(self, folder: ImageFolder, *, chosen: bool) -> None:
        self.folder, self._chosen = folder, chosen
        self.used: set[Split] = set()  # in whose folders images were found

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The split of each folder that is named after one, those inside of others left out."""
        below: defaultdict[str, set[str]] = defaultdict(set)
        for path in {posixpath.dirname(name) for name in self.folder.images}:
            while path:
                above, _, own = path.rpartition("/")
                below[above].add(own)
                path = above
        found: dict[str, Split] = {}
        for above in sorted(below, key=len):
            splits = splits_in_names(below[above])
            inside = any(f"{above}/".startswith(f"{path}/") for path in found)
            if not inside and (len(set(splits.values())) > 1 or len(splits) == len(below[above])):
                found |= {posixpath.join(above, name): split for name, split in splits.items()}
            if len(found) > _MOST:  # one inside of each class: to look into all for each row takes too long
                return {}
        own_split = split_in_name(self.folder.root.name) if self._chosen and not found else None
        if own_split:
            found[""] = own_split
        return found

    @cached_property
    def _share_names(self) -> bool:
        """Whether files of different splits have the same names."""
        seen: dict[str, Split] = {}
        for path, split in self.splits.items():
            inner = self._inner[path]
            below = [name[len(inner) + 1 :] for name in self.folder.images if name.startswith(f"{inner}/")]
            if any(seen.setdefault(name, split) != split for name in below):
                return True
        return False

    @cached_property
    def _inner(self) -> dict[str, str]:
        """The folder in that of each split that holds all its images: ``train/images``."""
        holding = {posixpath.dirname(name) for name in self.folder.images}
        below = {path: [one for one in holding if f"{one}/".startswith(f"{path}/")] for path in self.splits}
        return {path: posixpath.commonpath(inside) if path else "" for path, inside in below.items()}

    def find(self, name: str, split: Split, *, under: str = "") -> Found:
        """Find the image that a name means in a row of a split, below a folder if one is given."""
        plain = self.folder.find(name, under=under)
        if under in self.splits and not isinstance(plain, Match):
            inside = self._among(name, [under])
            return Found(inside[0] if len(inside) == 1 else plain)
        splits = {path: of for path, of in self.splits.items() if not under or path.startswith(f"{under}/")}
        named = {part for part in name.replace("\\", "/").split("/")[:-1] if part} if splits else set()
        if not splits or any(posixpath.basename(path) in named for path in splits):
            return Found(plain)  # a folder that the row itself names is the one
        if isinstance(plain, Match) and plain.how == EXACT and not self._holds(plain.name):
            return Found(plain)
        own = self._among(name, [path for path, of in splits.items() if of == split])
        if own:
            self.used.add(split)
            return Found(own[0] if len(own) == 1 else _several(name, own))
        others = self._among(name, [path for path, of in splits.items() if of != split])
        if not others:
            return Found(plain)
        there = {*splits.values()}
        if split == "val" and "val" not in there and "train" in there and self._share_names:
            cut = self._among(name, [path for path, of in splits.items() if of == "train"])
            if not cut:
                detail = f"{name!r} is of val, and not in the folder of train; {others[0].name!r} is of test"
                return Found(Refusal("missing image", f"{detail}; left out"))
            others = cut
        if split in there and (len(others) > 1 or self._share_names):
            detail = f"{name!r} is of {split}, and not in its folder; {others[0].name!r} is another image"
            return Found(Refusal("missing image", f"{detail}; left out"))
        return Found(others[0], foreign=True) if len(others) == 1 else Found(_several(name, others))

    def split_of(self, file: str) -> Split | None:
        """Return the split after which the folder of a file is named."""
        return next((split for path, split in self.splits.items() if file.startswith(f"{path}/")), None) or (
            self.splits.get("")
        )

    def _holds(self, file: str) -> bool:
        return self.split_of(file) is not None

    def _among(self, name: str, paths: Iterable[str]) -> list[Match]:
        """Return the files that a name means below some folders, those of just that name if there are any."""
        places = [place for path in paths for place in dict.fromkeys((path, self._inner[path]))]
        found = {
            one.name: one for place in places if isinstance(one := self.folder.find(name, under=place), Match)
        }
        return [one for one in found.values() if one.how == EXACT] or [*found.values()]


def mean_others(rows: Sequence[tuple[Split | None, str]], own: Mapping[str, Split | None]) -> Iterator[bool]:
    """Tell of rows whose files lie in the folder of another split, whether they mean other images.

    They do where rows of two splits name the file; and all rows of a split do where many of them do so.

    Args:
        rows: Split and file of each.
        own: The split of each file by all other rows, None where they say none.
    """
    claims: defaultdict[str, set[Split | None]] = defaultdict(set)
    for split, file in rows:
        claims[file] |= {split, own[file] or split}
    counts = Counter(split for split, _ in rows)
    others = Counter(split for split, file in rows if len(claims[file]) > 1)
    return (len(claims[file]) > 1 or _FEW * others[split] > counts[split] for split, file in rows)


def _several(name: str, found: list[Match]) -> Refusal:
    files = " or ".join(sorted(one.name for one in found)[:3])
    return Refusal("ambiguous name", f"{name!r} may be {files}; left out")


def with_other_splits(
    reading: Reading, folder: ImageFolder, beside: Path, splits: Iterable[Split | None]
) -> ImageFolder:
    """Return the folder above one named after a split, where that of another of some splits lies beside it.

    The names in a table fit the files in ``train`` well; those of its rows that are of val are in ``val``.
    ``beside`` is the folder of the table, above which nothing is looked for where it holds the images.
    """
    root = folder.root
    if reading.source.images is not None or root in (beside, *beside.parents) or not split_in_name(root.name):
        return folder
    named = splits_in_names(path.name for path in root.parent.iterdir() if path.is_dir())
    filled = [name for name in named if name != root.name and reading.folder(root.parent / name).images]
    others = {named[name] for name in filled} - {named.get(root.name)}
    return reading.folder(root.parent) if others and any(one in others for one in splits) else folder
