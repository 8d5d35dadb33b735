"""Where the images of a table lie: its names found in a listed folder, however they are written."""

import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from showtell.addresses import Address
from showtell.data.listing import Listing
from showtell.data.names import is_image_name, nfc, words

_ELSEWHERE = re.compile(r"[A-Za-z]:/|/|[a-z][a-z0-9+]*://", re.IGNORECASE)
_TOKEN_NUMBER = re.compile(r"(?<=\.\w{3})#\d+$|(?<=\.\w{4})#\d+$")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_ESCAPED = re.compile(r"#U([0-9a-f]{4})", re.IGNORECASE)
_FLOAT = re.compile(r"(\d+)\.0+")
_COCO = re.compile(r"COCO_\w+?\d{4}_(?=\d+$)")

_BESIDE_ADDRESS = (
    re.compile(r"!?\[([^][]+\.\w{2,5})\]\([^()\s]+://[^()\s]+\)"),
    re.compile(r"!\[[^][]*\]\(([^()\s]+)\)"),
    re.compile(r'="([^"]+)"'),
    re.compile(r"((?:(?!://).)+?)\s?\(https?://[^\s()]+\)"),
)
_DEVELOPED = words(".cr2 .cr3 .nef .arw .dng .raf .orf .rw2 .pef .srw .psd")
"""What the files end in from which cameras' photos are made: a catalogue names those."""
_LONGEST = 4096
"""Characters of a path."""

TAIL = "the last parts of their names"
NAMESAKE = "their base names alone"
"""How a name is bridged whose folder is not the file's; see :meth:`ImageFolder.allow_namesakes`."""
EXACT = ""
"""How a name is matched that the table writes as the file is called, but for capitals or an extension."""


class Match(NamedTuple):
    """A file that a table's name stands for."""

    name: str  # of the file, below the folder
    path: Path  # of the file
    how: str = EXACT  # what had to be bridged, in words; `EXACT` where nothing had
    note: str = ""  # what is worth a line of its own, if anything


class Refusal(NamedTuple):
    """Why a table's name stands for no usable file: the problem's kind and its detail."""

    kind: str
    detail: str
    how: str = "not found"


def _index(key: Callable[[str], Any]) -> "cached_property[dict[Any, list[str]]]":
    """Return the images of a folder by a form of their names, made when it is first asked for."""

    def group(folder: Listing) -> dict[Any, list[str]]:
        groups: defaultdict[Any, list[str]] = defaultdict(list)
        for name in folder.images:
            groups[key(name)].append(name)
        return dict(groups)

    return cached_property(group)


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    return base.rpartition(".")[0] or base


def _number(name: str) -> int | None:
    """Return the number that a name is, but for zeros and COCO's words before it."""
    stem = _stem(name)
    digits = (stem if stem.isdecimal() else _COCO.sub("", stem)).lstrip("0") or "0"
    return int(digits) if digits.isdecimal() and len(digits) < 19 else None


def _plain(name: str) -> str:
    """Return a base name without what programs do to it: ``my%20dog``, ``my_dog``, ``my+dog`` are ``my dog``.

    Programs that unpack archives write ``#Uac00`` for a letter, or take those of Korea for an old DOS's.
    """
    base = unquote(_ESCAPED.sub(lambda code: chr(int(code[1], 16)), name.rpartition("/")[2]))
    for encoding in () if base.isascii() else ("utf-8", "cp949"):
        try:
            base = base.encode("cp437").decode(encoding)
            break
        except UnicodeError:
            continue
    return re.sub(r"[\s_+]+", "_", nfc(base).strip()).casefold()


def _name_in(cell: str) -> tuple[str, str]:
    """Return the name that a cell holds beside an address, and how it is bridged; nothing of another cell.

    So Airtable and Notion (``7.jpg (https://...)``), Markdown (``[7.jpg](https://...)``, ``![a dog](7.jpg)``)
    and Excel (``="0007"``) write it; of an address, it is the value that is an image's (``?file=7.jpg``).
    """
    for written in _BESIDE_ADDRESS if cell.endswith((")", '"')) and len(cell) < _LONGEST else ():
        if found := written.fullmatch(cell):
            return found[1], EXACT
    query = cell.partition("?")[2] if "://" in cell and len(cell) < _LONGEST else ""
    values = [value for _, value in parse_qsl(query) if is_image_name(value)]
    return (values[0], TAIL) if len(values) == 1 else ("", EXACT)


