"""Which folder holds the images of a table, and which of its columns names them."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from showtell.data.names import (
    IMAGE_COLUMNS,
    PICTURE_FOLDERS,
    few,
    is_image_name,
    split_in_name,
    splits_spoken_of,
)
from showtell.data.readers.cells import image_of, listed
from showtell.data.readers.image_folder import EXACT, ImageFolder, Match
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import Sample
from showtell.errors import DataError

_SAMPLE = 100
_FEW = 5
"""Names that are looked for in other folders."""
_ENOUGH = 0.5
"""Share of names that are files' own from which no other folder is looked into."""
_CERTAIN = 0.9
"""The same of a column, from which no other column is looked at."""


_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_UNPACK = {".zip": "unzip", ".7z": "7z x", ".rar": "unrar x"}


class _Fit(NamedTuple):
    """How well the names of a column fit a folder: shares that are files' own, and that must be bridged."""

    exact: float
    bridged: float
    column: int
    folder: ImageFolder

    def beats(self, other: "_Fit") -> bool:
        if self[:2] == other[:2]:  # of equals the column with the usual name, in the likelier folder
            return bool(self.folder.images) and not other.folder.images
        return self[:2] > other[:2]


def find_images(
    reading: Reading, sample: Sample, places: Sequence[int], folder: ImageFolder | None
) -> tuple[int, ImageFolder, bool]:
    """Find the column of a table whose cells are images, and their folder where it is not known.

    Returns its place, of those that may name images, the likeliest first; the folder; and whether any
    image is found there. Raises DataError where no column names images, and none looks as if it did.
    """
    path = sample.table.path
    if not places:
        raise _no_images(sample)
    columns = {place: _spread(map(image_of, sample.cells[place])) for place in places}
    likely = next((names for names in columns.values() if any(map(is_image_name, names))), [])
    first = _of_split(path.parent, path)
    # annotations/train.csv; but nothing beside the folder that the user named
    last = [] if first or path.parent == reading.source.data else _of_split(path.parent.parent, path)
    # Beside names of files an index is none, though it may well be a file's: 7 beside dog.jpg, and 7.jpg.
    named = {place: names for place, names in columns.items() if _are_image_names(names)}
    for among in [named, columns] if named else [columns]:
        folders = [folder] if folder else _folders(reading, path.parent, likely, first, last)
        best = _best(folders, among)
        best = best if folder else _whole(best, reading, path.parent, among)
        if best.exact + best.bridged >= _ENOUGH:
            break
    if not best.exact + best.bridged:
        _refuse_lists(sample, places)
        return _named_like_images(sample, columns), best.folder, False
    _refuse_two(sample, best, places)
    if named and best.column not in named:
        header, other = sample.table.header, next(iter(named))
        why = f"the names in {header[other]!r} are hardly those of files (--image-column says otherwise)"
        reading.note(f"column {header[best.column]!r} holds the images: {why}")
    # Numbers alone may be those of anything, and a name that fits several files is of none.
    numbers = all(name.replace(".", "").isdecimal() for name in columns[best.column])
    found = best.exact > 0 or (not numbers and _matches(columns[best.column], best.folder) > 0)
    return best.column, best.folder, found


def _of_split(folder: Path, table: Path) -> list[Path]:
    """Return the folders in one that are named after the split of a table: images_train/ for train.csv."""
    split = splits_spoken_of(table.stem)
    try:
        inside = sorted(folder.iterdir()) if split else []
    except OSError:  # a folder of somebody else
        return []
    own = folder == table.parent
    found = [path for path in inside if splits_spoken_of(path.name) == split and path.is_dir()]
    return [path for path in found if own or split_in_name(path.name)]


def say_namesakes(reading: Reading, root: Path, names: Sequence[str]) -> None:
    """Say which folders beside that of the images hold files of the same names, which are not read."""
    bare = [name for name in names if "/" not in name and "\\" not in name][:_FEW]
    beside = [path for path in sorted(root.parent.iterdir()) if path.is_dir() and path != root]
    others = [path.name for path in beside if any((path / name).is_file() for name in bare)]
    if others:
        reading.note(
            f"the images are those in {root.name}; of files of the same names none is read in {few(others)} "
            "(--images says otherwise)"
        )


