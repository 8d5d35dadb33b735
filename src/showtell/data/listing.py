"""A folder of images, listed once: what is an image in it, and what is left out for which reason."""

import os
import re
from functools import cached_property
from pathlib import Path

from showtell.addresses import Address, ObjectEntry, scandir
from showtell.data.names import OTHER_EXTENSIONS, PICTURE_EXTENSIONS, shown_name
from showtell.data.pixels.files import is_system_folder
from showtell.data.records import Problem
from showtell.errors import DataError

_OWN = (
    {"config.json", "images.jsonl"},  # a run
    {"config.json", "model.safetensors"},  # a model
    {"model.json", "run.py"},  # an export
    {"quickstart.json"},
    {"comparison.json"},
    {"data.mdb", "space.json"},  # of the feature store
)
_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM.{4}\0\0\0\0|II\*\0|MM\0\*|RIFF.{4}WEBP|P[1-6]\s|"
    rb".{4}ftyp(avif|avis|heic|heix|mif1|msf1)",
    re.DOTALL,
)
_LINK_TEXT = re.compile(rb"[^\0\r\n]{1,255}\n?")
_HEAD = 512
DRAWN = b"Software\0showtell"
"""Stands at the head of each PNG that showtell draws."""
COMMENT = b"drawn by showtell"
"""Stands at the head of each JPEG that showtell draws."""


