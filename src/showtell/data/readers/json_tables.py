"""Tables in JSON, of whatever form: records, mappings, columns, lines."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from showtell.data.names import (
    CAPTION_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    column_key,
    is_image_name,
    split_named,
)
from showtell.data.readers.cells import TEXT_KEYS, holds_objects, image_of, object_of
from showtell.data.readers.coco_classes import coco_records, is_coco_of_classes
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import RecordTable, Table
from showtell.errors import DataError
from showtell.files import parse_json

_CONVERSATIONS = ("conversations", "messages")
_ANSWERS = ("gpt", "assistant")
_JUDGED = 20
_CLASS_KEYS = ("name", "label", *TEXT_KEYS)


def open_json(path: Path, reading: Reading) -> RecordTable:
    """Read a JSON or JSON-lines file as a table.

    Understood are a list of records; a mapping of image to caption, captions, label or record; either of
    them as the one large value of an object; and a record a line. Where a record holds a conversation (as of
    LLaVA), the first answer is the caption.

    Raises:
        DataError: It is not JSON, or none of these forms.
    """
    content = reading.utf8(path)
    records: list[tuple[str, Any]] | None = None
    flaw: Exception | None = None
    if path.suffix.lower() == ".json" or content.lstrip()[:1] == b"[":
        try:
            records = [(f"{path}:{where}", one) for where, one in _records(_decoded(content))]
        except (msgspec.DecodeError, RecursionError) as error:
            flaw = error
    records = list(_lines(path, content)) if records is None else records
    records = [(where, _by_place(record)) for where, record in records]
    found = _flattened([(where, record) for where, record in records if isinstance(record, dict)])
    if flaw and not found:
        hint = "Expected a list of records, or a record a line."
        raise DataError(f"{path} is not JSON: {flaw}.", hint=hint) from flaw
    if not found:
        raise DataError(
            f"{path} holds no records.",
            hint='Expected a list such as [{"image": "a.jpg", "caption": "a dog"}], or a mapping such as '
            '{"a.jpg": "a dog"}.',
        )
    broken = [where for where, record in records if not isinstance(record, dict)]
    return RecordTable(path, found, broken=broken)


def _by_place(record: Any) -> Any:
    """Return a record that is a list of cells (``["1.jpg", "a dog"]``) as one of numbered columns."""
    if not isinstance(record, list) or len(record) < 2 or not is_image_name(str(record[0])):
        return record
    return {f"column {place}": cell for place, cell in enumerate(record, start=1)}


def _lines(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", _decoded(line)
            except (msgspec.DecodeError, RecursionError):
                yield f"{path}:{number}", None


_HALVES = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F]..)|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]..")
"""Of signs that take two escapes, such as emoji, one without the other: a text that was cut has these."""


def _decoded(content: bytes) -> Any:
    try:
        value = msgspec.json.decode(content)
        if isinstance(value, dict) and any(map(is_image_name, value)):
            value = json.loads(content, object_pairs_hook=_joined)
        return value
    except msgspec.DecodeError:
        if (whole := _HALVES.sub(rb"\\ufffd", content)) != content:
            return _decoded(whole)
        if b"NaN" not in content and b"Infinity" not in content:
            raise
        try:
            return parse_json(content)  # as Python and pandas write numbers that are none
        except ValueError as error:
            raise msgspec.DecodeError(str(error)) from error


def _joined(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object in which an image that stands in it several times has all its captions."""
    found: dict[str, list[Any]] = {}
    for name, content in pairs:
        found.setdefault(name, []).append(content)
    return {
        name: several if len(several) > 1 and is_image_name(name) else several[-1]
        for name, several in found.items()
    }