def column_of_folders(sample: Sample, image: int, folder: ImageFolder) -> int | None:
    """Return the column that names the folder of each image, where most images' names fit several files."""
    rows = [row for row in sample.rows if len(row) == len(sample.keys)][:_SAMPLE]
    names = [image_of(row[image]) for row in rows]
    found = [folder.find(name) for name in names]
    if 2 * sum(not isinstance(one, Match) and one.kind == "ambiguous name" for one in found) <= len(rows):
        return None
    for place in range(len(sample.keys)):
        paths = [f"{row[place]}/{name}" for row, name in zip(rows, names)]
        ends = [isinstance(one := folder.find(path), Match) and one.name.endswith(path) for path in paths]
        if place != image and sum(ends) > _CERTAIN * len(rows):
            return place
    return None


def choose_folder(
    reading: Reading, beside: Path, names: Sequence[str], first: Sequence[Path] = ()
) -> ImageFolder:
    """Return the folder that the user named, or the first that holds half of some names, or else most."""
    folders = _folders(reading, beside, names, first)
    best = _best(folders, {0: names}, namesakes=reading.source.images is not None)
    return _whole(best, reading, beside, {0: names}).folder


def _folders(
    reading: Reading,
    beside: Path,
    names: Sequence[str],
    first: Sequence[Path],
    last: Sequence[Path] = (),
) -> Iterator[ImageFolder]:
    """Yield the folder that the user named; or those in which images may lie, the likeliest first."""
    if reading.source.images is not None:
        yield reading.folder(reading.source.images)
        return
    usual = [beside / name for name in PICTURE_FOLDERS]
    usual += [folder / folder.name for folder in usual]
    # Names with folders in them are most likely relative to the table.
    order = [beside, *usual] if any("/" in name for name in names) else [*usual, beside]
    above = [beside.parent / name for name in PICTURE_FOLDERS]
    for path in dict.fromkeys([*first, *order, *above, *last]):
        if path == beside or path.is_dir():
            yield reading.folder(path)
    yield from _of_all_images(reading, beside)


def _of_all_images(reading: Reading, beside: Path) -> Iterator[ImageFolder]:
    """Yield the folder of all images nearest to that of a table, in what the user named, and the one above.

    ``photos_2024`` is beside ``words``, where a table lies.
    """
    data = reading.source.data
    above = [path for path in beside.parents if data in (path, *path.parents)]
    whole = next((folder for path in above if (folder := reading.folder(path)).images), None)
    if whole is not None:
        inner = posixpath.commonpath({posixpath.dirname(name) for name in whole.images})
        yield from [reading.folder(whole.root / inner), whole] if inner else [whole]


def _best(
    folders: Iterable[ImageFolder], columns: Mapping[int, Sequence[str]], *, namesakes: bool = True
) -> _Fit:
    """Return the column and the folder that fit each other best; there is one of both at least."""
    best: _Fit | None = None
    for folder in folders:
        folder.allow_namesakes(namesakes)
        for place, names in columns.items():
            fit = _fit(names, place, folder)
            if best is None or fit.beats(best):
                best = fit
            if best.exact > _CERTAIN:
                break
        if best is not None and best.exact >= _ENOUGH:
            break
    assert best is not None
    best.folder.allow_namesakes(False)
    best.folder.allow_namesakes(namesakes and not _matches(columns[best.column], best.folder))
    return best


def _whole(best: _Fit, reading: Reading, beside: Path, columns: Mapping[int, Sequence[str]]) -> _Fit:
    """Return the table's own folder where images without folders in their names lie in several below it."""
    names, root = columns[best.column], best.folder.root
    bare = not any("/" in name or "\\" in name for name in names)
    if best.exact in (0, 1) or not bare or reading.source.images or beside not in root.parents:
        return best
    whole = reading.folder(beside)
    more = _matches(names, whole) > _matches(names, best.folder)
    return _fit(names, best.column, whole) if more else best


def _matches(names: Sequence[str], folder: ImageFolder) -> int:
    return sum(isinstance(folder.find(name), Match) for name in names)


