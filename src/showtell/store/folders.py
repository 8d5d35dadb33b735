"""The folder of a space: its lock, its size on the disk, and its end."""

import os
import shlex
import shutil
from pathlib import Path

from showtell.errors import StoreError
from showtell.files import take_lock, write_atomic


def removal_of(folder: Path) -> str:
    """Return what removes a space: of this store, and not of the one that is used by default."""
    return f"showtell store --store {shlex.quote(str(folder.parent))} --remove {folder.name}"


def lock_path(folder: Path) -> Path:
    """Return the file whose lock says that a space is open, and whose time when it was last used."""
    return folder.with_name(f"{folder.name}.lock")


def lock_space(folder: Path, *, shared: bool) -> int:
    """Lock a space for use, or alone; closing the descriptor, or the end of the process, lets go.

    Raises:
        StoreError: It is to be locked alone, and is open somewhere.
        OSError: The lock cannot be made.
    """
    try:
        return take_lock(lock_path(folder), shared=shared)
    except BlockingIOError as error:
        raise StoreError(
            f"Feature space {folder.name} is open in this or another process.",
            hint="Wait until it has ended, or stop it.",
        ) from error


def size_on_disk(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def bring_files(source: Path, folder: Path) -> None:
    """Copy what else lies in a space and is absent here, such as the graph that an engine has kept there.

    Raises:
        OSError: The disk is full, or one cannot be read.
    """
    for path in source.iterdir():
        if path.is_file() and not path.name.startswith(".") and not (folder / path.name).exists():
            write_atomic(folder / path.name, path.read_bytes(), durable=True)


def retire(folder: Path) -> None:
    """Delete the folder of a space that is locked alone: from the first moment on nobody opens half of it.

    Raises:
        StoreError: It cannot be deleted.
    """
    for left_over in folder.parent.glob(".removed-*"):  # by a removal that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    doomed = folder.with_name(f".removed-{folder.name}-{os.getpid()}")
    try:
        folder.rename(doomed)
    except OSError as error:
        raise StoreError(f"{folder} cannot be deleted: {error.strerror or error}.") from error
    shutil.rmtree(doomed, ignore_errors=True)
    if doomed.exists():
        raise StoreError(f"{doomed} cannot be deleted.", hint="Its files belong to somebody else; ask them.")
