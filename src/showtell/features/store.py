"""The feature store: what a backbone saw in a picture, kept once, addressed by the picture's content.

    ROOT/pictures/        path, size and times of a file -> SHA-256 of its content
    ROOT/<space id>/      one feature space: `space.json` (what shaped the features) and an LMDB environment
    ROOT/<space id>.lock  held by whoever has the space open; its time is when the space was last used

A record's key is the picture's content digest and, for an augmented view, a hash of the view. Its value is
the raw little-endian numbers: `pooled` in one database, `grid` in another, written in one transaction. They
are apart so that a classifier, which reads pooled features only, does not pull the grids into memory.
"""

import hashlib
import json
import os
import re
import shutil
import struct
import sys
import time
import unicodedata
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from showtell.errors import StoreError
from showtell.features.environment import Environment, open_environment

if os.name != "nt":
    import fcntl

Array = npt.NDArray[Any]

_DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
_STAMP = struct.Struct("<Qqq32s")  # size, mtime, ctime, digest
_SPACE_ID = re.compile(r"[0-9a-f]{16}")
_RACY_NS = 2_000_000_000  # the coarsest file times in use: FAT's two seconds
_MAX_PATH_KEY = 480  # LMDB's keys end at 511 bytes


def default_root() -> Path:
    """Return the folder of the store: ``SHOWTELL_STORE``, or a folder in the user's cache."""
    if named := os.environ.get("SHOWTELL_STORE"):
        return Path(named).expanduser()
    if cache := os.environ.get("XDG_CACHE_HOME"):
        base = Path(cache)
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "showtell" / "features"


def content_digest(content: bytes) -> bytes:
    """Return the 32-byte SHA-256 of a picture's file content."""
    return hashlib.sha256(content).digest()


def record_key(digest: bytes, view: str = "") -> bytes:
    """Return the key of a record.

    Args:
        digest: The picture's `content_digest`.
        view: What was done to the picture before the backbone's own preprocessing; empty for nothing.
    """
    return digest + hashlib.blake2b(view.encode(), digest_size=16).digest() if view else digest


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
        status = os.stat(path)  # noqa: PTH116 (ten million times: a Path costs more than the call)
        return cls(os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, seen)

    @property
    def is_racy(self) -> bool:
        """Whether the file is so fresh that a later write could leave its times as they are."""
        return self.seen_ns - self.mtime_ns < _RACY_NS


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """One feature space as `FeatureStore.spaces` lists it.

    Attributes:
        id: Its name in the store.
        description: Everything that shaped its features.
        records: Number of records.
        bytes: Space on the disk.
        last_used: Seconds since the epoch.
        problem: Why it cannot be opened; None for a healthy one.
    """

    id: str
    description: Mapping[str, Any]
    records: int
    bytes: int
    last_used: float
    problem: str | None = None


