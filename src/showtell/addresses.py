"""Files on object stores, as paths: ``s3://bucket/photos``, ``hf://datasets/me/cats``; read through fsspec.

An address is a `pathlib.Path`, so that whatever reads a path reads it too. It is asked for over the network
only where the user has named it; an address inside of somebody's table is never fetched.
"""

import errno
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from showtell.errors import DataError, MissingExtraError

T = TypeVar("T")
_PROTOCOL = re.compile(r"[a-z][a-z0-9+]+:")
_LOCAL = frozenset(("file:", "local:", "http:", "https:"))
_VERSION = ("ETag", "etag", "sha256", "md5Hash", "md5", "oid", "blob_id", "LastModified", "mtime", "created")
"""Of a store's record of an object: what changes with its content."""
_ATTEMPTS = 3
"""The packages that fsspec asks make some attempts of their own in each."""
_PAUSE = 0.5
"""Seconds before the second attempt; twice as long before the third."""
_ABSENT = {FileNotFoundError: errno.ENOENT, IsADirectoryError: errno.EISDIR, PermissionError: errno.EACCES}


class ObjectInfo(NamedTuple):
    """What an object store says of an object without reading it.

    Attributes:
        is_folder: Whether it is a prefix, as folders are there.
        size: Bytes.
        version: Number that another content has another of, in [0, 2^62); None where the store tells none.
    """

    is_folder: bool
    size: int
    version: int | None


class ObjectEntry(NamedTuple):
    """An entry of a folder on an object store, as `os.scandir` yields those of a disk."""

    name: str
    path: "Address"
    info: ObjectInfo

    def is_symlink(self) -> bool:
        """Return False: object stores have no links."""
        return False

    def is_dir(self) -> bool:
        """Tell whether it is a folder."""
        return self.info.is_folder

    def is_file(self) -> bool:
        """Tell whether it is an object."""
        return not self.info.is_folder


