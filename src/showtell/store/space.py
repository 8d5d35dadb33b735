"""A feature space: the records of one backbone, layer, preprocessing and precision.

A record's key is the image's content digest and, for an augmented view, a hash of the view; its value is
the raw little-endian numbers. `pooled` and `grid` are LMDB environments of their own: what a classifier
reads, pooled features only, lies densely in a small file, whatever the system reads ahead.

A record is there when its pooled features are, and they are committed last. A writer holds the lock of
`pooled` around the whole batch, so a kill in between leaves at most grids that nobody can see and that the
next writer of the same images replaces.
"""

import hashlib
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from showtell.errors import StoreError
from showtell.store.description import layout_of
from showtell.store.environment import open_environment

Array = npt.NDArray[Any]

# Little-endian wherever it was written, so that a store can move.
_DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}

_TELLING = 200
"""Records that are looked at to tell in which order a file holds them."""


def content_digest(content: bytes) -> bytes:
    """Return the 32-byte SHA-256 of an image's file content."""
    return hashlib.sha256(content).digest()


def record_key(digest: bytes, view: str = "") -> bytes:
    """Return the key of a record.

    Args:
        digest: The image's `content_digest`.
        view: What was done to the image before the backbone's own preprocessing; empty for nothing.
    """
    return digest + hashlib.blake2b(view.encode(), digest_size=16).digest() if view else digest


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
        self, folder: Path, description: Mapping[str, object], lock: int, *, map_size: int | None = None
    ) -> None:
        self.id, self.folder = folder.name, folder
        self.description: Mapping[str, Any] = description
        layout = layout_of(description)
        self.dtype = _DTYPES[layout.dtype]
        self.grid_shape, self.pooled_dim = layout.grid_shape, layout.pooled_dim
        self._pooled = open_environment(folder / "pooled", map_size=map_size)
        self._grid = open_environment(folder / "grid", map_size=map_size) if self.grid_shape else None
        self._pooled_bytes = self.pooled_dim * self.dtype.itemsize
        self._grid_bytes = int(np.prod(self.grid_shape)) * self.dtype.itemsize if self.grid_shape else 0
        self.record_bytes = self._pooled_bytes + self._grid_bytes
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
        records = {
            key: (self._encode(key, grid, "grid"), self._encode(key, pooled, "pooled"))
            for key, grid, pooled in items
        }
        keys = sorted(records)

        def write_grids(transaction: Any, written: list[bytes]) -> None:
            for key in written:
                transaction.put(key, records[key][0])  # over what a killed writer may have left

        def write(transaction: Any) -> int:
            written = [key for key in keys if transaction.put(key, records[key][1], overwrite=overwrite)]
            if self._grid is not None and written:
                self._grid.write(lambda inner: write_grids(inner, written))
            return len(written)

        return self._pooled.write(write) if keys else 0

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

    def get_pooled(self, keys: Sequence[bytes]) -> Array:
        """Read pooled features (N, D) alone; the grids are not touched.

        Raises:
            StoreError: A record is missing or does not have the length it should.
        """
        with self._pooled.reading() as transaction:
            values = list(map(transaction.get, keys))
            for key, value in zip(keys, values):
                if value is None or len(value) != self._pooled_bytes:
                    Reader(self, transaction, None).pooled(key)
            joined = bytearray().join(values)  # half the time of a copy a record by numpy
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
            pooled = stack.enter_context(self._pooled.reading())
            # Opened after the pooled snapshot, this one holds the grid of every record in that.
            grid = stack.enter_context(self._grid.reading()) if self._grid is not None else None
            yield Reader(self, pooled, grid)

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
        if not _all_finite(encoded):
            raise StoreError(
                f"{what} of {key.hex()[:12]} holds values that {self.dtype.name} cannot: "
                f"the largest is {np.abs(values).max():g}.",
                hint="float32 features hold them, unless the network itself gives no finite numbers.",
            )
        return encoded


class Reader:
    """A snapshot of a space. Get one from `FeatureSpace.reading`."""

    def __init__(self, space: FeatureSpace, pooled: Any, grid: Any | None) -> None:
        self._space = space
        self._pooled = pooled
        self._grid = grid

    def pooled(self, key: bytes) -> Array:
        """Return pooled features (D,), read-only, without a copy.

        Raises:
            StoreError: There is no such record, or it does not have the length it should.
        """
        value = self._checked(key, self._pooled.get(key), self._space._pooled_bytes)
        return np.frombuffer(value, self._space.dtype)

    def grid(self, key: bytes) -> Array:
        """Return a grid (L, D), read-only, without a copy.

        Raises:
            StoreError: There is no such record, or it does not have the length it should.
        """
        if self._grid is None or self._space.grid_shape is None:
            raise StoreError(f"Feature space {self._space.id} keeps pooled features only.")
        value = self._checked(key, self._grid.get(key), self._space._grid_bytes)
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
                hint="Extract the features of this data set first.",
                run="showtell extract DATA",
            )
        raise StoreError(
            f"{where} is damaged: record {key.hex()[:12]} has {len(value)} bytes instead of {length}.",
            hint="Remove the space and extract again.",
            run=f"showtell store --remove {self._space.id}",
        )


def _all_finite(values: Array) -> bool:
    if values.dtype.itemsize == 2:
        # By the bits, since numpy's isfinite is 50 times slower on float16: infinity and NaN lie above all
        # other numbers of their sign, read as signed for the positive ones and as unsigned for the rest.
        positive_fit = values.view(np.int16).max() < 0x7C00
        return bool(positive_fit and values.view(np.uint16).max() < 0xFC00)
    return bool(np.isfinite(values).all())
