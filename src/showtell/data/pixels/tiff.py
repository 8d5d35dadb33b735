"""What the directories of a TIFF file say, read without a decoder."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF and BigTIFF files begin."""

_KIND, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 262, 274
_CHILDREN, _FORMAT = 330, 339
_WANTED = frozenset((_KIND, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _CHILDREN, _FORMAT))
_TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MASK = 4
_SENSOR = (32803, 34892)
"""Photometric interpretations of a sensor's values: behind a colour filter array, and linear."""
_MOST_DIRECTORIES, _MOST_ENTRIES, _MOST_VALUES = 256, 4096, 64


@dataclass(frozen=True)
class Directory:
    """One image of a TIFF file, or of those that it hides inside another."""

    tags: dict[int, tuple[int, ...]]  # values of the tags that matter here, by number
    places: dict[int, int]  # where in the file each of these values lies
    children: tuple[int, ...]  # where in the file its own directories begin

    def _one(self, tag: int, otherwise: int) -> int:
        return next(iter(self.tags.get(tag, ())), otherwise)

    @property
    def pixels(self) -> int:
        """How many pixels it claims."""
        return self._one(_WIDTH, 0) * self._one(_HEIGHT, 0)

    @property
    def is_mask(self) -> bool:
        """Whether it says where another image is transparent."""
        return bool(self._one(_KIND, 0) & _MASK)

    @property
    def is_sensor(self) -> bool:
        """Whether it holds what a camera's sensor saw, which is not an image yet."""
        return self._one(_PHOTOMETRIC, -1) in _SENSOR

    @property
    def is_white_at_zero(self) -> bool:
        """Whether large values are dark, in more than the 8 bits that Pillow turns by itself."""
        return self._one(_PHOTOMETRIC, -1) == 0 and self._one(_BITS, 1) > 8

    @property
    def orientation(self) -> int:
        """As EXIF counts them, 1 where nothing is said, 0 where it is nonsense."""
        stated = self._one(_ORIENTATION, 1)
        return stated if 1 <= stated <= 8 else 0

    @property
    def storage(self) -> str:
        """Say how its values are stored."""
        numbers = {1: "unsigned integers", 2: "signed integers", 3: "floats"}
        bits = "+".join(map(str, self.tags.get(_BITS, (1,))))
        kind = numbers.get(self._one(_FORMAT, 1), "values of another kind")
        return f"{kind} of {bits} bits, photometric interpretation {self._one(_PHOTOMETRIC, -1)}"


class Tiff:
    """The directories of a TIFF file.

    Args:
        content: Of the file; one that is damaged has fewer directories, or none.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._order = "<" if content[:2] == b"II" else ">"
        self._big = content[:4] in MAGIC[2:]
        self._seen: set[int] = set()  # where directories begin that were read: all, however they are chained

    @cached_property
    def pages(self) -> list[Directory]:
        """The images in the order in which they are chained, as Pillow counts its frames."""
        start = self._numbers("Q", 8, 1) if self._big else self._numbers("I", 4, 1)
        return list(self._chain(start[0])) if start else []

    @cached_property
    def is_camera_file(self) -> bool:
        """Whether some image of the file is what a sensor saw."""
        if self._content[8:10] == b"CR":  # Canon leaves the interpretation out
            return True
        pages = self.pages  # before what is inside them
        inner = (child for page in pages for start in page.children for child in self._chain(start))
        return any(page.is_sensor for page in pages) or any(page.is_sensor for page in inner)

    def black_at_zero(self) -> bytes:
        """Return the file saying of each deep grey image that zero is black, which Pillow reads as it is.

        The values of those images are still to be turned; Pillow refuses some of them otherwise.
        """
        places = [page.places[_PHOTOMETRIC] for page in self.pages if page.is_white_at_zero]
        if not places:
            return self._content
        content = bytearray(self._content)
        for place in places:
            struct.pack_into(f"{self._order}H", content, place, 1)
        return bytes(content)

    def _chain(self, start: int) -> Iterator[Directory]:
        while start and start not in self._seen and len(self._seen) < _MOST_DIRECTORIES:
            self._seen.add(start)
            read = self._directory(start)
            if read is None:
                return
            directory, start = read
            yield directory

    def _directory(self, start: int) -> tuple[Directory, int] | None:
        """Return a directory and where the next one begins; None where there is none."""
        head, size, inline, offset = ("Q", 20, 12, "Q") if self._big else ("H", 12, 8, "I")
        count = self._numbers(head, start, 1)
        if not count or count[0] > _MOST_ENTRIES:
            return None
        first = start + struct.calcsize(head)
        tags: dict[int, tuple[int, ...]] = {}
        places: dict[int, int] = {}
        for entry in range(first, first + size * count[0], size):
            tag = self._numbers("H", entry, 2)
            if not tag or tag[0] not in _WANTED or tag[1] not in _TYPES:
                continue
            values = self._numbers(offset, entry + 4, 1)
            length = min(values[0], _MOST_VALUES) if values else 0
            place = entry + inline
            if length * struct.calcsize(_TYPES[tag[1]]) > size - inline:
                place = next(iter(self._numbers(offset, place, 1)), len(self._content))
            tags[tag[0]], places[tag[0]] = self._numbers(_TYPES[tag[1]], place, length), place
        following = self._numbers(offset, first + size * count[0], 1)
        return Directory(tags, places, tags.get(_CHILDREN, ())), next(iter(following), 0)

    def _numbers(self, kind: str, start: int, count: int) -> tuple[int, ...]:
        """Return numbers of the file; none where it ends before."""
        try:
            return struct.unpack_from(f"{self._order}{count}{kind}", self._content, start)
        except (struct.error, OverflowError):
            return ()
