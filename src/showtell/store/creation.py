"""A file of LMDB's that a power cut caught at its creation: nothing was in it, so it is made anew."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import lmdb

from showtell.files import take_lock

_SECTOR = 512
"""Bytes of which a disk writes all or none."""


def remove_unborn(data: Path, map_size: int) -> bool:
    """Remove a data file that LMDB refuses, if it never held a commit, so that it is made anew.

    Such a file is a part of what LMDB writes first of all: each sector is as in a new file, or empty. A file
    with a commit is longer and numbered, and is left as it is.

    Args:
        data: The file.
        map_size: With which files are made.

    Returns:
        Whether it can be opened now; else it may have held something, and is left as it is.

    Raises:
        OSError: It cannot be looked at, or another process is at it.
    """
    lock = take_lock(data.parent)
    try:
        with suppress(lmdb.Error):
            lmdb.open(os.fspath(data), subdir=False, readonly=True, lock=False).close()
            return True  # another process has made it anew
        content, new = data.read_bytes(), _new_file(data.parent, map_size)
        pairs = [
            (content[at : at + _SECTOR], new[at : at + _SECTOR]) for at in range(0, len(content), _SECTOR)
        ]
        if len(content) > len(new) or not all(
            there == made[: len(there)] or not any(there) for there, made in pairs
        ):
            return False
        data.unlink()
        return True
    finally:
        os.close(lock)


def _new_file(beside: Path, map_size: int) -> bytes:
    """Return what LMDB writes into a new file."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=beside) as folder:
        lmdb.open(folder, map_size=map_size).close()
        return (Path(folder) / "data.mdb").read_bytes()
