"""Records of one space taken over into another: in the order of their keys, a batch at a time, resumable.

A grid file that is large is not copied: it gets a second name in the space that takes it over (see
`showtell.store.grid_files`), and its pooled features, a few percent of it, are copied. Everything else is
copied batch by batch. Either way a record is there only when its value in `pooled` is, as after any write.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from showtell.console import Console, human_bytes, human_time, many
from showtell.errors import StoreError
from showtell.store.description import description_difference, read_description
from showtell.store.environment import open_environment
from showtell.store.folders import bring_files, lock_space, retire
from showtell.store.grid_files import GridFiles
from showtell.store.record import RecordError
from showtell.store.space import FeatureSpace, Reader

LINK_FROM = 256 << 20
"""Size of a grid file, bytes, from which it is linked and not copied: below, files would become many."""
_BATCH_BYTES = 64 << 20
"""What is written in one transaction, since each waits for the disk."""


@dataclass(slots=True)
class Adopted:
    """What became of the records of a space that was taken over.

    Attributes:
        records: How many are new here.
        known: How many were here already.
        copied: Bytes that were copied.
        linked: Bytes of grids that did not have to be.
        damaged: Keys, hexadecimal, of those that were left out.
        seconds: How long it took.
    """

    records: int = 0
    known: int = 0
    copied: int = 0
    linked: int = 0
    damaged: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"{many(self.records, 'record', 'records')} taken over"]
        if self.records:
            rate = f" in {human_time(self.seconds)}" if self.seconds >= 1 else ""
            linked = f" and {human_bytes(self.linked)} linked" if self.linked else ""
            parts[0] += f", {human_bytes(self.copied)} copied{linked}{rate}"
        if self.known:
            parts.append(f"{self.known:,} were there already")
        if self.damaged:
            parts.append(
                f"{self.damaged[0][:12]}{' and others' if len(self.damaged) > 1 else ''}: "
                f"{many(len(self.damaged), 'record is', 'records are')} damaged and left out; "
                "the next extract encodes them again"
            )
        return "; ".join(parts)


def adopt(space: FeatureSpace, folder: Path, console: Console, *, link_from: int = LINK_FROM) -> Adopted:
    """Take the records of a finished space over, and remove its folder.

    Killed at any moment, it loses nothing and goes on when it is called again. A record that is here already
    stays as it is. A damaged one is left out, so that the next extraction encodes its image again.

    Args:
        space: Where the records go.
        folder: That of a space of the same description, which nobody has open: ``ROOT/<space id>``.
        console: Where to say what happens.
        link_from: Size of a grid file, bytes, from which it is linked.

    Raises:
        StoreError: The folder is no space, describes other features or is open; its files are damaged so
            that records cannot be found; or the disk is full. What was not taken over is still there.
        OSError: Its folder cannot be read.
    """
    description = read_description(folder)
    if difference := description_difference(description, space.description):
        raise StoreError(f"The features of {folder} do not belong into {space.folder}: {difference}.")
    if folder.samefile(space.folder):
        raise StoreError(f"Feature space {folder} cannot be taken over into itself.")
    lock = lock_space(folder, shared=False)
    try:
        # First, since a source that cannot be read is to leave no link here.
        pooled = open_environment(folder / "pooled")
        files = GridFiles(folder)
        linked = _link(files, space.grid_files, link_from)
        source = FeatureSpace(folder, description, lock, grid_files=files)
    except BaseException:
        os.close(lock)
        raise
    del pooled  # which the source holds now
    adopted = copy_records(source, space, console, linked)
    source.let_go()
    retire(folder)
    console.say(f"{folder}: {adopted}")
    return adopted


def _link(files: GridFiles, here: GridFiles, link_from: int) -> dict[int, int]:
    """Link large grid files, to be read by their new names; return the number here of each one there."""
    linked = {}
    for number in files.numbers():
        path = files.path(number)
        if not path.exists() or path.stat().st_size < link_from:
            continue
        new = here.number_of(path)  # by a call that was killed
        if new is None:
            # LMDB opens a file once a process, whatever its name: so it is looked at first.
            open_environment(path, frozen=True).let_go()
            new = here.link(path)
        if new is not None:
            files.lend(number, here[new])
            linked[number] = new
    return linked


def copy_records(
    source: FeatureSpace, space: FeatureSpace, console: Console, linked: dict[int, int] | None = None
) -> Adopted:
    """Write what a space lacks of another one's records, each byte for byte.

    Args:
        source: Of the same description.
        space: Where the records go.
        console: Shows the progress.
        linked: Number in ``space`` of each grid file of ``source`` that both have.

    Raises:
        StoreError: The source is damaged so that records cannot be found, or the disk is full.
    """
    started, adopted, linked = time.perf_counter(), Adopted(), linked or {}
    bring_files(source.folder, space.folder)
    with source.reading() as reader, console.bar(len(source), "taking over", "records") as bar:
        for batch in _batches(iter(source), max(1, _BATCH_BYTES // source.record_bytes)):
            missing = [batch[i] for i in space.missing(batch)]
            found = {key: _record(reader, key, linked) for key in missing}
            records = {key: record for key, record in found.items() if record is not None}
            adopted.records += space.commit(records)
            adopted.known += len(batch) - len(missing)
            adopted.damaged += [key.hex() for key in missing if key not in records]
            copies = sum(grid is not None for grid, _ in records.values())
            adopted.copied += len(records) * source.form.pooled_bytes + copies * source.form.grid_bytes
            adopted.linked += (len(records) - copies) * source.form.grid_bytes
            bar.update(len(batch))
    adopted.seconds = time.perf_counter() - started
    return adopted


def _batches(keys: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    while batch := list(islice(keys, size)):
        yield batch


def _record(reader: Reader, key: bytes, linked: dict[int, int]) -> tuple[Any | None, bytes] | None:
    """Return a record as `FeatureSpace.commit` takes it, or None for a damaged one.

    A grid that is copied is held against its checksum; of one that is linked only the length is looked at.
    """
    try:
        found = reader.record(key)
    except RecordError:
        return None
    here, expected = linked.get(found.file), found.checksum
    if here is not None and expected is not None:
        return None, reader.form.value(found.pooled, expected, here)
    own = found.own_checksum
    if expected not in (own, None):
        return None
    return (found.grid if here is None else None), reader.form.value(found.pooled, own, here or 0)
