"""Which content a file on disk has, remembered, so that a second run reads no image again."""

import hashlib
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from showtell.store.environment import open_environment

_RECORD = struct.Struct("<Qqq32s")  # size, mtime, ctime, digest
_RACY_NS = 2_000_000_000  # the coarsest file times in use: FAT's two seconds
_MAX_PATH_KEY = 480  # LMDB's keys end at 511 bytes


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells, without reading it, that a file is still the one whose content was read.

    Attributes:
        path: Absolute path.
        size: Bytes.
        mtime_ns: When the content was last written.
        ctime_ns: When the file last changed in any way: it gives away an archive unpacked over an older one,
            where size and mtime can be equal.
        seen_ns: When the stamp was taken.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    seen_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "FileStamp":
        """Take a file's stamp. Take it before reading the content, never after.

        Raises:
            OSError: There is no such file.
        """
        seen = time.time_ns()
        # Ten million times, so without a Path; and a symbolic link keeps its own name.
        status = os.stat(path)  # noqa: PTH116
        absolute = os.path.abspath(path)  # noqa: PTH100
        return cls(absolute, status.st_size, status.st_mtime_ns, status.st_ctime_ns, seen)

    @property
    def is_racy(self) -> bool:
        """Whether the file is so fresh that a later write could leave its times as they are."""
        return self.seen_ns - self.mtime_ns < _RACY_NS


class KnownFiles:
    """A memory of files and the digests of their content.

    Args:
        folder: Where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        # Not durable: all that a power cut can undo here is that some images are read once more.
        self._environment = open_environment(folder, durable=False)

    def digest_of(self, stamp: FileStamp) -> bytes | None:
        """Return the content digest of a file that has not changed since its content was read.

        Args:
            stamp: The file's stamp now.

        Returns:
            32 bytes, or None where the content has to be read again.
        """
        with self._environment.reading() as transaction:
            value = transaction.get(_path_key(stamp.path))
            if value is None or len(value) != _RECORD.size:
                return None
            size, mtime_ns, ctime_ns, digest = _RECORD.unpack(value)
        if (size, mtime_ns, ctime_ns) != (stamp.size, stamp.mtime_ns, stamp.ctime_ns):
            return None
        return bytes(digest)

    def remember(self, items: Iterable[tuple[FileStamp, bytes]]) -> int:
        """Remember the contents of files, so that the next run need not read them.

        Args:
            items: Stamps taken before the content was read, with its `content_digest`. Files written less
                than two seconds before their stamp are left out, since a further write could go unseen.

        Returns:
            How many were remembered.

        Raises:
            StoreError: The disk is full, or the store cannot be written.
        """
        entries = sorted(
            (_path_key(stamp.path), _RECORD.pack(stamp.size, stamp.mtime_ns, stamp.ctime_ns, digest))
            for stamp, digest in items
            if not stamp.is_racy
        )

        def work(transaction: Any) -> None:
            for key, value in entries:
                transaction.put(key, value)

        if entries:
            self._environment.write(work)
        return len(entries)

    def adopt(self, other: Path) -> int:
        """Take over what another memory knows; of a file that both know, what was seen of it last.

        Args:
            other: Its folder, which stays as it is.

        Returns:
            How many files were new or seen later.

        Raises:
            StoreError: The disk is full, or one of the two cannot be used.
        """

        def work(transaction: Any) -> int:
            count = 0
            with source.reading() as reading:
                for key, value in reading.cursor():
                    if len(value) == _RECORD.size and _changed(value) > _changed(transaction.get(key)):
                        transaction.put(bytes(key), value)
                        count += 1
            return count

        source = open_environment(other, durable=False)
        return self._environment.write(work) if len(source) else 0


def _changed(value: Any | None) -> int:
    """Return when the file of a record last changed, nanoseconds; -1 for none."""
    return int(_RECORD.unpack(value)[2]) if value is not None and len(value) == _RECORD.size else -1


def _path_key(path: str) -> bytes:
    name = os.fsencode(path)
    return name if len(name) <= _MAX_PATH_KEY else b"\0" + hashlib.blake2b(name, digest_size=32).digest()