class Address(type(Path())):  # type: ignore[misc]  # the class of this system's paths
    """A file or a folder on an object store.

    Every request is tried three times. What is missing or forbidden raises as on a disk: FileNotFoundError,
    PermissionError. A store that cannot be reached raises DataError, since it says nothing of the file.
    """

    __slots__ = ("_info",)  # ten million of them have no dict each
    _info: ObjectInfo

    def __str__(self) -> str:
        protocol, *rest = self.parts
        return f"{protocol}//{'/'.join(rest)}"

    def __fspath__(self) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        return _revive, (self.parts, getattr(self, "_info", None))

    def is_absolute(self) -> bool:
        """Return True: an address is the same from everywhere."""
        return True

    def __rtruediv__(self, other: Any) -> "Address":
        return self  # as any absolute path does

    def resolve(self, strict: bool = False) -> "Address":
        """Return the address itself."""
        return self

    @property
    def info(self) -> ObjectInfo:
        """What the store says of it: known from the listing of its folder, or asked for."""
        if not hasattr(self, "_info"):
            self._info = self._ask(lambda system: _info_of(system.info(self._key)))
        return self._info

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return kind, size and version, the latter as the time of the last change."""
        info = self.info
        mode = stat.S_IFDIR if info.is_folder else stat.S_IFREG
        return os.stat_result((mode, 0, 0, 1, 0, 0, info.size, 0, info.version or 0, 0))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Tell whether there is such an object, or one below it."""
        try:
            return self.info is not None
        except FileNotFoundError:
            return False

    def scandir(self) -> Iterator[ObjectEntry]:
        """Yield what lies in the folder, with what the store says of it."""
        for one in self._ask(lambda system: system.ls(self._key, detail=True)):
            name = one["name"].rstrip("/").rpartition("/")[2]
            if one["name"].strip("/") != self._key.strip("/"):  # S3's empty object that stands for the folder
                path = self / name
                path._info = _info_of(one)
                yield ObjectEntry(name, path, path._info)

    def iterdir(self) -> Iterator["Address"]:
        """Yield what lies in the folder."""
        return (entry.path for entry in self.scandir())

    def glob(self, pattern: str, **_: Any) -> Iterator["Address"]:
        """Yield what below the folder fits a pattern."""
        protocol = self.parts[0]
        found: list[str] = self._ask(lambda system: system.glob(f"{self._key}/{pattern}"))
        return (Address(f"{protocol}//{name}") for name in found)

    def read_head(self, count: int) -> bytes:
        """Read the first bytes, at most ``count``, in one request."""
        if self.info.size == 0:
            return b""
        end = min(count, self.info.size)
        content: bytes = self._ask(lambda system: system.cat_file(self._key, start=0, end=end))
        return content

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Copy the object into a nameless temporary file, and open that to be read."""
        if set(mode) - set("rbt"):
            raise PermissionError(errno.EROFS, "what lies on an object store is only read", str(self))
        copy = tempfile.TemporaryFile()  # noqa: SIM115 - it is what is returned
        copy.write(self.read_head(self.info.size))
        copy.seek(0)
        if "b" in mode:
            return copy
        return os.fdopen(os.dup(copy.fileno()), "r", encoding=encoding, errors=errors, newline=newline)

    @property
    def _key(self) -> str:
        return "/".join(self.parts[1:])

    def _ask(self, request: "Callable[[Any], T]") -> T:
        """Ask the store, patiently."""
        system = _system(self.parts[0].rstrip(":"), str(self))
        for attempt in range(_ATTEMPTS):
            try:
                return request(system)
            except tuple(_ABSENT) as error:
                number = next(code for kind, code in _ABSENT.items() if isinstance(error, kind))
                raise type(error)(number, os.strerror(number), str(self)) from error
            except Exception as error:  # each kind of store has errors of its own
                if attempt == _ATTEMPTS - 1:
                    raise DataError(
                        f"{self} cannot be reached: {type(error).__name__}: {error}.",
                        hint="What was done so far is kept: run the same command again.",
                    ) from error
                time.sleep(_PAUSE * 2**attempt)
        raise AssertionError("unreachable")


def _revive(parts: tuple[str, ...], info: ObjectInfo | None) -> Address:
    address = Address(*parts)
    if info is not None:
        address._info = info
    return address


def to_path(text: str | os.PathLike[str]) -> Path:
    """Return a path, or the address that a text names, be it a path that lost one of its two slashes.

    ``~`` is the user's home, which no shell puts into ``--out=~/runs``, and nobody into a file of settings.
    """
    path = Path(text)
    first = path.parts[0] if path.parts else ""
    if first == "~":
        return Path(os.path.expanduser(path))  # noqa: PTH111 - which raises nothing
    if isinstance(path, Address) or not _PROTOCOL.fullmatch(first) or first in _LOCAL or Path(first).exists():
        return path
    return Address(path)


def scandir(folder: "str | Address") -> "AbstractContextManager[Iterator[Any]]":
    """Look into a folder, here or on an object store; raise OSError where that cannot be done."""
    return nullcontext(folder.scandir()) if isinstance(folder, Address) else os.scandir(folder)


def _system(protocol: str, address: str) -> Any:
    import fsspec  # torch brings it; here, since few need it

    try:
        # Without its cache of listings, which would hold the name of every file a second time.
        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        if protocol == "s3":
            raise MissingExtraError("s3fs", "s3", f"Reading {address}") from error
        raise DataError(f"{address} cannot be read: {error}") from error
    except ValueError as error:
        raise DataError(
            f"{address} is in a kind of store that is not known: {protocol}.",
            hint="Expected an address such as s3://bucket/photos, gs://bucket/photos or hf://datasets/me/cats.",
        ) from error


def _info_of(record: dict[str, Any]) -> ObjectInfo:
    found = {key: str(record[key]) for key in _VERSION if record.get(key) is not None}
    digest = hashlib.sha256(json.dumps([record.get("size"), found], sort_keys=True).encode()).digest()
    version = int.from_bytes(digest[:8], "big") >> 2 if found else None
    return ObjectInfo(record["type"] == "directory", record.get("size") or 0, version)
