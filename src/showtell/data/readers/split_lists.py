"""Lists of images beside a table or class folders that say which split an image is in."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from showtell.data.names import (
    IMAGE_COLUMNS,
    column_key,
    few,
    is_image_name,
    nfc,
    split_in_name,
    split_named,
    splits_in_names,
    splits_spoken_of,
)
from showtell.data.readers.image_folder import ImageFolder, Match
from showtell.data.readers.reading import Reading
from showtell.data.readers.split_tables import SPEAKS, listed_in_table
from showtell.data.records import Dataset, Problem, Split, strictest
from showtell.errors import DataError

_LISTING = re.compile("split|list|sets|partition|meta|annotation|label|fold", re.IGNORECASE)
"""What folders are called in which lists lie."""
_LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".lst", ".list")
_ARRAYS = (".npy", ".npz", ".pkl", ".pickle", ".mat")
_UNREAD = (*_ARRAYS, ".json", ".yaml", ".yml", ".toml", ".xlsx", ".parquet")
"""What may hold splits as well, by its name."""


def read_lists(folder: Path, reading: Reading) -> tuple[dict[str, tuple[Split, str]], list[Problem]]:
    """Read lists of images, in files named after splits (``Flickr_8k.trainImages.txt``), or in one JSON.

    Returns:
        The split of every listed image and its ``file:line``; and names that are in two lists, which stay
        in the earlier of train, val and test.
    """
    listed: dict[str, tuple[Split, str]] = {}
    problems: list[Problem] = []
    for split, entry, where in _listed(folder, reading):
        name = nfc(entry.strip())
        earlier, _ = listed.setdefault(name, (split, where)) if name else (split, where)
        if earlier != split:
            kept = strictest(earlier, split)
            listed[name] = (kept, where)
            detail = f"{name!r} is listed in {earlier} and in {split}; kept in {kept}"
            problems.append(Problem("two splits", where, detail))
    return listed, problems


def _listed(folder: Path, reading: Reading) -> Iterator[tuple[Split, str, str]]:
    """Yield split, name and place of all that lists name."""
    try:
        files = [path for path in sorted(folder.iterdir()) if path.suffix in (*_LIST_SUFFIXES, ".json")]
    except OSError:  # a folder of somebody else
        return
    paths = {path: path.stem.rpartition(".")[2] for path in files if path.is_file()}
    splits = splits_in_names(paths.values())
    for path, named in paths.items():
        split = splits.get(named)
        if path.suffix == ".json" and (split or "split" in named.lower()):
            for one, names in _listed_in_json(path, split, reading).items():
                yield from ((one, str(name), f"{path}:{place}") for place, name in enumerate(names))
        elif split and path.suffix != ".json" and is_list(path, reading):
            for number, line in enumerate(reading.lines(path), start=1):
                if number > 1 or column_key(line) not in IMAGE_COLUMNS:
                    yield split, line, f"{path}:{number}"
        elif path.suffix != ".json" and _pairs(path, reading):
            for number, line in enumerate(reading.lines(path), start=1):
                if pair := _paired(line):
                    yield *pair, f"{path}:{number}"
        elif path.suffix != ".json":
            yield from listed_in_table(path, reading)


def pairs_with_splits(path: Path, reading: Reading) -> bool:
    """Tell whether a file brings splits by image: a pair in each line, JSON, or a table of nothing else."""
    if path.suffix == ".json":
        return bool(SPEAKS.search(path.stem) and _listed_in_json(path, None, reading))
    if path.suffix not in _LIST_SUFFIXES:
        return False
    return _pairs(path, reading) or bool(listed_in_table(path, reading.trial()))


def _pairs(path: Path, reading: Reading) -> bool:
    """Tell whether each line of a file whose name speaks of splits is an image and its split."""
    if not SPEAKS.search(path.stem):
        return False
    try:
        lines = list(islice(reading.trial().lines(path), 6))
    except DataError:
        return False
    return len(lines) > 1 and all(map(_paired, lines[1:]))  # the first may be a header


def _paired(line: str) -> tuple[Split, str] | None:
    cells = [cell.strip().strip('"') for cell in re.split(r"[,;|\t]|(?<=\S) +(?=\S+$)", line.strip())]
    for name, value in (cells, cells[::-1]) if len(cells) == 2 else ():
        if (split := split_named(value)) and name:
            return split, name
    return None


def _listed_in_json(path: Path, split: Split | None, reading: Reading) -> Mapping[Split, Sequence[str | int]]:
    """Return what a list of names lists, or lists by split: ``{"train": ["1.jpg"], "test": []}``."""
    try:
        if split and not _begins_as_list(path):  # COCO's files are large
            return {}
        content = reading.trial().utf8(path)
        if split:
            return {split: msgspec.json.decode(content, type=list[str | int])}
        lists = msgspec.json.decode(content, type=dict[str, list[str | int | list[Any]] | str])
    except (msgspec.DecodeError, DataError, RecursionError):
        return {}
    turned: defaultdict[Split, list[str | int]] = defaultdict(list)  # {"1.jpg": "train", "2.jpg": "test"}
    for name, value in lists.items():
        if isinstance(value, str) and (of := split_named(value)):
            turned[of].append(name)
    if turned:
        return turned
    return {
        of: [str(name[0] if isinstance(name, list) and name else name) for name in names]  # [path, label]
        for of, names in ((split_in_name(key), names) for key, names in lists.items())
        if of and isinstance(names, list)
    }


def _begins_as_list(path: Path) -> bool:
    with path.open("rb") as file:
        return b"{" not in file.read(64).partition(b"[")[0]


def _said_elsewhere(dataset: Dataset, places: Sequence[Path], folder: ImageFolder) -> list[str]:
    """Return files that speak of splits by their names, such as ``train_test_split.txt`` and ``splits.yaml``.

    Beside a table, ``test.csv`` is another table, and ``train.yaml`` settings; beside class folders, lists.
    """
    if folder.root == places[0]:
        names = [name for name in folder.files if name.count("/") < 2]
    else:
        names = [path.name for place in places for path in place.iterdir() if path.is_file()]
    beside = [PurePosixPath(name) for name in names if places[0] / name != dataset.source]
    known = [path for path in beside if path.suffix.lower() in (*_LIST_SUFFIXES, *_UNREAD)]
    loose = (*_LIST_SUFFIXES, *_UNREAD) if dataset.format == "classes" else _ARRAYS
    speaking = [path for path in known if path.suffix.lower() in loose and splits_spoken_of(path.stem)]
    return sorted({str(path) for path in known if SPEAKS.search(path.stem)} | {*map(str, speaking)})


def is_list(path: Path, reading: Reading) -> bool:
    """Tell whether a text file holds nothing but a name a line."""
    try:
        lines = [line.strip() for line in islice(reading.trial().lines(path), 5)]
    except DataError:
        return False
    # A name may hold blanks; what holds several words and ends as no image does is a caption.
    several = any(len(line.split()) > 2 and not is_image_name(line) for line in lines)
    return bool(lines) and not several and not any(re.search(r"[,;|\t]|#\d", line) for line in lines)


def list_places(source: Path, folder: ImageFolder) -> list[Path]:
    """Return where lists of splits may lie: a folder, and those in it that hold no images.

    Beside a table, only those that are called so, since a folder of downloads holds much else.
    """
    inside = [path for path in sorted(source.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if folder.root == source:
        holding = {name.partition("/")[0] for name in folder.images if "/" in name}
        return [source, *(path for path in inside if path.name not in holding)]
    return [source, *(path for path in inside if path != folder.root and _LISTING.search(path.name))]


def with_listed_splits(
    dataset: Dataset, places: Sequence[Path], folder: ImageFolder, reading: Reading
) -> Dataset:
    """Give images the splits of the lists in some folders; say so, also where the lists name none of them.

    A list names an image as a table may; a number behind the name is a class, and left aside.
    """
    found: dict[str, Split] = {}
    problems = list(dataset.problems)
    names = {image.name for image in dataset.images}
    listed, unknown, numbered = 0, list[str](), ""
    for place in places:
        lists, doubled = read_lists(place, reading)
        if 2 * len(doubled) > len(lists):  # of another partition each
            reading.note(f"the lists of splits in {place} are left aside: most images are in several of them")
            continue
        problems += doubled
        listed += len(lists)
        for name, (split, _) in lists.items():
            matches = (folder.find(one) for one in (name, name.rpartition(" ")[0]))
            match = next((one.name for one in matches if isinstance(one, Match)), None)
            if match in names:
                found[match] = strictest(found.get(match), split)
                if name.isdecimal() and PurePosixPath(match).stem != name:
                    numbered = numbered or f"{name} is {match}"
            else:
                unknown.append(name)
    if not found:
        if listed:
            reading.note(f"{listed:,} names in lists of splits are left aside: no image here has one of them")
        elif unread := _said_elsewhere(dataset, places, folder):
            what = "not read, though it may say the splits"
            reading.note(f"{what}: {few(unread)} (expected lists: train.txt, test.txt)")
        return replace(dataset, notes=tuple(reading.notes))
    if unknown:
        numbers = dataset.format == "labels" and any(re.search(r"\S \d+$", name) for name in unknown)
        way = " (--format labels takes the numbers behind them for classes)" if numbers else ""
        reading.note(
            f"of {len(unknown):,} names in the lists of splits no image is read: {few(unknown)}{way}"
        )
    if len(found) == len(names) and len(set(found.values())) == 1:  # of a table that is such a list itself
        return replace(dataset, notes=tuple(reading.notes))
    rest: Split | None = None if "train" in found.values() else "train"  # as beside a column is_valid
    also = f"; the other {len(names) - len(found):,} images are train" if rest else ""
    reading.note(f"the splits are those of the lists beside the images or their table{also}")
    if numbered:
        reading.note(f"numbers in the lists of splits are taken for those of files: {numbered}")
    images = tuple(replace(image, split=found.get(image.name, rest)) for image in dataset.images)
    return replace(dataset, images=images, problems=tuple(problems), notes=tuple(reading.notes))
