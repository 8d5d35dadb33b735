"""What files must not get wrong: written whole or not at all, locked, and kept in the right cache folder."""

import errno
import glob
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

if os.name != "nt":
    import fcntl

_HOST = "windows" if os.name == "nt" else os.uname().nodename
_STALE = 24 * 3600
"""Seconds until an untouched partial file of another machine is taken for that of a killed writer."""


def cache_root() -> Path:
    """Return the folder of showtell in the user's cache: by ``XDG_CACHE_HOME``, or as the system has it."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        base = Path(cache)
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "showtell"


def write_atomic(path: Path, content: str | bytes, *, durable: bool = False, errors: str = "strict") -> None:
    """Write a file so that it holds all of the old content or all of the new, whenever the process is killed.

    Several processes and threads may write one path at once: the last one wins.

    Args:
        path: The file; its folder exists.
        content: Bytes, or text that is written as UTF-8 with its line ends as they are.
        durable: Return only when the content is on the disk, so that a power cut does not lose it either.
        errors: What becomes of a character that UTF-8 does not have, such as of a file name that is no UTF-8:
            ``strict`` or another error handler of Python's.

    Raises:
        OSError: It cannot be written; the old file is left as it was.
        UnicodeEncodeError: The text has a character that UTF-8 does not have, and ``errors`` is ``strict``.
    """
    data = content.encode("utf-8", errors) if isinstance(content, str) else content
    _remove_stale(path)
    partial = _partial(path)
    try:
        with partial.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def numbered(name: str) -> Iterator[str]:
    """Yield names of which one is free: the given one, then ``name-2``, ``name-3`` and so on."""
    yield name
    for number in count(2):
        yield f"{name}-{number}"


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a new folder that then stands under its name whole or not at all.

    Args:
        path: The folder, which is missing or empty; the folder above it exists.

    Yields:
        An empty folder beside it to write into. It is renamed at the end, and removed after an error.

    Raises:
        OSError: It cannot be made, or somebody else has filled ``path`` meanwhile.
    """
    _remove_stale(path)
    partial = _partial(path)
    partial.mkdir()
    try:
        yield partial
        with suppress(FileNotFoundError):
            path.rmdir()  # Windows renames onto no folder, not even an empty one
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP})
"""What locking a file fails with on a disk that knows no locks, as some of networks and clusters."""


def take_lock(path: Path, *, shared: bool = False, needed: bool = True) -> int:
    """Lock a file or folder for this process until its descriptor is closed or the process ends.

    Windows locks nothing here: it renames and removes no folder with open files, which serves the same end.

    Args:
        path: A folder, or a file, which is made where it is missing.
        shared: Let others share the lock; waits for the end of an exclusive one. An exclusive lock is refused
            at once while anybody holds another.
        needed: Whether a disk without locks will not do; else nothing is locked there.

    Returns:
        The descriptor to close.

    Raises:
        BlockingIOError: Somebody else holds it.
        OSError: It cannot be opened, or needs a lock and lies on a disk without.
    """
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags, 0o644)
    try:
        if os.name != "nt":
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in NO_LOCKS and not needed:
            return descriptor
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder alone, where its disk and the system know locks; elsewhere hold nothing.

    Raises:
        BlockingIOError: Somebody else holds it, in this process or another.
    """
    descriptor = None
    try:
        descriptor = take_lock(folder)
    except BlockingIOError:
        raise
    except OSError:
        pass  # some shared disks have no locks, and Windows opens no folder
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _partial(path: Path) -> Path:
    """Return a hidden name beside a path that no other process or thread uses."""
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{threading.get_ident()}.partial")


def _remove_stale(path: Path) -> None:
    """Remove what writers of this path have left that were killed."""
    with suppress(OSError):
        for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            if _is_left_over(partial, f".{path.name}.{_HOST}."):
                shutil.rmtree(partial, ignore_errors=True) if partial.is_dir() else partial.unlink()


def _is_left_over(partial: Path, here: str) -> bool:
    """Say whether the writer of a partial file is gone; ``here`` begins the names of this machine's."""
    if os.name != "nt" and partial.name.startswith(here):
        try:
            os.kill(int(partial.name.removeprefix(here).split(".")[0]), 0)
        except ProcessLookupError:
            return True
        except (ValueError, OverflowError, PermissionError):
            pass
    return time.time() - partial.stat().st_mtime > _STALE


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text that somebody else may have written.

    Raises:
        ValueError: It is no JSON, or nests too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it nests lists or objects too deeply") from None


def nearest_existing(path: Path) -> Path:
    """Return a path that is there: the given one, or the first of the folders above it that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())


def make_folder(folder: Path) -> None:
    """Make a folder where it is missing, and those above it, so that a power cut takes none of them back.

    Raises:
        OSError: It cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Put a rename on the disk; Windows and some file systems do it by themselves or not at all."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
