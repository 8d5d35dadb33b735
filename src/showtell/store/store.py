"""The feature store: what a backbone saw in an image, kept once, addressed by the image's content.

ROOT/images/          path, size and times of a file -> SHA-256 of its content
ROOT/<space id>/      one feature space: `space.json` (what shaped the features), `pooled/`, `grid/`
ROOT/<space id>.lock  held by whoever has the space open; its time is when the space was last used
ROOT/kept/            decoded images, where they are kept
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from showtell.errors import StoreError
from showtell.files import NO_LOCKS, cache_root, make_folder
from showtell.store.description import (
    canonical_description,
    read_description,
    settle_description,
    space_id,
)
from showtell.store.environment import open_environment
from showtell.store.folders import lock_path, lock_space, retire, size_on_disk
from showtell.store.kept_images import NAME, KeptImages
from showtell.store.known_files import FileStamp, KnownFiles
from showtell.store.record import content_digest, record_key
from showtell.store.space import FeatureSpace, Reader

__all__ = [
    "FeatureSpace",
    "FeatureStore",
    "FileStamp",
    "Reader",
    "SpaceInfo",
    "content_digest",
    "default_root",
    "record_key",
]

_KNOWN_FILES = "images"
_SPACE_ID = re.compile(r"[0-9a-f]{16}")


def default_root() -> Path:
    """Return the folder of the store: ``SHOWTELL_STORE``, or a folder in the user's cache."""
    if named := os.environ.get("SHOWTELL_STORE"):
        return Path(named).expanduser()
    return cache_root() / "features"


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
        keep_images: Whether to keep images that are decoded for it, too.

    Attributes:
        kept: The decoded images that are kept.
    """

    def __init__(self, root: Path | None = None, *, keep_images: bool = False) -> None:
        self.root = Path(root) if root is not None else default_root()
        self.kept = KeptImages(self.root / "kept", keep_images)
        self._known_files: KnownFiles | None = None

    def space(self, description: Mapping[str, object], *, map_size: int | None = None) -> FeatureSpace:
        """Open the space of the features that ``description`` describes; create it where it is new.

        Args:
            description: Everything that shaped the features, as JSON values: weights hash, layer,
                preprocessing, precision. Needed by the store itself: ``dtype`` ("float16" or "float32"),
                ``grid_shape`` ([L, D] or None for no grid) and ``pooled_dim``.
            map_size: First size of the memory map, bytes; None for the system's default.

        Raises:
            StoreError: The store cannot be opened, or holds something else under this description.
        """
        canonical, description = canonical_description(description)
        name = space_id(canonical)
        folder = self.root / name
        with _explained(self.root):
            make_folder(self.root)
            lock = lock_space(folder, shared=True)
            try:
                os.utime(lock)
                settle_description(folder, canonical, description)
                return FeatureSpace(folder, description, lock, map_size=map_size)
            except BaseException:
                os.close(lock)
                raise

    def folder_of(self, description: Mapping[str, object]) -> Path:
        """Return the folder of the space of a description, whether there is one or not."""
        return self.root / space_id(canonical_description(description)[0])

    def spaces(self) -> list[SpaceInfo]:
        """List every feature space, the most recently used first."""
        with _explained(self.root):
            folders = sorted(path for path in self.root.glob("*") if _SPACE_ID.fullmatch(path.name))
            found = [self._info(folder) for folder in folders]
        return sorted(found, key=lambda info: (-info.last_used, info.id))

    def kept_info(self) -> SpaceInfo:
        """Return what the kept images are, in the words of a feature space."""
        found = [status for _, status in self.kept.files()]
        used = max((status.st_mtime for status in found), default=0.0)
        return SpaceInfo(NAME, {}, len(found), sum(status.st_size for status in found), used)

    def remove(self, name: str) -> int:
        """Delete a feature space and give its room back to the disk at once.

        Returns:
            The bytes that were freed.

        Raises:
            StoreError: There is no such space, or it is open somewhere.
        """
        folder = self.root / name
        with _explained(self.root):
            if not _SPACE_ID.fullmatch(name) or not folder.is_dir():
                raise StoreError(f"The feature store {self.root} has no space {name}.", run="showtell store")
            lock = lock_space(folder, shared=False)
            try:
                size = size_on_disk(folder)
                retire(folder)
                shutil.rmtree(self.root / "jobs" / name, ignore_errors=True)  # of workers that were stopped
            finally:
                os.close(lock)
        return size

    def digest_of(self, stamp: FileStamp) -> bytes | None:
        """Return the content digest of a file that has not changed since its content was read, else None."""
        return self._known().digest_of(stamp)

    def remember_digests(self, items: Iterable[tuple[FileStamp, bytes]]) -> int:
        """Remember files' `content_digest`, with stamps taken before reading; see `KnownFiles.remember`."""
        return self._known().remember(items)

    def adopt_known_files(self, other: Path) -> int:
        """Take over what another store, at the folder ``other``, knows of files; see `KnownFiles.adopt`."""
        folder = Path(other) / _KNOWN_FILES
        return self._known().adopt(folder) if folder.is_dir() else 0

    def _known(self) -> KnownFiles:
        if self._known_files is None:
            self._known_files = KnownFiles(self.root / _KNOWN_FILES)
        return self._known_files

    def _info(self, folder: Path) -> SpaceInfo:
        path = lock_path(folder)
        used = path.stat().st_mtime if path.exists() else folder.stat().st_mtime
        lock = lock_space(folder, shared=True)
        try:
            description = read_description(folder)
            records = len(open_environment(folder / "pooled"))
        except StoreError as error:
            return SpaceInfo(folder.name, {}, 0, size_on_disk(folder), used, error.what)
        finally:
            os.close(lock)
        return SpaceInfo(folder.name, description, records, size_on_disk(folder), used)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"The feature store {root} cannot be used: {error}."
        if error.errno in NO_LOCKS:
            raise StoreError(
                what,
                hint="Its disk has no file locks, as some of networks and clusters have none. Name a folder "
                "on a disk of this machine in SHOWTELL_STORE.",
            ) from error
        raise StoreError(
            what,
            hint="Free some space, or name a folder that this user may write to in SHOWTELL_STORE.",
            run="showtell store",
        ) from error