class ImageFolder(Listing):
    """A listed folder in which the names of a table are found.

    A name is found as the file's own name below the folder; else without regard to capitals, or without
    its extension. What does not fit so is bridged, and said: percent signs (``a%20b.jpg``), ``file://``,
    the folders of another machine (by the longest common tail, or the base name where just one file has it),
    another extension, and zeros that a spreadsheet has cut off (``7`` or ``7.0`` for ``0007.jpg``). No name
    ever leads out of the folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._found: dict[tuple[str, str], Match | Refusal] = {}
        self._namesakes = False

    _by_folded = _index(str.casefold)
    _by_stem = _index(lambda name: name.rpartition(".")[0] or name)
    _by_base = _index(lambda name: name.rpartition("/")[2].casefold())
    _by_base_stem = _index(lambda name: _stem(name).casefold())
    _by_number = _index(_number)
    _by_plain = _index(_plain)

    def allow_namesakes(self, allowed: bool) -> None:
        """Say whether a name may stand for the one image of that base name in a folder of another name.

        So it may where no name of a table is that of a file: its folders are another machine's then. Where
        some are, an image that is missing would be swapped for its namesake.
        """
        if self._namesakes != allowed:
            self._namesakes = allowed
            self._found.clear()

    def find(self, name: str, *, under: str = "") -> Match | Refusal:
        """Return the file that a table's name stands for.

        Args:
            name: As the table writes it.
            under: A folder inside the root that the name is relative to, and may not leave.

        Returns:
            A match, or a refusal whose kind is ``missing image``, ``outside the image folder``,
            ``ambiguous name``, ``address`` or ``empty image name``.
        """
        key = (name, under)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._find_written(name, under)
        return found

    def _find_written(self, name: str, under: str) -> Match | Refusal:
        own = posixpath.join(under, nfc(name))
        if own in self.files:  # blanks at its ends are the file's
            return self._match(own)
        found = self._find(nfc(name.strip().strip("\"'")), under)
        if isinstance(found, Match):
            return found
        inner, how = _name_in(name.strip())
        other = self._find(nfc(inner), under) if inner else found
        if isinstance(other, Match) and how in (EXACT, other.how or how):
            return other._replace(how=other.how or how)
        return found

    def _find(self, name: str, under: str) -> Match | Refusal:
        if not name:
            return Refusal("empty image name", "the row names no image; left out")
        if "\0" in name or len(name) > _LONGEST:  # such as an image in base64
            return Refusal("missing image", f"{name[:40]!r}... is not a file name; left out")
        exact = posixpath.join(under, name)
        if exact not in self.files and under and name.startswith(f"{under}/"):
            exact = name
        if exact in self.files:
            return self._match(exact)
        plain = _TOKEN_NUMBER.sub("", name.replace("\\", "/"))
        relative = self._relative(plain)
        home = None
        if relative is not None:
            below = posixpath.join(under, relative)
            found = self._exactly(name, below)
            if found is not None:
                return found
            # Below a folder that is there, an image of another folder is another image.
            home = posixpath.dirname(below) if posixpath.dirname(below) in self.folders else None
        found = self._bridged(name, plain, under, home)
        if found is not None:
            return found
        if "://" in plain and not plain.startswith("file:"):
            return Refusal("address", f"{name!r} is an address, which is never fetched; left out")
        if relative is None:
            detail = f"{name!r} leads out of {self.root}, and no image inside has that name; left out"
            return Refusal("outside the image folder", detail)
        return Refusal("missing image", f"{name!r} is not in {self.root}; left out")

    def _relative(self, name: str) -> str | None:
        """Return the normal form of a name relative to the root; None where it lies elsewhere."""
        if isinstance(self.root, Address) and name.startswith(f"{self.root}/"):
            return self._relative(name.removeprefix(f"{self.root}/"))
        if name.startswith("/"):
            real = os.path.realpath(name)
            return nfc(os.path.relpath(real, self.real_root)) if self.is_inside(real) else None
        if _ELSEWHERE.match(name):
            return None
        normal = posixpath.normpath(name)
        return None if normal == ".." or normal.startswith("../") else normal

    def _exactly(self, name: str, relative: str) -> Match | Refusal | None:
        """Find a relative name but for capitals, its extension, or the root's own folder before it."""
        head, _, rest = relative.partition("/")
        own = rest and head == nfc(posixpath.basename(self.real_root))  # Images/a.jpg in Images/
        for candidate in (relative, rest) if own else (relative,):
            if candidate in self.files:
                return self._match(candidate)
            if any(candidate == link or candidate.startswith(link + "/") for link in self.outside):
                detail = f"{name!r} is a link out of {self.root}; left out"
                return Refusal("outside the image folder", detail)
            alike = self._by_folded.get(candidate.casefold()) or self._by_stem.get(candidate, [])
            if len(alike) > 1:
                return _ambiguous(name, alike)
            if alike:
                differs = f"{name!r} differs in case from the file {alike[0]!r}, which is used"
                return self._match(alike[0], note="" if alike[0].startswith(candidate) else differs)
        return None

    def _bridged(self, name: str, plain: str, under: str, home: str | None) -> Match | Refusal | None:
        """Find a name by what is left of it without folders, extension, zeros or percent signs."""
        plain = plain.partition("?d=")[2] or plain  # as Label Studio writes files of its own disk
        decoded = nfc(unquote(plain.partition("?")[0] if "://" in plain else plain))
        parts = [part for part in decoded.casefold().split("/") if part not in ("", ".", "..")]
        *folders, base = parts or [""]
        other = ""
        for how, alike in self._alike(base, counted="://" not in plain):
            if home is not None:
                alike = [file for file in alike if posixpath.dirname(file) == home]
            elif under:
                alike = [file for file in alike if file.startswith(under + "/")]
            fitting = _longest_tail(folders, alike)
            if len(fitting) > 1:
                return _ambiguous(name, fitting)
            if fitting and not _is_namesake(folders, fitting[0]):
                return self._match(fitting[0], how=how)
            if fitting and self._namesakes:
                return self._match(fitting[0], how=NAMESAKE)
            other = other or "".join(fitting)
        detail = f"{name!r} is not in {self.root}, and {other!r} is another image; left out"
        return Refusal("missing image", detail) if other and "://" not in plain else None

    def _alike(self, base: str, *, counted: bool) -> Iterator[tuple[str, list[str]]]:
        """Yield the ways to bridge a base name, and the files to which each of them leads.

        Counted: a number may stand for one with zeros before it. That of an address counts nothing here:
        programs that download number the files anew.
        """
        yield TAIL, self._by_base.get(base, [])
        stem = _stem(base) if is_image_name(base) or base.endswith(_DEVELOPED) else base
        yield "their names without the extension", self._by_base_stem.get(stem, [])
        number = _FLOAT.fullmatch(stem)
        digits = number[1] if number else stem
        if counted and digits.isdecimal() and len(digits) < 19:
            yield "their numbers, zeros added", self._by_number.get(int(digits), [])
        yield "their names behind the first hyphen", self._by_base.get(_UPLOADED.sub("", base), [])
        yield "their names but for blanks and escaped letters", self._by_plain.get(_plain(base), [])

    def _match(self, name: str, how: str = EXACT, note: str = "") -> Match:
        return Match(name, self.path_of(name), how, note)


def _is_namesake(folders: list[str], file: str) -> bool:
    own = file.casefold().split("/")[:-1]
    return bool(folders and own) and own[-1] != folders[-1]


def _longest_tail(folders: list[str], files: list[str]) -> list[str]:
    """Return the files whose folders agree with the wanted ones for longest, seen from the end."""

    def agreement(name: str) -> int:
        own = name.casefold().split("/")[:-1]
        pairs = zip(reversed(own), reversed(folders))
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    if len(files) < 2:
        return files
    best = max(map(agreement, files))
    return [name for name in files if agreement(name) == best]


def _ambiguous(name: str, alike: list[str]) -> Refusal:
    return Refusal("ambiguous name", f"{name!r} may be {' or '.join(alike[:3])}; left out")
