"""Captions and labels in JSON, whatever its form: lists of records, mappings by picture, JSON lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from showtell.data.names import CAPTION_COLUMNS, IMAGE_COLUMNS, column_key, is_picture_name, split_named
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import RecordTable
from showtell.errors import DataError

_SPEAKERS = ("gpt", "assistant")


def open_json(path: Path, reading: Reading) -> RecordTable:
    """Read a JSON or JSON-lines file as a table.

    Understood are a list of records; a mapping of picture to caption, captions, label or record; either of
    them as the one large value of an object; and a record a line. Where a record holds a conversation (as of
    LLaVA), the first answer is the caption.

    Raises:
        DataError: It is not JSON, or none of these forms.
    """
    content = reading.utf8(path)
    if path.suffix.lower() == ".json" or content.lstrip()[:1] == b"[":
        try:
            records = [
                (f"{path}:{where}", record) for where, record in _records(msgspec.json.decode(content))
            ]
        except msgspec.DecodeError as error:
            records = list(_lines(path, content))
            if not any(isinstance(record, dict) for _, record in records):
                raise DataError(
                    f"{path} is not JSON: {error}.",
                    would_do="Expected a list of records, or a record a line.",
                ) from error
    else:
        records = list(_lines(path, content))
    found = [(where, _flat(record)) for where, record in records if isinstance(record, dict)]
    if not found:
        raise DataError(
            f"{path} holds no records.",
            would_do='Expected a list such as [{"image": "a.jpg", "caption": "a dog"}], or a mapping such as '
            '{"a.jpg": "a dog"}.',
        )
    return RecordTable(path, found, [where for where, record in records if not isinstance(record, dict)])


def _records(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield place and record of each, whatever holds them."""
    if isinstance(value, list):
        for place, record in enumerate(value):
            yield f"[{place}]", record
        return
    if not isinstance(value, dict):
        return
    named = any(map(is_picture_name, value))
    lists = {key: part for key, part in value.items() if isinstance(part, list) and part}
    listed = {key: part for key, part in lists.items() if isinstance(part[0], dict)}
    if lists.keys() == value.keys() and all(
        split_named(key) for key in value
    ):  # {"train": [...], "val": [...]}
        for split, records in lists.items():
            for place, record in enumerate(records):
                yield f"{split}[{place}]", record | {"split": split} if isinstance(record, dict) else record
    elif isinstance(value.get("labels"), dict) and isinstance(value.get("classes"), list):  # of FiftyOne
        for name, label in value["labels"].items():
            yield f"labels[{name!r}]", {"image": name, "label": _class_of(label, value["classes"])}
    elif not named and (columns := _columns(value)):
        for place, cells in enumerate(zip(*columns.values())):
            yield f"[{place}]", dict(zip(columns, cells))
    elif len(listed) == 1 and not named:
        (key, records), *_ = listed.items()
        for place, record in enumerate(records):
            yield f"{key}[{place}]", record
    elif len(value) == 1 and not named and isinstance(inner := next(iter(value.values())), dict):
        yield from _records(inner)
    else:
        for name, said in value.items():
            yield f"[{name!r}]", _of_mapping(name, said)


def _columns(value: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the columns of a table, as pandas writes one; nothing where it is none."""
    keys = {column_key(key) for key in value}
    columns = [list(part.values()) if isinstance(part, dict) else part for part in value.values()]
    alike = all(isinstance(part, list) for part in columns) and len(set(map(len, columns))) == 1
    return dict(zip(value, columns)) if len(value) > 1 and alike and keys & set(IMAGE_COLUMNS) else {}


def _class_of(label: Any, classes: list[Any]) -> Any:
    return classes[label] if isinstance(label, int) and 0 <= label < len(classes) else label


def _of_mapping(name: str, said: Any) -> Any:
    """Return the record that a mapping holds for a picture; None for what is none."""
    key = "image" if is_picture_name(name) else "id"
    if isinstance(said, dict):
        known = {column_key(key) for key in said}
        return said if known & set(IMAGE_COLUMNS[:-5]) else {key: name, **said}
    if isinstance(said, list) and all(isinstance(part, str | dict) for part in said):
        return {key: name, "caption": said}
    if isinstance(said, str | int):
        return {key: name, "text" if " " in str(said).strip() else "words": said}
    return None


def _lines(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", msgspec.json.decode(line)
            except msgspec.DecodeError:
                yield f"{path}:{number}", None


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without nested ones, but for lists of captions; a conversation becomes its answer."""
    spoken = record.get("conversations") or record.get("messages")
    if isinstance(spoken, list):
        answers = [
            turn.get("value") or turn.get("content")
            for turn in spoken
            if isinstance(turn, dict) and (turn.get("from") or turn.get("role")) in _SPEAKERS
        ]
        rest = {key: value for key, value in record.items() if key not in ("conversations", "messages")}
        return rest | {"caption": next((answer for answer in answers if isinstance(answer, str)), "")}
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict) and column_key(key) not in (*CAPTION_COLUMNS, *IMAGE_COLUMNS):
            flat |= {f"{inner}": cell for inner, cell in value.items() if inner not in record}
        else:
            flat[key] = value
    return flat