def _records(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield place and record of each, whatever holds them; of an object the key is that of a list in it."""
    if isinstance(value, list):
        yield from ((f"{key}[{place}]", record) for place, record in enumerate(value))
        return
    if not isinstance(value, dict):
        return
    named = any(map(is_image_name, value))
    lists = {key: part for key, part in value.items() if isinstance(part, list) and part}
    mappings = {key: part for key, part in value.items() if isinstance(part, dict) and part}
    listed = [key for key, part in lists.items() if isinstance(part[0], dict)]
    parts = lists | mappings
    by_split = {key: part for key, part in parts.items() if split_named(key)}
    tables = [key for key, part in mappings.items() if _are_images(part) or _are_splits(part)]
    if len(by_split) > 1 or (by_split and len(by_split) == len(value)):  # {"train": [...], "val": {...}}
        for split, records in by_split.items():
            for where, record in _records(records, split):
                yield where, record | {"split": split} if isinstance(record, dict) else record
    elif is_coco_of_classes(value):
        yield from coco_records(value)
    elif isinstance(value.get("labels"), dict) and isinstance(value.get("classes"), list):  # of FiftyOne
        classes = dict(enumerate(value["classes"]))
        for name, label in value["labels"].items():
            label = classes.get(label, label) if isinstance(label, int) else label
            yield f"labels[{name!r}]", {"image": name, "label": label}
    elif not named and (columns := _columns(value)):
        yield from _records([dict(zip(columns, cells)) for cells in zip(*columns.values())])
    elif len(listed) == 1 and not named:
        yield from _records(lists[listed[0]], listed[0])
    elif not named and (len(tables) == 1 or (len(value) == 1 and mappings)):
        yield from _records(mappings[tables[0]] if tables else next(iter(mappings.values())))
    elif not named and lists and all(map(_are_names, value.values())):  # {"cat": ["1.jpg", "2.jpg"]}
        for label, names in lists.items():
            yield from ((f"[{label!r}]", {"image": name, "label": label}) for name in names)
    else:
        words = "caption" if any(isinstance(content, list) for content in value.values()) else "words"
        for name, content in value.items():
            yield f"[{name!r}]", _of_mapping(name, content, words)


def _are_images(part: dict[str, Any]) -> bool:
    """Tell whether a mapping holds something of images, by their names or in records that name them."""
    records = [one for one in part.values() if isinstance(one, dict)]
    keys = [{column_key(str(key)) for key in record} for record in records]
    return any(map(is_image_name, part)) or (
        len(records) == len(part) and all(key & set(IMAGE_COLUMNS[:-5]) for key in keys)
    )


def _are_splits(part: dict[str, Any]) -> bool:
    """Tell whether a mapping holds records by split: ``{"data": {"train": [...], "val": [...]}}``."""
    return len(part) > 1 and all(split_named(key) and isinstance(one, list) for key, one in part.items())


def _are_names(part: Any) -> bool:
    return isinstance(part, list) and all(isinstance(one, str) and is_image_name(one) for one in part)


def _columns(value: dict[str, object]) -> dict[str, list[Any]]:
    """Return the columns of a table, as pandas writes one; nothing where it is none."""
    cells = {key: list(p.values()) if isinstance(p, dict) else p for key, p in value.items()}
    columns = {key: p for key, p in cells.items() if isinstance(p, list)}
    alike = len(columns) == len(cells) and len(set(map(len, columns.values()))) == 1
    named = not set(IMAGE_COLUMNS).isdisjoint(map(column_key, value))
    records = any(isinstance(cell, dict) for cells in columns.values() for cell in cells)
    return columns if len(value) > 1 and alike and named and not records else {}


def _of_mapping(name: str, content: Any, words: str) -> Any:
    """Return the record that a mapping holds for an image, its words in a column; None for what is none."""
    key = "image" if is_image_name(name) else "id"
    if isinstance(content, dict):
        known = {column_key(key) for key in content}
        return content if known & set(IMAGE_COLUMNS[:-5]) else {key: name, **content}
    if isinstance(content, list) and all(isinstance(part, str | dict) for part in content):
        return {key: name, words: content}
    if isinstance(content, str | int):
        return {key: name, words: content}
    return None


def _answered(record: dict[str, object]) -> dict[str, object]:
    """Return a task of Label Studio with its answers as columns, other records as they are."""
    given = record.get("annotations")
    tasks = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    results = [one for task in tasks for one in task.get("result") or () if not task.get("was_cancelled")]
    values = [one["value"] for one in results if isinstance(one, dict) and isinstance(one.get("value"), dict)]
    labels = [label for value in values for label in value.get("choices", ())]
    captions = [text for value in values for text in value.get("text", ())]
    if not any("result" in task for task in tasks):
        return record
    kept = {key: value for key, value in record.items() if key in ("data", "id")}
    return kept | ({"label": list(dict.fromkeys(labels))} if labels else {"caption": captions})


def _parts(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a turn of a conversation consists of, where it is written in parts: texts and images."""
    content = turn.get("value") or turn.get("content")
    content = [{"text": content}] if isinstance(content, str) else content
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _said(turn: dict[str, Any]) -> str:
    return " ".join(part["text"] for part in _parts(turn) if isinstance(part.get("text"), str))


def _shown(turns: list[dict[str, Any]]) -> dict[str, object]:
    """Return the image that is a part of a conversation, as OpenAI and Qwen write it; nothing without one."""
    parts = [part for turn in turns for part in _parts(turn)]
    images = [image_of(part[key]) for part in parts for key in ("image", "image_url") if part.get(key)]
    return {"image": images} if images else {}


def _flattened(records: Sequence[tuple[str, dict[str, object]]]) -> list[tuple[str, dict[str, object]]]:
    """Return records without nested ones, but for lists of captions; a conversation becomes its answer.

    Where several objects hold the same name, it stands behind theirs: ``author.name``.
    """
    plain = [(where, _answered(record)) for where, record in records]
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for _, record in plain:
        for key, value in record.items():
            for inner in value if isinstance(value, dict) and _is_opened(key, value) else ():
                owners[inner].add(key)
    apart = {name for name, several in owners.items() if len(several) > 1}
    return [(where, _flat(record, apart)) for where, record in plain]


def _flat(record: dict[str, object], apart: Collection[str]) -> dict[str, object]:
    spoken = next((record[key] for key in _CONVERSATIONS if record.get(key)), None)
    if isinstance(spoken, list):
        turns = [turn for turn in spoken if isinstance(turn, dict)]
        answers = [_said(turn) for turn in turns if (turn.get("from") or turn.get("role")) in _ANSWERS]
        rest = {key: value for key, value in record.items() if key not in _CONVERSATIONS}
        return _shown(turns) | rest | {"caption": next(filter(None, answers), "")}
    found: dict[str, object] = {}
    for key, value in record.items():
        column = column_key(key)
        if column in LABEL_COLUMNS and (name := _class_in(value)) is not None:
            found[key] = name  # {"name": "dog", "score": 0.9}, or a list of such
        if not isinstance(value, dict) or not _is_opened(key, value):
            found.setdefault(key, value)
        elif column in CAPTION_COLUMNS:  # {"en": "a dog", "ko": "개"}
            found |= {f"{key}_{inner}": cell for inner, cell in value.items()}
        else:
            inside = {k: cell for k, cell in value.items() if k not in record and cell is not found.get(key)}
            found |= {f"{key}.{k}" if k in apart else k: cell for k, cell in inside.items()}
    return found


def _class_in(value: object) -> Any:
    """Return the class that an object names, or those of a list of objects; None where there is none."""
    if isinstance(value, dict):
        return next((value[key] for key in _CLASS_KEYS if isinstance(value.get(key), str | int)), None)
    names = [_class_in(part) for part in value if isinstance(part, dict)] if isinstance(value, list) else []
    return names if isinstance(value, list) and len(names) == len(value) and None not in names else None


def _is_opened(key: str, value: dict[str, object]) -> bool:
    """Tell whether the parts of an object are columns; else it is a cell."""
    column = column_key(key)
    text = column in CAPTION_COLUMNS and not value.keys().isdisjoint(TEXT_KEYS)
    return not text and column not in IMAGE_COLUMNS


def opened(table: Table) -> Table:
    """Return a table in which objects that cells write are columns, one for each of their keys.

    So annotators and Hugging Face write into CSV: ``{"caption": "a dog", "public_domain": "no"}``.
    """
    first = [row.fields for row in islice(table.rows(), _JUDGED)]
    columns = [
        [row[place] for row in first if len(row) > place and row[place]] for place in range(len(table.header))
    ]
    objects = [place for place, cells in enumerate(columns) if cells and holds_objects(cells)]
    if not objects:
        return table
    records: list[tuple[str, dict[str, object]]] = []
    broken = list(table.broken)
    for where, fields, unclosed in table.rows():
        if unclosed or len(fields) != len(table.header):
            broken.append(where)
            continue
        record = dict(zip(table.header, fields))
        records.append((where, record | {table.header[p]: object_of(fields[p]) or "" for p in objects}))
    return RecordTable(table.path, _flattened(records), broken=broken, images=table.images)