def _fit(names: Sequence[str], place: int, folder: ImageFolder) -> _Fit:
    found = [folder.find(name) for name in names]
    exact = sum(match.how == EXACT for match in found)
    known = sum(isinstance(match, Match) or match.kind == "ambiguous name" for match in found)
    return _Fit(exact / max(1, len(names)), (known - exact) / max(1, len(names)), place, folder)


def _refuse_two(sample: Sample, best: _Fit, places: Sequence[int]) -> None:
    """Refuse a table with two images in a row: of which is something said?"""
    table, images = sample.table, [image_of(cell) for cell in sample.cells[best.column]]
    for place in places:
        names = sample.texts[place][:_SAMPLE]
        pairs = [(name, image) for name, image in zip(names, images) if is_image_name(name)]
        found = [(best.folder.find(name), best.folder.find(image)) for name, image in pairs]
        other = [a for a, b in found if isinstance(a, Match) and isinstance(b, Match) and a.name != b.name]
        if place != best.column and 2 * len(other) > len(names):
            which = f"{table.header[best.column]!r} and {table.header[place]!r}"
            raise table.lacking(f"two columns of different images, {which}")


def _refuse_lists(sample: Sample, places: Sequence[int]) -> None:
    for place in places:
        cells, column = sample.cells[place], sample.table.header[place]
        several = [parts for parts in map(_several, cells) if len(parts) > 1]
        if 2 * len(several) > len(cells) and all(is_image_name(str(part)) for part in several[0]):
            raise sample.table.lacking(f"several images in a cell of {column!r}: {several[0]}"[:200])


def _several(cell: Any) -> list[Any]:
    """Return the parts of a cell that is a list of images, or names some behind one another."""
    parts = [part.partition(" (http")[0] for part in re.split(r"\s*[;,|\n]\s*", str(cell).strip())]
    return listed(cell) or (parts if all(map(is_image_name, parts)) else [])


def _spread(cells: Iterable[str]) -> list[str]:
    distinct = list(dict.fromkeys(cells))
    return distinct[:: -(-len(distinct) // _SAMPLE)] if distinct else []


def _are_image_names(names: Sequence[str]) -> bool:
    return 2 * sum(map(is_image_name, names)) > len(names)


def _named_like_images(sample: Sample, columns: Mapping[int, Sequence[str]]) -> int:
    """Return the column of names that look like images, though none is found; then the one of that name."""
    for place, names in columns.items():
        if _are_image_names(names):
            return place
    first = next(iter(columns))
    if len(columns) == 1 or sample.keys[first] in IMAGE_COLUMNS[:-5]:
        return first
    raise _no_images(sample)


def _no_images(sample: Sample) -> DataError:
    error = sample.table.lacking("no column whose cells are images")
    return DataError(error.what, hint=error.hint)


def _packed_in(folder: Path) -> list[Path]:
    """Return the archives in a folder, in which the images of a table may be."""
    return sorted(path for path in folder.glob("*") if path.name.lower().endswith(_ARCHIVES))


def all_missing(source: Path, folder: ImageFolder, names: Sequence[str]) -> DataError:
    """Explain that none of a table's images is in the folder, and what is expected."""
    shown = "\n".join(f"  {name[:200]}" for name in names[:10])
    what = (
        f"None of the {len(names):,} images named in {source} is in {folder.root}, "
        f"which holds {len(folder.images):,} images. Not found:\n{shown}"
    )
    if all("://" in name for name in names):
        return DataError(
            f"{what}\nThese are addresses, and addresses are never fetched.",
            hint="Download the images: by --images DIR they are found by the ends of their addresses.",
        )
    if archives := _packed_in(folder.root):
        commands = [f"{_UNPACK.get(path.suffix, 'tar -xf')} {shlex.quote(path.name)}" for path in archives]
        names = few([path.name for path in archives])
        what += f"\nBeside it lies {names}: unpack it first ({few(commands, 3)})."
    run = f"showtell inspect {shlex.quote(str(source))} --images DIR"
    return DataError(what, hint="Expected the folder that holds these images: --images DIR.", run=run)