class FeatureStore:
    """All features on this machine, shared by every data set, run and process.

    Args:
        root: Its folder, on a local disk; created at the first use. None takes `default_root`.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(root) if root is not None else default_root()
        self._picture_environment: Environment | None = None

    def space(self, description: Mapping[str, Any], *, map_size: int | None = None) -> "FeatureSpace":
        """Open the space of the features that ``description`` describes; create it where it is new.

        Args:
            description: Everything that shaped the features, as JSON values: weights hash, layer,
                preprocessing, precision. Needed by the store itself: ``dtype`` ("float16" or "float32"),
                ``grid_shape`` ([L, D] or None for no grid) and ``pooled_dim``.
            map_size: First size of the memory map, bytes; None for the system's default.

        Raises:
            StoreError: The store cannot be opened, or holds something else under this description.
        """
        canonical, description = _canonical(description)
        space_id = hashlib.sha256(canonical).hexdigest()[:16]
        folder = self.root / space_id
        with _explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(self._lock_path(space_id), shared=True)
            try:
                _settle_description(folder, canonical, description)
                environment = open_environment(folder, _databases(description), map_size=map_size)
            except BaseException:
                os.close(lock)
                raise
        return FeatureSpace(space_id, description, environment, lock)

    def spaces(self) -> list[SpaceInfo]:
        """List every feature space, the most recently used first."""
        with _explained(self.root):
            found = [self._info(path.parent) for path in self.root.glob("*/space.json")]
        return sorted(found, key=lambda info: (-info.last_used, info.id))

    def remove(self, space_id: str) -> int:
        """Delete a feature space and give its room back to the disk at once.

        Returns:
            The bytes that were freed.

        Raises:
            StoreError: There is no such space, or it is open somewhere.
        """
        folder = self.root / space_id
        with _explained(self.root):
            for left_over in self.root.glob(".removed-*"):
                shutil.rmtree(left_over, ignore_errors=True)
            if not _SPACE_ID.fullmatch(space_id) or not folder.is_dir():
                raise StoreError(
                    f"The feature store {self.root} has no space {space_id}.", run="showtell store"
                )
            lock = _take_lock(self._lock_path(space_id), shared=False)
            try:
                size = _size(folder)
                # Renamed first: from here on nobody can open half a space.
                doomed = self.root / f".removed-{space_id}-{os.getpid()}"
                folder.rename(doomed)
            finally:
                os.close(lock)
            shutil.rmtree(doomed)
        return size

    def digest_of(self, stamp: FileStamp) -> bytes | None:
        """Return the content digest of a file that has not changed since its content was read.

        Args:
            stamp: The file's stamp now.

        Returns:
            32 bytes, or None where the content has to be read again.
        """
        with self._pictures().reading() as (transaction, databases):
            value = transaction.get(_path_key(stamp.path), db=databases["pictures"])
            if value is None or len(value) != _STAMP.size:
                return None
            size, mtime_ns, ctime_ns, digest = _STAMP.unpack(value)
        if (size, mtime_ns, ctime_ns) != (stamp.size, stamp.mtime_ns, stamp.ctime_ns):
            return None
        return bytes(digest)

    def remember_digests(self, items: Iterable[tuple[FileStamp, bytes]]) -> int:
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
            (_path_key(stamp.path), _STAMP.pack(stamp.size, stamp.mtime_ns, stamp.ctime_ns, digest))
            for stamp, digest in items
            if not stamp.is_racy
        )

        def work(transaction: Any, databases: dict[str, Any]) -> None:
            for key, value in entries:
                transaction.put(key, value, db=databases["pictures"])

        if entries:
            self._pictures().write(work)
        return len(entries)

    def _pictures(self) -> Environment:
        # Not durable: all that a power cut can undo here is that some pictures are read once more.
        if self._picture_environment is None:
            self._picture_environment = open_environment(self.root / "pictures", ("pictures",), durable=False)
        return self._picture_environment

    def _lock_path(self, space_id: str) -> Path:
        return self.root / f"{space_id}.lock"

    def _info(self, folder: Path) -> SpaceInfo:
        lock = self._lock_path(folder.name)
        used = lock.stat().st_mtime if lock.exists() else folder.stat().st_mtime
        size = _size(folder)
        try:
            description = _read_description(folder)
            records = open_environment(folder, _databases(description)).entries("pooled")
        except StoreError as error:
            return SpaceInfo(folder.name, {}, 0, size, used, error.what)
        return SpaceInfo(folder.name, description, records, size, used)


class FeatureSpace:
    """The features of one backbone, layer, preprocessing and precision. Get one from `FeatureStore.space`.

    Attributes:
        id: Its name in the store.
        description: Everything that shaped the features.
        dtype: Of the numbers as stored, little-endian.
        grid_shape: (L, D), or None where the space keeps no grid.
        pooled_dim: D of the pooled features.
        record_bytes: Size of one record.
    """

    def __init__(
        self, space_id: str, description: Mapping[str, Any], environment: Environment, lock: int
    ) -> None:
        self.id = space_id
        self.description = description
        self.dtype = _DTYPES[description["dtype"]]
        shape = description["grid_shape"]
        self.grid_shape: tuple[int, int] | None = None if shape is None else (shape[0], shape[1])
        self.pooled_dim: int = description["pooled_dim"]
        self._environment = environment
        self._pooled_bytes = self.pooled_dim * self.dtype.itemsize
        self._grid_bytes = int(np.prod(self.grid_shape)) * self.dtype.itemsize if self.grid_shape else 0
        self.record_bytes = self._pooled_bytes + self._grid_bytes
        weakref.finalize(self, os.close, lock)

    def __len__(self) -> int:
        return self._environment.entries("pooled")

    def __contains__(self, key: bytes) -> bool:
        return not self.missing([key])

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of the keys that have no record, in ascending order."""
        # In the order of the tree, so that each of its pages is visited once.
        order = sorted(range(len(keys)), key=keys.__getitem__)
        with self._environment.reading() as (transaction, databases):
            pooled = databases["pooled"]
            return sorted(i for i in order if transaction.get(keys[i], db=pooled) is None)

    def put(self, items: Iterable[tuple[bytes, Array | None, Array]], *, overwrite: bool = False) -> int:
        """Write a batch of records: all of them are committed and on the disk, or none is.

        Args:
            items: Key, grid (L, D) or None where the space keeps none, and pooled (D,); any float dtype.
            overwrite: Whether to replace records that are there. By default the first one stays, so that
                features do not change under a run that uses them.

        Returns:
            How many records were new or replaced.

        Raises:
            StoreError: The disk is full, a shape is wrong, or a value does not fit the space's dtype.
        """
        records = {
            key: (self._encode(key, grid, "grid"), self._encode(key, pooled, "pooled"))
            for key, grid, pooled in items
        }
        keys = sorted(records)

        def work(transaction: Any, databases: dict[str, Any]) -> int:
            # All pooled features of the batch, then all grids: each kind lies together in the file.
            written = [
                key
                for key in keys
                if transaction.put(key, records[key][1], db=databases["pooled"], overwrite=overwrite)
            ]
            if self.grid_shape is not None:
                for key in written:
                    transaction.put(key, records[key][0], db=databases["grid"])
            return len(written)

        return self._environment.write(work) if keys else 0

    def get(
        self, keys: Sequence[bytes], *, out: tuple[Array | None, Array] | None = None
    ) -> tuple[Array | None, Array]:
        """Read a batch of records, copied once, from the memory map into the batch.

        Args:
            keys: N keys, in any order.
            out: Arrays to fill, shaped as what is returned; None allocates them.

        Returns:
            grid (N, L, D), or None where the space keeps none; and pooled (N, D); in the space's dtype.

        Raises:
            StoreError: A record is missing or does not have the length it should.
        """
        grid, pooled = out if out is not None else (None, np.empty((len(keys), self.pooled_dim), self.dtype))
        if out is None and self.grid_shape is not None:
            grid = np.empty((len(keys), *self.grid_shape), self.dtype)
        with self.reading() as reader:
            for i, key in enumerate(keys):
                pooled[i] = reader.pooled(key)
                if grid is not None:
                    grid[i] = reader.grid(key)
        return grid, pooled

    def get_pooled(self, keys: Sequence[bytes], *, out: Array | None = None) -> Array:
        """Read pooled features (N, D) alone; the grids are not touched.

        Raises:
            StoreError: A record is missing or does not have the length it should.
        """
        pooled = np.empty((len(keys), self.pooled_dim), self.dtype) if out is None else out
        with self.reading() as reader:
            for i, key in enumerate(keys):
                pooled[i] = reader.pooled(key)
        return pooled

    @contextmanager
    def reading(self) -> Iterator["Reader"]:
        """Open a snapshot whose arrays lie in the memory map itself and are valid until the block ends."""
        with self._environment.reading() as (transaction, databases):
            yield Reader(self, transaction, databases)

    def _encode(self, key: bytes, values: Array | None, what: str) -> Any:
        shape = self.grid_shape if what == "grid" else (self.pooled_dim,)
        found = None if values is None else values.shape
        if found != shape:
            raise StoreError(
                f"{what} of {key.hex()[:12]} has the shape {found}; space {self.id} keeps {shape}."
            )
        if values is None:
            return None
        with np.errstate(over="ignore"):
            encoded = np.ascontiguousarray(values, self.dtype)
        if not np.isfinite(encoded).all():
            raise StoreError(
                f"{what} of {key.hex()[:12]} holds values that {self.dtype.name} cannot: "
                f"the largest is {np.abs(values).max():g}.",
                would_do="float32 features hold them, unless the network itself gives no finite numbers.",
            )
        return encoded


