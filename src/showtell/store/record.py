"""What a record is in bytes: the raw little-endian numbers of an image, a checksum, and where its grid lies.

The value in `pooled` is the pooled features and eight bytes: the CRC-32 of grid and pooled features, and the
number of the file that holds the grid. A value without the eight bytes is a record without a checksum whose
grid lies in file 0.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from showtell.errors import StoreError
from showtell.store.description import layout_of

Array = npt.NDArray[Any]

# Little-endian wherever it was written, so that a store can move.
_DTYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
_END = struct.Struct("<II")


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


class RecordError(StoreError):
    """A record that is missing, or does not have the length it should."""


class Record(NamedTuple):
    """A record as it lies in the store."""

    grid: Any | None
    """Bytes of the grid; None where the space keeps none."""
    pooled: Any
    """Bytes of the pooled features."""
    checksum: int | None
    """CRC-32 of the grid's bytes and, after them, the pooled features'; None where there is none."""
    file: int
    """Number of the file that holds the grid."""

    @property
    def own_checksum(self) -> int:
        """Return the checksum of the bytes as they are."""
        return checksum(self.grid, self.pooled)


class RecordForm:
    """The shapes and lengths of a space's records.

    Args:
        description: Of the space.

    Attributes:
        dtype: Of the numbers, little-endian.
        grid_shape: (L, D), or None for no grid.
        pooled_dim: D of the pooled features.
        pooled_bytes: Length of the pooled features.
        value_lengths: Lengths of a value in `pooled`, without and with its end.
        grid_bytes: Length of a grid; 0 for none.
    """

    def __init__(self, description: Mapping[str, object]) -> None:
        layout = layout_of(description)
        self.dtype = _DTYPES[layout.dtype]
        self.grid_shape, self.pooled_dim = layout.grid_shape, layout.pooled_dim
        self.pooled_bytes = self.pooled_dim * self.dtype.itemsize
        self.value_lengths = self.pooled_bytes, self.pooled_bytes + _END.size
        self.grid_bytes = int(np.prod(self.grid_shape)) * self.dtype.itemsize if self.grid_shape else 0

    def value(self, pooled: Any, checksum: int, file: int = 0) -> bytes:
        """Return the value of a record in `pooled`.

        Args:
            pooled: Bytes of the pooled features.
            checksum: Of the record; see :func:`checksum`.
            file: Number of the file that holds the grid.
        """
        return bytes(pooled) + _END.pack(checksum, file)

    def end(self, value: Any) -> tuple[int | None, int]:
        """Return what the end of a value in `pooled` says: the checksum, and the file that holds the grid."""
        return (None, 0) if len(value) == self.pooled_bytes else _END.unpack_from(value, self.pooled_bytes)

    def encode(self, key: bytes, values: Array | None, shape: tuple[int, ...] | None, what: str) -> Any:
        """Return features as they are stored, contiguous; None where the space keeps none.

        Raises:
            StoreError: They have another shape, or a value that the dtype has not.
        """
        found = None if values is None else values.shape
        if found != shape:
            raise StoreError(f"{what} of {key.hex()[:12]} has the shape {found}; its space keeps {shape}.")
        if values is None:
            return None
        with np.errstate(over="ignore"):
            encoded = np.ascontiguousarray(values, self.dtype)
        if not _all_finite(encoded):
            raise StoreError(
                f"{what} of {key.hex()[:12]} holds values that {self.dtype.name} cannot: "
                f"the largest is {np.abs(values).max():g}.",
                hint="Expected other weights, or a lower learning_rate where the network was fine-tuned; a "
                "program can keep float32 features.",
            )
        return encoded


def checksum(grid: Any | None, pooled: Any) -> int:
    """Return the CRC-32 of a record's grid, None for none, and pooled features: buffers of bytes."""
    return zlib.crc32(pooled, 0 if grid is None else zlib.crc32(grid))


def _all_finite(values: Array) -> bool:
    if values.dtype.itemsize == 2:
        # By the bits, since numpy's isfinite is 50 times slower on float16: infinity and NaN lie above all
        # other numbers of their sign, read as signed for the positive ones and as unsigned for the rest.
        positive_fit = values.view(np.int16).max() < 0x7C00
        return bool(positive_fit and values.view(np.uint16).max() < 0xFC00)
    return bool(np.isfinite(values).all())
