"""Which format a path holds, and the files to read."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePath

from showtell.data.names import (
    begin_alike,
    few,
    is_image_name,
    shown_name,
    words,
)
from showtell.data.readers.candidates import Candidate, is_usual, say_left, strongest, without_lemmas
from showtell.data.readers.caption_files import coco_files, is_token_file, json_kind
from showtell.data.readers.cells import image_of
from showtell.data.readers.columns import choose_columns
from showtell.data.readers.forms import FORMATS, NOT_TEXT, in_place_of_images
from showtell.data.readers.image_folder import Match
from showtell.data.readers.layout import are_several, holds_classes, layout_of
from showtell.data.readers.parts import METADATA, metadata_parts, own_tables, shards_of_splits
from showtell.data.readers.reading import Reading
from showtell.data.readers.side_tables import first_rows, tables_aside
from showtell.data.readers.sidecar import CLOUD_CUT, of_cloud, say_something, sidecars
from showtell.data.readers.split_folders import with_other_splits
from showtell.data.readers.split_lists import is_list, pairs_with_splits
from showtell.data.readers.table import UnclearColumnsError
from showtell.data.readers.tables import TABLE_SUFFIXES, Part, open_table, shard_parts, split_parts, splits_in
from showtell.errors import DataError

_JUDGED = 100
_MOST_LISTS = 30
"""More texts are those of single images."""
_CORPORA = ("flickr8k", "coco", "karpathy")
_TABLE_FOLDERS = words("annotations annotation captions text texts labels metadata meta data")


def recognise(data: Path, reading: Reading) -> Candidate:
    """Find the one format in which a path can be read.

    A table of captions and one of labels are told apart by their columns: see `choose_words`. Of several
    forms the one that says more wins: see `strongest`. A folder that holds nothing but one other is looked
    through.

    Args:
        data: What the user gave: a file or a folder.
        reading: Holds the format and the columns that the user named; told what was guessed.

    Raises:
        DataError: Nothing was recognised, or several formats were.
    """
    if not data.exists():
        raise DataError(
            f"There is no file or folder {data}.",
            hint="Expected a captions table, a folder of class folders or a labels table.",
        )
    format, search = reading.source.format, _Search(reading)
    if data.is_file() and format is not None:
        return Candidate(format, data, (Part(data),))
    data, candidates = (data, list(search.file(data))) if data.is_file() else search.folders(data)
    if format is None:
        candidates = strongest(everything := without_lemmas(candidates, reading))
        if reading.columns:  # which these have none of
            candidates = [one for one in candidates if one.format not in ("classes", "sidecar")] or candidates
        say_left(candidates, everything, reading)
        own = all(part.under for one in candidates for part in one.parts)  # texts beside their images
        if reading.wanted == "labels" and own and {one.format for one in candidates} <= {"sidecar", "csv"}:
            candidates = [one for one in everything if one.format == "classes"] or candidates
        fitting = [one for one in candidates if one.words == reading.wanted]
        if len(candidates) > 1 and len(fitting) == 1:
            others = few([f"{one.source.name} as {one.format}" for one in candidates if one not in fitting])
            chosen = f"{fitting[0].source.name} is read for its {reading.wanted}"
            reading.note(f"{chosen}, and not {others} (--format says otherwise)")
            candidates = fitting
    else:
        candidates = [candidate for candidate in candidates if candidate.format == format]
        if not candidates and format in ("classes", "imagefolder", "coco", "sidecar"):
            return Candidate(format, data)  # the reader says best what it misses in a folder
    unclear = [failure for failure in search.failures if isinstance(failure, UnclearColumnsError)]
    asked = bool(format and candidates)
    if unclear and not asked and {candidate.format for candidate in candidates} <= {"classes", "sidecar"}:
        # The folders beside a table are hardly what is meant.
        beside = "".join(f" Or what lies beside the table: --format {one.format}." for one in candidates)
        raise DataError(unclear[0].what, hint=f"{unclear[0].hint}{beside}")
    if len(candidates) == 1:
        for failure in unclear:
            reading.note(f"left out: {failure.what}")
        folders = [part.under for part in candidates[0].parts if part.under]
        if len(folders) > 1 and candidates[0].format in ("csv", "labels"):
            reading.note(f"read together, what lies in each of {few(folders)}")
        return candidates[0]
    raise _refusal(data, candidates, search)


class _Search:
    """Finds what may be read; why files that look like data can't be is kept in ``failures``."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.failures: list[DataError] = []

    def file(self, path: Path) -> Iterator[Candidate]:
        """Yield what a file may be."""
        suffix, name = path.suffix.lower(), path.name.lower()
        kind = json_kind(path) if suffix == ".json" else None
        if suffix in NOT_TEXT:
            self._fail(f"{path} is {NOT_TEXT[suffix]}.", "Expected a table in text.")
        elif is_image_name(name):
            expected = "Expected a captions table, a folder of class folders or a labels table."
            self._fail(f"{path} is an image, not a data set.", expected)
        elif suffix == ".tar":
            yield Candidate("webdataset", path, (Part(path),))
        elif kind == "boxes":
            expected = "Expected captions_*.json; or crop the boxes into class folders, for a classifier."
            self._fail(f"{path} holds COCO's boxes, which are not captions.", expected)
        elif kind is not None:
            yield Candidate(kind, path)
        elif name in METADATA:
            yield Candidate("imagefolder", path, (Part(path),))
        elif name.endswith((".token.txt", ".token")) or is_token_file(path, self.reading):
            yield Candidate("flickr8k", path)
        else:
            yield from self._table(path)

    def folders(self, data: Path) -> tuple[Path, list[Candidate]]:
        """Look into a folder; where nothing in it is known, into its tables' folder, or its only one.

        Into the only one also where it looks like a class: ``flickr30k/results.csv``, ``flickr30k/images``.
        Of other folders those are looked into that hold no images: ``photos_2024`` beside ``words``.
        """
        candidates = list(self._folder(data)) or list(self._labelled_lists(data))
        if candidates and {candidate.format for candidate in candidates} != {"classes"}:
            return data, candidates
        inside = [path for path in sorted(data.iterdir()) if path.is_dir() and not path.is_symlink()]
        inside = [path for path in inside if not path.name.startswith((".", "__", "@"))]
        for folder in inside:
            if len(inside) == 1 or (folder.name.lower() in _TABLE_FOLDERS and not candidates):
                place, found = self.folders(folder)
                found = [one for one in found if one.is_of_images]
                if found and (not candidates or {one.format for one in found} != {"classes"}):
                    self.reading.note(f"what is known lies in {place}")
                    return place, found
        found = self._beside_images(data, inside) if len(inside) > 1 and not self.failures else []
        return data, found or candidates

    def _beside_images(self, data: Path, inside: list[Path]) -> list[Candidate]:
        """Return what lies in folders without images, beside those of images that are not several classes."""
        listing = self.reading.folder(data)
        holding = {name.partition("/")[0] for name in listing.images}
        if not holding or len(layout_of(listing).classes) > 1:
            return []
        found: list[Candidate] = []
        images = {PurePath(name).stem for name in listing.images}
        for folder in (path for path in inside if shown_name(path.name) not in holding):
            texts = [PurePath(name).stem for name in listing.files if name.startswith(f"{folder.name}/")]
            if 2 * sum(stem in images for stem in texts) > len(texts):  # a text of each image
                continue
            place, known = self.folders(folder)
            sure = [one for one in known if one.images or one.format in _CORPORA]
            if fitting := [one for one in sure if one.is_of_images]:
                self.reading.note(f"what is known lies in {place}")
                found += fitting
        self.failures = self.failures if found else []  # what lies elsewhere need not be data
        return found

    def _folder(self, folder: Path) -> Iterator[Candidate]:
        if metadata := metadata_parts(folder):
            failures = list(self.failures)
            table = next(iter([*self._table(metadata[0].path)]), None)
            self.failures = failures  # said by its reader
            usual, labels = table is not None and table.usual, table is not None and table.format == "labels"
            yield Candidate("imagefolder", folder, metadata, usual=usual, labels=labels)
        if coco_files(folder):
            yield Candidate("coco", folder)
        entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        files = [path for path in entries if path.is_file()]
        pictures = [path for path in files if is_image_name(path.name)]
        pictured = {part for one in pictures for part in (one.stem, one.name, one.name[:CLOUD_CUT])}
        tables: list[Candidate] = []
        for path in files:
            for one in self._in_folder(path) if of_cloud(path.stem) not in pictured else ():
                if one.format in ("csv", "labels"):
                    tables.append(one)
                elif one.format != "coco":  # whose files are one data set, above
                    yield one
        shards = shard_parts([path for path in files if path.suffix.lower() == ".tar"], self.reading)
        if shards := shards or shards_of_splits(folder, ".tar"):
            yield Candidate("webdataset", folder, shards)
        aside = tables_aside([one.seen for one in tables if one.seen], self.reading) if tables[1:] else ()
        yield from self._together(folder, [one for one in tables if one.source not in aside])
        if not (tables or metadata):
            yield from self._in_each(folder)
        parts = () if tables else shards_of_splits(folder, ".parquet")
        for one in self._table(parts[0].path) if parts else ():
            yield replace(one, source=folder, parts=parts)
        # To list all that lies below takes time, and beside a sure table one folder is that of its images.
        if not any(one.images and one.usual for one in tables) or len(entries) - len(files) > 1:
            listing = self.reading.folder(folder)
            texts, layout = sidecars(listing), layout_of(listing)
            classes = holds_classes(listing, layout)
            often = 2 * len(texts) >= len(listing.images) > 0
            if often and (not classes or say_something(listing, [*texts.values()], self.reading)):
                yield Candidate("sidecar", folder)
            if classes:
                yield Candidate("classes", folder, several=are_several(listing, layout))

    def _in_each(self, folder: Path) -> Iterator[Candidate]:
        """Yield tables of which one lies in each of the folders, beside its own images, as one candidate."""
        parts, failures = own_tables(folder), list(self.failures)
        found = []
        for part in parts:
            read = self._table if part.path.name.lower() in METADATA else self._in_folder
            found += [one for one in read(part.path) if one.images and folder in one.images.parents]
        self.failures = failures  # what is no table there is none
        formats = {one.format for one in found}
        if parts and len(found) == len(parts) and len(formats) == 1 and formats <= {"csv", "labels"}:
            yield Candidate(formats.pop(), folder, parts, folder)

    def _labelled_lists(self, folder: Path) -> Iterator[Candidate]:
        """Yield lists of images with a number behind each, where there is no better table."""
        texts = sorted(folder.glob("*.txt"))
        lists = [path for path in texts if is_list(path, self.reading)] if len(texts) <= _MOST_LISTS else []
        failures = list(self.failures)
        yield from self._together(folder, [one for path in lists for one in self._table(path)])
        self.failures = failures  # a list of names alone is no table

    def _in_folder(self, path: Path) -> Iterator[Candidate]:
        """Yield what one of a folder's files may be, but for those that are not data by themselves."""
        suffix, name = path.suffix.lower(), path.name.lower()
        if suffix == ".arrow":  # the JSON beside it is of no use
            raise DataError(f"{path} is {NOT_TEXT[suffix]}.")
        if name in METADATA or pairs_with_splits(path, self.reading):
            return
        if suffix == ".txt" and (name.startswith(("readme", "licen")) or is_list(path, self.reading)):
            return
        if "submission" in path.stem.lower():
            self.reading.note(f"{path.name} is left out, as what a competition wants to be handed in")
        elif suffix in (*TABLE_SUFFIXES, *NOT_TEXT, ".token") or is_token_file(path, self.reading):
            yield from self.file(path)

    def _together(self, folder: Path, tables: list[Candidate]) -> Iterator[Candidate]:
        """Yield tables that are named after splits, or that are shards of one, as one candidate."""
        paths = [table.source for table in tables]
        here = any(table.images for table in tables)
        parts = tuple(split_parts(paths, self.reading if here else self.reading.trial()))
        if not parts and len(paths) > 1 and all(path.suffix == ".parquet" for path in paths):
            parts = shard_parts(paths, self.reading)
        if parts:
            format = "csv" if any(table.format == "csv" for table in tables) else "labels"
            images = next((table.images for table in tables if table.images), None)
            yield Candidate(format, folder, parts, images)
        else:
            yield from tables

    def _table(self, path: Path) -> Iterator[Candidate]:
        trial = self.reading.trial()
        try:
            columns = choose_columns(open_table(path, trial), trial)
        except DataError as error:
            self.failures.append(error)
            return
        rows = [row.fields for row in islice(columns.table.rows(), _JUDGED)]
        rows = [fields for fields in rows if len(fields) == len(columns.table.header)]
        found = [(columns.folder.find(image_of(fields[columns.image])), fields) for fields in rows]
        images = columns.folder.root if columns.found else None
        format = "csv" if columns.words.captions else "labels"
        of_folders = format == "labels" and all(
            isinstance(one, Match)
            and {*columns.words.labels_of(fields, columns.table.header)} <= {*one.name.split("/")[:-1]}
            for one, fields in found
        )
        surpassing = of_folders or (format == "labels" and columns.who is not None)
        home = with_other_splits(trial, columns.folder, path.parent, splits_in(columns))
        wide, usual = home is not columns.folder, is_usual(columns, trial)
        seen = first_rows(columns, rows, usual) if images else None
        yield Candidate(format, path, (Part(path),), images, surpassing, usual, wide, seen=seen)

    def _fail(self, what: str, hint: str) -> None:
        self.failures.append(DataError(what, hint=hint))