class Listing:
    """Every file below a folder, by its NFC name with forward slashes.

    Left out, each with a problem that names it: hidden files, folders that systems leave behind
    (``@eaDir``, ``__MACOSX``), runs and drawings of showtell itself, pipes and devices, dangling links, and
    links out of the folder: a table from somebody else must not pull private files into features, reports
    and demos. Of links inside the folder those to files are
    followed; those to folders are not, whose files are listed where they lie.

    Args:
        root: The folder. It is listed at once, recursively.

    Attributes:
        root: The folder.
        real_root: The same with all links resolved.
        files: The path of every file, by name; no hidden ones.
        folders: Names of the folders below, in no order.
        hidden: Names of hidden files and folders.
        outside: Names of links that lead out.
        problems: What was left out or mended.

    Raises:
        DataError: There is no such folder, or it may not be read.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(
                f"The image folder {root} is not a folder.",
                hint="Expected the folder that holds the images: --images DIR.",
            )
        self.root = root
        self.files: dict[str, str | Address] = {}
        self.folders: set[str] = set()
        self.hidden: list[str] = []
        self.outside: set[str] = set()
        self.problems: list[Problem] = []
        self.real_root = str(root) if isinstance(root, Address) else os.path.realpath(root)
        self._list()

    def _list(self) -> None:
        root = self.root if isinstance(self.root, Address) else str(self.root)
        pending: list[tuple[str | Address, str]] = [(root, "")]
        while pending:
            folder, prefix = pending.pop()
            try:
                with scandir(folder) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError as error:
                if not prefix:
                    raise DataError(f"{self.root} cannot be read: {error.strerror}.") from error
                self._leave_out("unreadable folder", prefix[:-1], f"{error.strerror}; left out")
                continue
            if prefix and _is_own({entry.name for entry in entries}):
                self.folders.discard(prefix[:-1])
                self._leave_out("made by showtell", prefix[:-1], "is a run or a store of showtell; left out")
                continue
            for entry in entries:
                self._enter(entry, prefix + shown_name(entry.name), pending)

    def path_of(self, name: str) -> Path:
        """Return where a file lies."""
        path = self.files[name]
        return path if isinstance(path, Address) else Path(path)

    def _enter(
        self, entry: "os.DirEntry[str] | ObjectEntry", name: str, pending: list[tuple[str | Address, str]]
    ) -> None:
        linked = entry.is_symlink()
        if entry.name.startswith("."):
            self.hidden.append(name)
        elif linked and not self._may_follow(entry.path, name):
            return
        elif entry.is_dir():
            if is_system_folder(entry.name):
                self._leave_out("system folder", name, "left by a system beside the images; left out")
                return
            self.folders.add(name)
            pending.append((entry.path, name + "/"))
        elif entry.is_file():
            self._add_file(name, entry.path)
        else:
            self._leave_out("not a file", name, "is a pipe, a socket or a device; left out")

    def _leave_out(self, kind: str, name: str, detail: str) -> None:
        self.problems.append(Problem(kind, name, detail))

    def _add_file(self, name: str, path: str | Address) -> None:
        first = self.files.setdefault(name, path)
        if first != path:
            # Which of the two comes first depends on the file system: choose by bytes.
            kept, left = sorted((first, path), key=os.fsencode)
            self.files[name] = kept
            detail = f"{left!r} and {kept!r} differ in Unicode form only; the second is used"
            self._leave_out("two files of one name", name, detail)

    def _may_follow(self, path: str, name: str) -> bool:
        target = os.path.realpath(path)
        if not Path(target).exists():
            self._leave_out(
                "dangling link", name, f"leads to {shown_name(target)}, which is not there; left out"
            )
        elif not self.is_inside(target):
            self.outside.add(name)
            detail = (
                f"is a link out of {self.root}, to {shown_name(target)}; not followed (copy the files in, or "
                "name the folder that holds both)"
            )
            self._leave_out("outside the image folder", name, detail)
        elif Path(target).is_dir():
            # Its files are listed where they are; a second time they would stand on both sides of a split.
            inside = os.path.relpath(target, self.real_root)
            detail = f"is a link to {shown_name(inside)}, where its images are read; not followed"
            self._leave_out("link inside", name, detail)
        else:
            return True
        return False

    def adopt(self, folder: Path, prefix: str) -> None:
        """List another folder, whose files are called as if they lay below one of the name ``prefix``."""
        known, files = self.images, {f"{prefix}/{file.name}": str(file) for file in folder.iterdir()}
        for name in [name for name, value in vars(type(self)).items() if isinstance(value, cached_property)]:
            self.__dict__.pop(name, None)
        self.files |= files
        self.images = sorted([*known, *filter(self._is_image, files)])

    def is_inside(self, real_path: str) -> bool:
        """Tell whether a real path lies in the folder."""
        return _holds(self.real_root, real_path)

    @cached_property
    def images(self) -> list[str]:
        """The names of files that are images, sorted.

        They have an image's extension; or one that says nothing (none, ``.jpg_large``, ``.1``) and begin as
        an image does. Drawings of showtell are left out, with a problem each.
        """
        return sorted(filter(self._is_image, self.files))

    def _is_image(self, name: str) -> bool:
        suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a path object for each takes as long
        path = self.files[name]
        # A request an image would be too many, and drawings are made on disks.
        if suffix == ".png" and not isinstance(path, Address) and DRAWN in _head(path):
            self._leave_out("made by showtell", name, "is a drawing of showtell; left out")
            return False
        return suffix in PICTURE_EXTENSIONS or (
            suffix not in OTHER_EXTENSIONS and self._begins_as_image(name, path)
        )

    def _begins_as_image(self, name: str, path: str | Address) -> bool:
        head = _head(path)
        if _LINK_TEXT.fullmatch(head):  # git writes a link so where links are not supported
            try:
                target = Path(path).parent / head.decode().strip()
                if "/" not in head.decode() and not target.is_dir():
                    return False
                if target.exists():
                    detail = f"is a link to {head.decode().strip()} that was copied as text; left out"
                    self._leave_out("link as text", name, detail)
            except (UnicodeDecodeError, OSError):
                return False
        return _MAGIC.match(head) is not None


def is_drawing(path: Path) -> bool:
    """Tell whether a file is a PNG or a JPEG that showtell drew."""
    suffix = path.suffix.lower()
    mark = DRAWN if suffix == ".png" else COMMENT if suffix in (".jpg", ".jpeg") else None
    return mark is not None and mark in _head(path)


def _head(path: str | Path) -> bytes:
    try:
        if isinstance(path, Address):
            return path.read_head(_HEAD)
        with open(path, "rb") as file:  # noqa: PTH123 - opened for each file of a folder
            return file.read(_HEAD)
    except OSError:
        return b""


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_own(names: set[str]) -> bool:
    """Tell whether a folder is a run, a model, an export or a store of showtell, by what lies in it."""
    return any(own <= names for own in _OWN)
