"""Which folder holds the pictures of a table, and which of its columns names them."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from showtell.data.names import IMAGE_COLUMNS, PICTURE_FOLDERS, column_key, is_picture_name, split_in_name
from showtell.data.readers.picture_folder import EXACT, Match, PictureFolder
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Table, missing_columns
from showtell.data.records import Split
from showtell.errors import DataError

_SAMPLE = 100
_ENOUGH = 0.5
"""Share of names that are files' own from which no other folder is looked into."""
_CERTAIN = 0.9
"""The same of a column, from which no other column is looked at."""


def find_pictures(
    reading: Reading,
    table: Table,
    columns: Mapping[int, Sequence[str]],
    folder: PictureFolder | None = None,
) -> tuple[int, PictureFolder, bool]:
    """Find the column of a table whose cells are pictures, and their folder.

    Args:
        reading: Holds the folder that the user named.
        table: The table.
        columns: Cells of the columns that may name pictures, the likeliest first.
        folder: Where the pictures lie, where that is known.

    Returns:
        The column's place, the folder, and whether any picture is found there.

    Raises:
        DataError: No column names pictures, and none looks as if it did.
    """
    samples = {place: _spread(cells) for place, cells in columns.items()}
    named = folder or (reading.folder(reading.source.images) if reading.source.images else None)
    candidates = (
        [named]
        if named
        else folders_of(reading, table.path.parent, _likely(samples), split=split_in_name(table.path.stem))
    )
    best: tuple[tuple[float, float], int, PictureFolder] | None = None
    for one in candidates:
        one.allow_namesakes(True)
        for place, cells in samples.items():
            hits = hit_share(one, cells)
            # Of equals the column with the usual name, in the likelier folder, comes first.
            if best is None or hits > best[0] or (hits == best[0] and one.pictures and not best[2].pictures):
                best = (hits, place, one)
            if best[0][0] > _CERTAIN:
                break
        if best is not None and best[0][0] >= _ENOUGH:
            break
    if best is None or not any(best[0]):
        place = _named_like_pictures(table, samples)
        return place, best[2] if best else reading.folder(table.path.parent), False
    best[2].allow_namesakes(best[0][0] == 0)
    _refuse_two(table, best[1], best[2], columns)
    # Numbers alone may be those of anything.
    numbers = all(cell.replace(".", "").isdecimal() for cell in samples[best[1]])
    return best[1], best[2], best[0][0] > 0 or not numbers


def _refuse_two(
    table: Table, image: int, folder: PictureFolder, columns: Mapping[int, Sequence[str]]
) -> None:
    """Refuse a table with two pictures in a row: of which is something said?"""
    for place, cells in columns.items():
        pairs = [(cell, own) for cell, own in zip(cells[:_SAMPLE], columns[image]) if is_picture_name(cell)]
        found = [(folder.find(cell), folder.find(own)) for cell, own in pairs]
        other = [a for a, b in found if isinstance(a, Match) and isinstance(b, Match) and a.name != b.name]
        if place != image and 2 * len(other) > len(cells[:_SAMPLE]):
            names = f"{table.header[image]!r} and {table.header[place]!r}"
            raise missing_columns(table, f"two columns of different pictures, {names}")


def _spread(cells: Sequence[str]) -> list[str]:
    distinct = list(dict.fromkeys(cells))
    return distinct[:: -(-len(distinct) // _SAMPLE)] if distinct else []


def _likely(samples: Mapping[int, Sequence[str]]) -> list[str]:
    return next((list(cells) for cells in samples.values() if any(map(is_picture_name, cells))), [])


def hit_share(folder: PictureFolder, names: Sequence[str]) -> tuple[float, float]:
    """Return the share of names that are those of files in a folder, and of those that must be bridged."""
    found = [folder.find(name) for name in names]
    exact = sum(isinstance(match, Match) and match.how == EXACT for match in found)
    known = sum(isinstance(match, Match) or match.kind == "ambiguous name" for match in found)
    return exact / max(1, len(names)), (known - exact) / max(1, len(names))


def _named_like_pictures(table: Table, samples: Mapping[int, Sequence[str]]) -> int:
    """Return the column of names that look like pictures, though none is found; then the one of that name."""
    for place, cells in samples.items():
        if cells and 2 * sum(map(is_picture_name, cells)) > len(cells):
            return place
    first = next(iter(samples), None)
    if first is not None and (len(samples) == 1 or column_key(table.header[first]) in IMAGE_COLUMNS[:-5]):
        return first
    error = missing_columns(table, "no column whose cells are pictures")
    raise DataError(error.what, would_do=error.would_do)


def folders_of(
    reading: Reading,
    beside: Path,
    sample: Sequence[str],
    *,
    first: Sequence[Path] = (),
    split: Split | None = None,
) -> Iterator[PictureFolder]:
    """Yield the folders in which a table's pictures may lie, the likeliest first.

    Args:
        reading: Keeps what was listed.
        beside: The folder of the table.
        sample: Some names from the table: those with folders in them are most likely relative to the table.
        first: Folders to try before the usual ones.
        split: Of the table, as its name says it; folders named after the same are tried first.
    """
    usual = [beside / name for name in PICTURE_FOLDERS]
    usual += [folder / folder.name for folder in usual]
    order = [beside, *usual] if any("/" in name for name in sample) else [*usual, beside]
    above = [beside.parent / name for name in PICTURE_FOLDERS]
    if split is not None:  # train.csv beside images_train/
        first = [
            path for path in sorted(beside.iterdir()) if path.is_dir() and split_in_name(path.name) == split
        ]
    for path in dict.fromkeys([*first, *order, *above]):
        if path == beside or path.is_dir():
            yield reading.folder(path)


def choose_folder(
    reading: Reading, beside: Path, sample: Sequence[str], *, first: Sequence[Path] = ()
) -> PictureFolder:
    """Return the folder that the user named, or else the first that holds half of some names, or most.

    Args:
        reading: Holds the folder that the user named; it is taken as it is.
        beside: The folder of the table.
        sample: Some names from the table.
        first: Folders to try before the usual ones.
    """
    if reading.source.images is not None:
        folder = reading.folder(reading.source.images)
        folder.allow_namesakes(hit_share(folder, sample)[0] == 0)
        return folder
    tried: list[tuple[tuple[float, float], PictureFolder]] = []
    for folder in folders_of(reading, beside, sample, first=first):
        hits = hit_share(folder, sample)
        if hits[0] >= _ENOUGH:
            return folder
        tried.append((hits, folder))
    return max(tried, key=lambda pair: (pair[0], bool(pair[1].pictures)))[1]


def all_missing(
    reading: Reading, source: Path, folder: PictureFolder, names: Sequence[str], shown: int
) -> DataError:
    """Explain that none of a table's pictures is in the folder, and what would do."""
    listed = "\n".join(f"  {name}" for name in names[:shown])
    what = (
        f"None of the {len(names):,} pictures named in {source} is in {folder.root}, "
        f"which holds {len(folder.pictures):,} pictures. Not found:\n{listed}"
    )
    if all("://" in name for name in names):
        return DataError(
            f"{what}\nThese are addresses, and addresses are never fetched.",
            would_do="Download the pictures: by --images DIR they are found by the ends of their addresses.",
        )
    if archives := sorted(path.name for path in folder.root.glob("*.zip")):
        what += f"\nBeside it lies {', '.join(archives)}: unpack it first."
    run = f"showtell look {shlex.quote(str(source))} --images DIR"
    return DataError(what, would_do="Expected the folder that holds these pictures: --images DIR.", run=run)