def _refusal(data: Path, candidates: list[Candidate], search: _Search) -> DataError:
    """Return what is wrong where nothing was recognised, or several formats were."""
    formats = "\n".join(f"  --format {name}: {form}" for name, form in FORMATS.items())
    if candidates:
        found = "\n".join(f"  {candidate.source}: {candidate.format}" for candidate in candidates)
        return DataError(
            f"{data} can be read in several ways:\n{found}",
            hint=f"Expected one of the files as DATA, or the format:\n{formats}",
        )
    if len(search.failures) == 1:
        return search.failures[0]
    return DataError(_what_lies_in(data, search), hint=f"Expected one of these:\n{formats}")


def _what_lies_in(data: Path, search: _Search) -> str:
    """Say of what could not be recognised what it holds, and why its files can't be read."""
    format = search.reading.source.format
    lines = [f"{data} holds {f'no {format} data' if format else 'no format that is known'}."]
    if data.is_dir():
        names = [shown_name(path.name) + "/" * path.is_dir() for path in sorted(data.iterdir())]
        lines[0] += f" It holds {few(names) or 'nothing'}."
        lines += in_place_of_images(search.reading.folder(data))
        if names := begin_alike(search.reading.folder(data).images):
            lines.append(f"  names of its images begin with {few(names)}: of classes, make a folder of each")
        lines += [f"  {one.where}: {one.detail}" for one in search.reading.folder(data).problems[:10]]
    return "\n".join([*lines, *(f"  {failure.what}" for failure in search.failures[:10])])
