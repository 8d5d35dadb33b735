"""A folder of pictures, listed once, in which the names of a table are found."""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from showtell.data.readers.names import PICTURE_FOLDERS, is_picture_name, nfc
from showtell.data.records import Problem
from showtell.errors import DataError

_DRIVE = re.compile(r"[A-Za-z]:/")


@dataclass(frozen=True, slots=True)
class Match:
    """A file that a table's name stands for; ``note`` says what had to be bridged, if anything."""

    name: str
    path: Path
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a table's name stands for no usable file: the problem's kind and its detail."""

    kind: str
    detail: str


class PictureFolder:
    """Every file below a folder, by its NFC name with forward slashes.

    Names are matched exactly; else without regard to case, or without an extension, where just one
    picture fits. A link or a path that leads out of the folder is refused: a table from somebody else
    must not pull private files into features, reports and demos.

    Args:
        root: The folder. It is listed once, recursively; hidden files and folders are left out.

    Raises:
        DataError: There is no such folder.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(
                f"The picture folder {root} is not a folder.",
                would_do="The folder that holds the pictures would do: --images DIR.",
            )
        self.root = root
        self.files: dict[str, str] = {}
        self.folders: set[str] = set()
        self.hidden: list[str] = []
        self.problems: list[Problem] = []
        self._outside: set[str] = set()
        self._real_root = os.path.realpath(root)
        self._found: dict[tuple[str, str], Match | Refusal] = {}
        self._list()

    def _list(self) -> None:
        pending = [(str(self.root), "")]
        while pending:
            folder, prefix = pending.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = prefix + nfc(entry.name)
                    if entry.name.startswith("."):
                        self.hidden.append(name)
                    elif entry.is_symlink() and not self._keeps_inside(entry.path, name):
                        continue
                    elif entry.is_dir(follow_symlinks=False):
                        self.folders.add(name)
                        pending.append((entry.path, name + "/"))
                    else:
                        self._add_file(name, entry.path)

    def _add_file(self, name: str, path: str) -> None:
        first = self.files.setdefault(name, path)
        if first != path:
            # Which of the two comes first depends on the file system: choose by bytes.
            kept, left = sorted((first, path), key=os.fsencode)
            self.files[name] = kept
            detail = f"{left!r} and {kept!r} differ in Unicode form only; the second is used"
            self.problems.append(Problem("two files of one name", name, detail))

    def _keeps_inside(self, path: str, name: str) -> bool:
        target = os.path.realpath(path)
        if not self._is_inside(target):
            self._outside.add(name)
            detail = f"is a link out of {self.root}, to {target}; not followed"
            self.problems.append(Problem("outside the picture folder", name, detail))
            return False
        # A linked folder inside the root is listed under its own name; following it could go round.
        return Path(target).is_file()

    def _is_inside(self, real_path: str) -> bool:
        return real_path == self._real_root or real_path.startswith(self._real_root.rstrip("/") + "/")

    @cached_property
    def pictures(self) -> list[str]:
        """The names that have a picture's extension, sorted."""
        return sorted(name for name in self.files if is_picture_name(name))

    @cached_property
    def _by_folded(self) -> dict[str, list[str]]:
        return _group((name.casefold(), name) for name in self.pictures)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _group((name.rpartition(".")[0], name) for name in self.pictures)

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        return _group((posixpath.basename(name), name) for name in self.pictures)

    def find(self, name: str, *, under: str = "") -> Match | Refusal:
        """Return the file that a table's name stands for.

        Args:
            name: As the table writes it: relative, or absolute but inside the folder; either slash.
            under: A folder inside the root that the name is relative to, and may not leave.

        Returns:
            A match, or a refusal whose kind is ``missing picture``, ``outside the picture folder``,
            ``ambiguous name`` or ``empty picture name``.
        """
        key = (name, under)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._find(nfc(name.strip()), under)
        return found

    def _find(self, name: str, under: str) -> Match | Refusal:
        if not name:
            return Refusal("empty picture name", "the row names no picture; left out")
        exact = posixpath.join(under, name)
        if exact in self.files:
            return self._match(exact)
        relative = self._relative(name.replace("\\", "/"))
        if relative is None:
            return Refusal("outside the picture folder", f"{name!r} leads out of {self.root}; left out")
        for candidate in self._spellings(posixpath.join(under, relative)):
            if candidate in self.files:
                return self._match(candidate)
            if any(candidate == link or candidate.startswith(link + "/") for link in self._outside):
                return Refusal(
                    "outside the picture folder", f"{name!r} is a link out of {self.root}; left out"
                )
            alike = self._by_folded.get(candidate.casefold()) or self._by_stem.get(candidate, [])
            if len(alike) > 1:
                return Refusal("ambiguous name", f"{name!r} may be {' or '.join(alike[:3])}; left out")
            if alike:
                same_stem = alike[0].startswith(candidate + ".")
                note = (
                    "" if same_stem else f"{name!r} differs in case from the file {alike[0]!r}, which is used"
                )
                return self._match(alike[0], note)
        return Refusal("missing picture", f"{name!r} is not in {self.root}; left out")

    def _relative(self, name: str) -> str | None:
        """Return the normal form of a name relative to the root; None where it leads out."""
        if _DRIVE.match(name):
            return None
        if name.startswith("/"):
            real = os.path.realpath(name)
            return nfc(os.path.relpath(real, self._real_root)) if self._is_inside(real) else None
        normal = posixpath.normpath(name)
        return None if normal == ".." or normal.startswith("../") else normal

    def _spellings(self, name: str) -> Iterable[str]:
        """Yield the name, and the name without the root's own folder: ``Images/a.jpg`` in Images/."""
        yield name
        head, _, rest = name.partition("/")
        if rest and head == nfc(Path(self._real_root).name):
            yield rest

    def _match(self, name: str, note: str = "") -> Match:
        return Match(name, Path(self.files[name]), note)

    def elsewhere(self, name: str) -> str | None:
        """Return where below the root a picture of that base name lies, for a hint; None if nowhere."""
        found = self._by_base.get(posixpath.basename(nfc(name.strip()).replace("\\", "/")))
        return found[0] if found else None


def choose_picture_folder(
    images: Path | None, beside: Path, sample: Sequence[str], *, first: Sequence[Path] = ()
) -> PictureFolder:
    """List the folder in which a table's pictures lie.

    Args:
        images: The folder that the user named; it is taken as it is. None to look for it.
        beside: The folder of the table.
        sample: Some names from the table; the first folder that holds half of them is taken, else
            the one that holds most, else the first that holds any picture.
        first: Folders to try before the usual names.

    Returns:
        The listed folder.

    Raises:
        DataError: ``images`` is not a folder.
    """
    if images is not None:
        return PictureFolder(images)
    usual = [beside / name for name in PICTURE_FOLDERS]
    usual += [folder / folder.name for folder in usual]
    # Names with folders in them (train/a.jpg) are most likely relative to the table.
    order = [beside, *usual] if any("/" in name for name in sample) else [*usual, beside]
    tried: list[tuple[int, PictureFolder]] = []
    for path in dict.fromkeys([*first, *order]):
        if path != beside and not path.is_dir():
            continue
        folder = PictureFolder(path)
        hits = sum(isinstance(folder.find(name), Match) for name in sample)
        if hits * 2 >= max(1, len(sample)):
            return folder
        tried.append((hits, folder))
    best = max(tried, key=lambda pair: (pair[0], bool(pair[1].pictures)))
    return best[1]


def _group(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for key, name in pairs:
        groups[key].append(name)
    return dict(groups)
