"""LMDB's errors in words: what is wrong, where, and what to do; its codes say nothing to a person."""

import errno
import os
import shutil
from pathlib import Path

import lmdb

from showtell.errors import StoreError
from showtell.files import nearest_existing

_FULL = {errno.ENOSPC, errno.EFBIG, errno.EIO} | {getattr(errno, "EDQUOT", errno.ENOSPC)}
_DAMAGED = (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError)


def explain(path: Path, error: lmdb.Error | OSError) -> StoreError:
    """Return the error to raise where LMDB, or the system below it, failed at ``path``."""
    if isinstance(error, OSError):
        if error.errno in _FULL:
            return _full(path, str(error))
        return StoreError(
            f"The feature store {path} cannot be opened: {error}.",
            hint="Name a folder that this user may write to in SHOWTELL_STORE.",
        )
    if isinstance(error, lmdb.DiskError) or error.code in _FULL:
        # LMDB calls a write that the disk took in part an input/output error.
        partly = "the disk took only a part of the batch"
        return _full(path, partly if error.code == errno.EIO else os.strerror(error.code))
    if isinstance(error, _DAMAGED):
        return StoreError(
            f"The feature store {path} is damaged: {error}.",
            hint="Remove it and extract again; other features in the store are not affected.",
            run="showtell store",
        )
    return StoreError(
        f"The feature store {path} cannot be used: {error}.",
        hint="It needs a local disk that this user may write to; network file systems do not do.",
    )


def _full(path: Path, reason: str) -> StoreError:
    free = shutil.disk_usage(nearest_existing(path)).free / 1e6
    return StoreError(
        f"The feature store {path} cannot be written: {reason} ({free:.0f} MB free on this disk).",
        hint="Nothing stored before is lost: free some space, or name a folder on another disk in "
        "SHOWTELL_STORE, and run the same command again; it goes on from here.",
        run="showtell store",
    )
