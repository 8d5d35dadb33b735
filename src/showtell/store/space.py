"""A feature space: the records of one backbone, layer, preprocessing and precision.

A record's key is the image's content digest and, for an augmented view, a hash of the view; its value is
the raw little-endian numbers. `pooled` and the files of grids are LMDB environments of their own: what a
classifier reads, pooled features only, lies densely in a small file, whatever the system reads ahead.

A record is there when its value in `pooled` is, which is committed last and says which file has the grid. A
writer holds the lock of `pooled` around the whole batch, so a kill in between leaves at most grids that
nobody can see and that the next writer of the same images replaces.
"""

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from showtell.console import Console, Log
from showtell.store.environment import open_environment
from showtell.store.grid_files import GridFiles
from showtell.store.record import Array, Record, RecordError, RecordForm, checksum

_TELLING = 200
"""Records that are looked at to tell in which order a file holds them."""


class FeatureSpace:
    """The features of one backbone, layer, preprocessing and precision. Get one from `FeatureStore.space`.

    Attributes:
        id: Its name in the store.
        description: Everything that shaped the features.
        dtype: Of the numbers as stored, little-endian.
        grid_shape: (L, D), or None where the space keeps no grid.
        pooled_dim: D of the pooled features.
        record_bytes: Size of one record.
        form: Its records in bytes.
        grid_files: The files that hold its grids.
    """

    def __init__(
        self,
        folder: Path,
        description: Mapping[str, object],
        lock: int,
        *,
        map_size: int | None = None,
        grid_files: GridFiles | None = None,
    ) -> None:
        self.id, self.folder = folder.name, folder
        self.description: Mapping[str, Any] = description
        self.form = RecordForm(description)
        self.dtype, self.grid_shape = self.form.dtype, self.form.grid_shape
        self.pooled_dim = self.form.pooled_dim
        self.record_bytes = self.form.pooled_bytes + self.form.grid_bytes
        self._pooled = open_environment(folder / "pooled", map_size=map_size)
        self.grid_files = grid_files or GridFiles(folder, map_size)
        if self.grid_shape is not None:
            self.grid_files.open_all()
        weakref.finalize(self, os.close, lock)

    def __len__(self) -> int:
        return len(self._pooled)

    def __contains__(self, key: bytes) -> bool:
        return not self.missing([key])

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of the keys that have no record, in ascending order."""
        # In the order of the tree, so that each of its pages is visited once.
        order = sorted(range(len(keys)), key=keys.__getitem__)
        with self._pooled.reading() as transaction:
            return sorted(i for i in order if transaction.get(keys[i]) is None)

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
        records = {}
        for key, grid, pooled in items:
            coded = self.form.encode(key, grid, self.grid_shape, "grid")
            value = self.form.encode(key, pooled, (self.pooled_dim,), "pooled")
            records[key] = coded, self.form.value(value.data, checksum(coded, value))
        return self.commit(records, overwrite=overwrite)

    def commit(self, records: Mapping[bytes, tuple[Any | None, bytes]], *, overwrite: bool = False) -> int:
        """Write records that are encoded already: all of them are committed and on the disk, or none is.

        Args:
            records: By key, the grid's bytes, None where another file than the written one holds it, and the
                value in `pooled`.
            overwrite: Whether to replace records that are there.

        Returns:
            How many records were new or replaced.

        Raises:
            StoreError: The disk is full, or the space cannot be written.
        """
        keys = sorted(records)

        def write_grids(transaction: Any, written: list[bytes]) -> None:
            for key in written:
                transaction.put(key, records[key][0])  # over what a killed writer may have left

        def write(transaction: Any) -> int:
            written = [key for key in keys if transaction.put(key, records[key][1], overwrite=overwrite)]
            here = [key for key in written if records[key][0] is not None]
            if here:
                self.grid_files[0].write(lambda inner: write_grids(inner, here))
            return len(written)

        return self._pooled.write(write) if keys else 0

    def drop(self, keys: Sequence[bytes]) -> None:
        """Take records out.

        Their grids stay where nobody can see them: a writer of the same image writes over them.

        Raises:
            StoreError: The space cannot be written.
        """

        def delete(transaction: Any) -> None:
            for key in keys:
                transaction.delete(key)

        if keys:
            self._pooled.write(delete)

    def get(self, keys: Sequence[bytes]) -> tuple[Array | None, Array]:
        """Read a batch of records, copied once, from the memory map into the batch.

        Args:
            keys: N keys, in any order.

        Returns:
            grid (N, L, D), or None where the space keeps none; and pooled (N, D); in the space's dtype.

        Raises:
            RecordError: A record is missing or does not have the length it should.
        """
        pooled = np.empty((len(keys), self.pooled_dim), self.dtype)
        grid = None if self.grid_shape is None else np.empty((len(keys), *self.grid_shape), self.dtype)
        with self.reading() as reader:
            for i, key in enumerate(keys):
                seen, pooled[i] = reader.view(key)
                if grid is not None:
                    grid[i] = seen
        return grid, pooled

    def get_pooled(self, keys: Sequence[bytes]) -> Array:
        """Read pooled features (N, D) alone; the grids are not touched.

        Raises:
            RecordError: A record is missing or does not have the length it should.
        """
        length, lengths = self.form.pooled_bytes, self.form.value_lengths
        with self.reading() as reader:
            values = list(map(reader.values.get, keys))
            for key, value in zip(keys, values):
                if value is None or len(value) not in lengths:
                    reader.value(key)
            # One join takes half the time of a copy a record by numpy.
            joined = bytearray().join([value[:length] for value in values])
        return np.frombuffer(joined, self.dtype).reshape(len(keys), self.pooled_dim)

    def in_file_order(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of keys in about the order in which their records lie in the file.

        Records lie as they were written: in the order of the images, or in that of the keys where a whole
        space was taken over. LMDB does not say which without reading all of them, but some tell.
        """
        by_key = sorted(range(len(keys)), key=keys.__getitem__)
        step = -(-len(keys) // _TELLING)

        def way(order: Sequence[int]) -> int:
            with self.reading() as reader:
                values = [reader.view(keys[position]) for position in order[::step]]
                places = [int((pooled if grid is None else grid).ctypes.data) for grid, pooled in values]
            return sum(abs(after - before) for before, after in pairwise(places))

        return min(list(range(len(keys))), by_key, key=way) if keys else []

    @contextmanager
    def reading(self) -> Iterator["Reader"]:
        """Open a snapshot whose arrays lie in the memory map itself and are valid until the block ends."""
        with ExitStack() as stack:
            yield Reader(self, stack.enter_context(self._pooled.reading()), stack)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the key of every record that is there now, in ascending order."""
        with self._pooled.reading() as transaction:
            for key in transaction.cursor().iternext(keys=True, values=False):
                yield bytes(key)

    def adopt(self, folder: Path, *, console: Console | None = None) -> int:
        """Take the records of a finished space of the same description over; its folder is gone afterwards.

        See :func:`showtell.store.adopt.adopt`.
        """
        from showtell.store.adopt import adopt  # which takes spaces itself

        return adopt(self, folder, console or Log()).records

    def let_go(self) -> None:
        """Close the space's files unless they are being read; the next use opens them again."""
        self._pooled.let_go()
        self.grid_files.let_go()


class Reader:
    """A snapshot of a space. Get one from `FeatureSpace.reading`.

    Attributes:
        form: The records in bytes.
        values: The transaction on `pooled`.
    """

    def __init__(self, space: FeatureSpace, pooled: Any, stack: ExitStack) -> None:
        self._space, self.form, self.values = space, space.form, pooled
        self._grids: dict[int, Any] = {}
        self._stack = stack

    def view(self, key: bytes) -> tuple[Array | None, Array]:
        """Return a record's grid, None where the space keeps none, and pooled features, without a copy.

        Raises:
            RecordError: There is no such record, or it does not have the length it should.
        """
        found, form = self.record(key), self.form
        grid = None if found.grid is None else np.frombuffer(found.grid, form.dtype).reshape(form.grid_shape)
        return grid, np.frombuffer(found.pooled, form.dtype)

    def record(self, key: bytes) -> Record:
        """Return the bytes of a record, without a copy, and what its end says of them.

        Raises:
            RecordError: There is no such record, or it does not have the length it should.
        """
        value = self.value(key)
        expected, file = self.form.end(value)
        grid = self._grid_value(key, file) if self.form.grid_bytes else None
        return Record(grid, value[: self.form.pooled_bytes], expected, file)

    def value(self, key: bytes) -> Any:
        """Return the bytes of a record in `pooled`.

        Raises:
            RecordError: There is no such record, or it does not have the length it should.
        """
        value = self.values.get(key)
        if value is None or len(value) not in self.form.value_lengths:
            raise self._refusal(key, value, self.form.pooled_bytes)
        return value

    def _grid_value(self, key: bytes, file: int) -> Any:
        """Return the bytes of a grid in the file that a record names."""
        transaction = self._grids.get(file)
        if transaction is None:
            if not self._space.grid_files.path(file).exists():
                raise self._refusal(key, None, self.form.grid_bytes)
            # Opened after the pooled snapshot, this one holds the grid of every record in that.
            transaction = self._stack.enter_context(self._space.grid_files[file].reading())
            self._grids[file] = transaction
        value = transaction.get(key)
        if value is None or len(value) != self.form.grid_bytes:
            raise self._refusal(key, value, self.form.grid_bytes)
        return value

    def _refusal(self, key: bytes, value: Any, length: int) -> RecordError:
        where = f"Feature space {self._space.id}"
        if value is None:
            return RecordError(
                f"{where} has no record {key.hex()[:12]}.",
                hint="Extract the features of this data set first.",
                run="showtell extract DATA",
            )
        return RecordError(
            f"{where} is damaged: record {key.hex()[:12]} has {len(value)} bytes instead of {length}.",
            hint="Take out what is damaged, and extract again.",
            run="showtell store --verify",
        )
