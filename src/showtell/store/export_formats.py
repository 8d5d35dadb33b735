"""The formats of an export, each written by the library that reads it.

Every row has `name` (of the image, or its key), `key` (the SHA-256 of its content, hexadecimal), and, where a
data set tells them, `label`, `captions` and `split`.

| format | files | features |
|---|---|---|
| npy | grid.npy, pooled.npy, rows.jsonl | (N, L, D) and (N, D): row i is line i |
| safetensors | features-00000.safetensors, rows.jsonl | a file: `grid` (n, L, D) and `pooled` (n, D) |
| parquet | features-00000.parquet | columns of the row, `grid` and `pooled` as tensors of a fixed shape |
| webdataset | features-000000.tar | a sample of `json`, `grid.npy` and `pooled.npy` an image |
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from showtell.errors import MissingExtraError
from showtell.store.record import Array, RecordForm
from showtell.store.settings import ExportFormat

_SHARD_BYTES = 1 << 30


class Row(NamedTuple):
    """What is known of an image: its record's key, name, label, captions and split."""

    key: bytes
    name: str
    label: str | None = None
    captions: tuple[str, ...] = ()
    split: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return self._asdict() | {"key": self.key.hex(), "captions": list(self.captions)}


class Writer(Protocol):
    """Writes one export.

    Args:
        folder: Where to, empty.
        form: Of the records.
        count: How many rows will come.

    Raises:
        MissingExtraError: A package is not installed.
    """

    def __init__(self, folder: Path, form: RecordForm, count: int) -> None: ...

    def write(self, rows: Sequence[Row], grid: Array | None, pooled: Array) -> None:
        """Write rows: grids (N, L, D), or None where the space keeps none, and pooled features (N, D)."""
        ...

    def close(self) -> None:
        """Finish the last file."""
        ...


class NpyWriter:
    """Two arrays that NumPy maps into memory, and the rows beside them; see `Writer`."""

    def __init__(self, folder: Path, form: RecordForm, count: int) -> None:
        def new(name: str, *shape: int) -> Any:
            return np.lib.format.open_memmap(folder / name, "w+", form.dtype, (count, *shape))

        self._pooled = new("pooled.npy", form.pooled_dim)
        self._grid = new("grid.npy", *form.grid_shape) if form.grid_shape else None
        self._rows = (folder / "rows.jsonl").open("w", encoding="utf-8")
        self._at = 0

    def write(self, rows: Sequence[Row], grid: Array | None, pooled: Array) -> None:
        """See `Writer`."""
        to = slice(self._at, self._at + len(rows))
        self._pooled[to] = pooled
        if self._grid is not None:
            self._grid[to] = grid
        self._at = to.stop
        _write_lines(self._rows, rows)

    def close(self) -> None:
        """See `Writer`."""
        self._rows.close()
        for array in (self._pooled, self._grid):
            if array is not None:
                array.flush()


class SafetensorsWriter:
    """Files of at most a gigabyte, and the rows of all of them in order; see `Writer`."""

    def __init__(self, folder: Path, form: RecordForm, count: int) -> None:
        self._folder, self._number = folder, 0
        self._rows = (folder / "rows.jsonl").open("w", encoding="utf-8")

    def write(self, rows: Sequence[Row], grid: Array | None, pooled: Array) -> None:
        """See `Writer`."""
        from safetensors.numpy import save_file

        tensors = {"pooled": pooled} | ({} if grid is None else {"grid": grid})
        save_file(tensors, self._folder / f"features-{self._number:05d}.safetensors")
        self._number += 1
        _write_lines(self._rows, rows)

    def close(self) -> None:
        """See `Writer`."""
        self._rows.close()


class ParquetWriter:
    """Columns of Arrow's tensors, a file a gigabyte; see `Writer`."""

    def __init__(self, folder: Path, form: RecordForm, count: int) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingExtraError("pyarrow", "parquet", "Writing Parquet") from None
        self._arrow = pyarrow
        self._folder, self._number, self._written = folder, 0, 0
        self._file: Any = None

    def write(self, rows: Sequence[Row], grid: Array | None, pooled: Array) -> None:
        """See `Writer`."""
        arrow = self._arrow
        strings = {name: arrow.string() for name in ("name", "key", "label", "split")}
        records = [row.record() for row in rows]
        columns = {name: arrow.array([r[name] for r in records], kind) for name, kind in strings.items()}
        columns["captions"] = arrow.array([r["captions"] for r in records], arrow.list_(arrow.string()))
        tensors = {"pooled": pooled} | ({} if grid is None else {"grid": grid})
        for name, values in tensors.items():
            columns[name] = arrow.FixedShapeTensorArray.from_numpy_ndarray(values)
        table = arrow.table(columns)
        if self._file is None:
            path = self._folder / f"features-{self._number:05d}.parquet"
            # Numbers of a network do not compress; words do.
            words = ["name", "key", "label", "split", "captions.list.element"]
            compression = dict.fromkeys(words, "zstd")
            self._file = arrow.parquet.ParquetWriter(
                path, table.schema, compression=compression, use_dictionary=False
            )
            self._number += 1
        self._file.write_table(table)
        self._written += table.nbytes
        if self._written >= _SHARD_BYTES:
            self.close()

    def close(self) -> None:
        """See `Writer`."""
        if self._file is not None:
            self._file.close()
        self._file, self._written = None, 0


class WebdatasetWriter:
    """Tars of at most a gigabyte, an image a sample, by its number; see `Writer`."""

    def __init__(self, folder: Path, form: RecordForm, count: int) -> None:
        try:
            from webdataset import ShardWriter
        except ImportError:
            raise MissingExtraError("webdataset", "webdataset", "Writing WebDataset tars") from None
        pattern = str(folder).replace("%", "%%") + "/features-%06d.tar"
        self._shards = ShardWriter(pattern, maxsize=_SHARD_BYTES, verbose=0)
        self._at = 0

    def write(self, rows: Sequence[Row], grid: Array | None, pooled: Array) -> None:
        """See `Writer`."""
        for i, row in enumerate(rows):
            sample = {"__key__": f"{self._at:09d}", "json": row.record(), "pooled.npy": pooled[i]}
            self._shards.write(sample | ({} if grid is None else {"grid.npy": grid[i]}))
            self._at += 1

    def close(self) -> None:
        """See `Writer`."""
        self._shards.close()


WRITERS: dict[ExportFormat, type[Writer]] = {
    "npy": NpyWriter,
    "safetensors": SafetensorsWriter,
    "parquet": ParquetWriter,
    "webdataset": WebdatasetWriter,
}


def _write_lines(file: Any, rows: Sequence[Row]) -> None:
    file.writelines(json.dumps(row.record(), ensure_ascii=False) + "\n" for row in rows)