class Reader:
    """A snapshot of a space. Get one from `FeatureSpace.reading`."""

    def __init__(self, space: FeatureSpace, transaction: Any, databases: dict[str, Any]) -> None:
        self._space = space
        self._get = transaction.get
        self._pooled = databases["pooled"]
        self._grid = databases.get("grid")

    def pooled(self, key: bytes) -> Array:
        """Return pooled features (D,), read-only, without a copy.

        Raises:
            StoreError: There is no such record, or it does not have the length it should.
        """
        value = self._get(key, db=self._pooled)
        return np.frombuffer(self._checked(key, value, self._space._pooled_bytes), self._space.dtype)

    def grid(self, key: bytes) -> Array:
        """Return a grid (L, D), read-only, without a copy.

        Raises:
            StoreError: There is no such record, or it does not have the length it should.
        """
        if self._space.grid_shape is None:
            raise StoreError(f"Feature space {self._space.id} keeps pooled features only.")
        value = self._checked(key, self._get(key, db=self._grid), self._space._grid_bytes)
        return np.frombuffer(value, self._space.dtype).reshape(self._space.grid_shape)

    def view(self, key: bytes) -> tuple[Array | None, Array]:
        """Return a record's grid, None where the space keeps none, and pooled features, without a copy."""
        return (None if self._space.grid_shape is None else self.grid(key)), self.pooled(key)

    def _checked(self, key: bytes, value: Any, length: int) -> Any:
        if value is not None and len(value) == length:
            return value
        where = f"Feature space {self._space.id}"
        if value is None:
            raise StoreError(
                f"{where} has no record {key.hex()[:12]}.",
                would_do="Extract the features of this data set first.",
                run="showtell extract DATA",
            )
        raise StoreError(
            f"{where} is damaged: record {key.hex()[:12]} has {len(value)} bytes instead of {length}.",
            would_do="Remove the space and extract again.",
            run=f"showtell store --remove {self._space.id}",
        )


