"""Lists of images beside a table or class folders that say which split an image is in."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from showtell.data.records import Dataset, Problem, Split, strictest
from showtell.errors import DataError

_LISTING = re.compile("split|list|sets|partition|meta|annotation|label|fold", re.IGNORECASE)
"""What folders are called in which lists lie."""
_LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".lst", ".list")


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
        elif pairs_with_splits(path, reading):
            for number, line in enumerate(reading.lines(path), start=1):
                if pair := _paired(line):
                    yield *pair, f"{path}:{number}"


def pairs_with_splits(path: Path, reading: Reading) -> bool:
    """Tell whether a file whose name speaks of splits brings them by image: a pair in each line, or JSON."""
    if not re.search("split|partition", path.stem, re.I):
        return False
    if path.suffix not in _LIST_SUFFIXES:
        return path.suffix == ".json" and bool(_listed_in_json(path, None, reading))
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


def said_elsewhere(names: Iterable[str]) -> list[str]:
    """Return files beside images whose names speak of splits, such as ``train_test_split.txt``."""
    beside = [name for name in names if name.count("/") < 2 and name.endswith((".txt", ".csv", ".json"))]
    stems = {name: PurePosixPath(name).stem.lower() for name in beside}
    return sorted(name for name, stem in stems.items() if "split" in stem or splits_spoken_of(stem))


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
        return replace(dataset, notes=tuple(reading.notes))
    if len(found) == len(names) and len(set(found.values())) == 1:  # of a table that is such a list itself
        return dataset
    rest: Split | None = None if "train" in found.values() else "train"  # as beside a column is_valid
    also = f"; the other {len(names) - len(found):,} images are train" if rest else ""
    reading.note(f"the splits are those of the lists beside the images or their table{also}")
    if numbered:
        reading.note(f"numbers in the lists of splits are taken for those of files: {numbered}")
    if unknown:
        reading.note(f"of {len(unknown):,} names in the lists of splits no image is read: {few(unknown)}")
    images = tuple(replace(image, split=found.get(image.name, rest)) for image in dataset.images)
    return replace(dataset, images=images, problems=tuple(problems), notes=tuple(reading.notes))
