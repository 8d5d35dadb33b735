"""Decoded images that are kept: another network, another size or a view then needs no file decoded again.

ROOT/kept/AB/<digest>-<form>    pixels of the content with this digest, in one of its forms

A file stands under its name whole or not at all, whoever is killed and however many write. It is held against
its checksum at every reading, since the disk may lose the end of what nobody waited for: what is damaged is
as good as absent. Nothing here is needed, as every image can be decoded again.
"""

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from showtell.console import human_bytes
from showtell.errors import StoreError
from showtell.files import write_atomic
from showtell.store.folders import retire, size_on_disk
from showtell.store.record import Array

NAME = "kept-images"
"""How commands call them, as they call a feature space by its name."""
_HEADER = struct.Struct("<5I")  # height, width, those of the whole image, CRC-32 of the pixels


class KeptImage(NamedTuple):
    """An image as it was kept."""

    pixels: Array  # (height, width, 3), uint8, writable
    full: tuple[int, int]  # height and width of the whole image, upright


@dataclass(slots=True)
class KeptImages:
    """The kept images of a store; picklable.

    Attributes:
        root: Their folder, which need not exist.
        keeping: Whether images that are decoded from now on are to be kept; those that are there are used
            anyway.
        written: Bytes that this process has written.
    """

    root: Path
    keeping: bool = False
    written: int = 0

    def get(self, digest: bytes, form: str) -> KeptImage | None:
        """Return an image in one of its forms; None where it is not kept, or damaged.

        Args:
            digest: `content_digest` of its file.
            form: Everything that shaped its pixels besides the content.
        """
        path = self._path(digest, form)
        try:
            found = _read(path)
        except OSError:
            return None
        with suppress(OSError):  # of a store that is not ours to write to
            path.unlink() if found is None else os.utime(path)
        return found

    def put(self, digest: bytes, form: str, pixels: Array, full: tuple[int, int]) -> None:
        """Keep an image.

        Args:
            digest: `content_digest` of its file.
            form: Everything that shaped its pixels besides the content.
            pixels: (height, width, 3), uint8.
            full: Height and width of the whole image.

        Raises:
            StoreError: The disk is full, or the store cannot be written.
        """
        pixels = np.ascontiguousarray(pixels)
        head = _HEADER.pack(*pixels.shape[:2], *full, zlib.crc32(pixels.data))
        self._write(self._path(digest, form), head + pixels.tobytes())

    def files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield the file of every image that is kept, and what the system says of it."""
        for path in self.root.glob("*/*"):
            if not path.name.startswith("."):
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield path, path.stat()

    def remove(self) -> int:
        """Delete all of them; return the bytes that were freed.

        Raises:
            StoreError: They cannot be deleted.
        """
        size = size_on_disk(self.root)
        if self.root.exists():
            retire(self.root)
        return size

    def shrink(self, surplus: int) -> int:
        """Delete those that were not used for longest until so many bytes are free; return how many are."""
        freed = 0
        for path, status in sorted(self.files(), key=lambda one: one[1].st_mtime_ns):
            if freed >= surplus:
                break
            with suppress(OSError):
                path.unlink()
                freed += status.st_size
        return freed

    def merge(self, other: "KeptImages") -> int:
        """Copy what others have and these lack; return how many.

        Raises:
            StoreError: The disk is full.
        """
        lacking = [
            (path, here)
            for path, _ in other.files()
            if not (here := self.root / path.parent.name / path.name).exists()
        ]
        for path, here in lacking:
            self._write(here, path.read_bytes())
        return len(lacking)

    def is_sound(self, path: Path) -> bool:
        """Say whether a file is as it was written; delete it where it is not.

        Raises:
            StoreError: It can neither be read nor be deleted.
        """
        try:
            sound = _read(path) is not None
            if not sound:
                path.unlink(missing_ok=True)
        except FileNotFoundError:  # removed meanwhile
            return True
        except OSError as error:
            raise StoreError(f"{path} cannot be checked: {error.strerror or error}.") from error
        return sound

    def _write(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        except FileNotFoundError:
            return  # somebody has removed all of them at this moment
        except OSError as error:
            raise StoreError(
                f"A decoded image of {human_bytes(len(content))} cannot be kept in {self.root}: {error}.",
                hint="Free some space, name a larger disk by --store, or keep no images.",
                run="showtell store",
            ) from error
        self.written += len(content)

    def _path(self, digest: bytes, form: str) -> Path:
        name = digest.hex()
        return self.root / name[:2] / f"{name}-{hashlib.sha256(form.encode()).hexdigest()[:8]}"


def _read(path: Path) -> KeptImage | None:
    """Read an image; return None for one that is damaged."""
    content = np.fromfile(path, np.uint8)
    if len(content) < _HEADER.size:
        return None
    height, width, *full, checksum = _HEADER.unpack(content[: _HEADER.size].data)
    pixels = content[_HEADER.size :]
    if len(pixels) != height * width * 3 or zlib.crc32(pixels.data) != checksum:
        return None
    return KeptImage(pixels.reshape(height, width, 3), (full[0], full[1]))