def _path_key(path: str) -> bytes:
    name = os.fsencode(path)
    return name if len(name) <= _MAX_PATH_KEY else b"\0" + hashlib.blake2b(name, digest_size=32).digest()


def _databases(description: Mapping[str, Any]) -> tuple[str, ...]:
    return ("pooled",) if description["grid_shape"] is None else ("pooled", "grid")


def _canonical(description: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return the one JSON text of a description, and the description as that text reads."""
    text = json.dumps(dict(description), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    canonical = unicodedata.normalize("NFC", text).encode()
    loaded: dict[str, Any] = json.loads(canonical)
    shape = loaded.get("grid_shape", "absent")
    sound_shape = shape is None or (
        isinstance(shape, list) and len(shape) == 2 and all(_positive(n) for n in shape)
    )
    if loaded.get("dtype") not in _DTYPES or not sound_shape or not _positive(loaded.get("pooled_dim")):
        raise StoreError(
            f"A feature space cannot be made from dtype {loaded.get('dtype')!r}, grid_shape {shape!r}, "
            f"pooled_dim {loaded.get('pooled_dim')!r}.",
            would_do="It needs dtype float16 or float32, grid_shape [L, D] or null, and pooled_dim.",
        )
    return canonical, loaded


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _settle_description(folder: Path, canonical: bytes, description: dict[str, Any]) -> None:
    """Write ``space.json`` where there is none; refuse the folder where it says something else."""
    path = folder / "space.json"
    if path.exists():
        kept = _read_description(folder)
        if kept != description:
            raise StoreError(
                f"{path} describes other features than asked for: {_difference(kept, description)}.",
                would_do="Remove the space and extract again; somebody has edited it.",
                run=f"showtell store --remove {folder.name}",
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".space.json.{os.getpid()}"
    with temporary.open("wb") as file:
        file.write(canonical)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read_description(folder: Path) -> dict[str, Any]:
    try:
        return _canonical(json.loads((folder / "space.json").read_bytes()))[1]
    except (OSError, ValueError, StoreError) as error:
        raise StoreError(
            f"{folder / 'space.json'} cannot be read: {error}.",
            would_do="Remove the space and extract again.",
            run=f"showtell store --remove {folder.name}",
        ) from error


def _difference(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    names = sorted(name for name in {*kept, *asked} if kept.get(name) != asked.get(name))
    return "; ".join(f"{name} is {kept.get(name)!r} there, {asked.get(name)!r} here" for name in names)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _take_lock(path: Path, *, shared: bool) -> int:
    """Lock a space, for use or for removal; closing the descriptor, or the end of the process, lets go."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.utime(path)
    if os.name == "nt":  # where a folder with open files cannot be renamed, which serves the same end
        return descriptor
    try:
        # Waiting is short: an exclusive lock is held for a rename.
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreError(
            f"Feature space {path.stem} is open in this or another process.",
            would_do="Wait until it has ended, or stop it.",
        ) from error
    return descriptor


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"The feature store {root} cannot be used: {error}.",
            would_do="Free some space, or name a folder that this user may write to in SHOWTELL_STORE.",
            run="showtell store",
        ) from error
