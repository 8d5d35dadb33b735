"""Captions and labels in JSON, whatever its form: lists of records, mappings by picture, JSON lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from showtell.data.names import CAPTION_COLUMNS, IMAGE_COLUMNS, column_key, is_picture_name
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
    if path.suffix.lower() == ".json":
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
    if isinstance(value, list):
        for place, record in enumerate(value):
            yield f"[{place}]", record
    elif isinstance(value, dict):
        lists = {key: part for key, part in value.items() if isinstance(part, list) and part}
        lists = {key: part for key, part in lists.items() if isinstance(part[0], dict)}
        if len(lists) == 1 and not any(map(is_picture_name, value)):
            (key, records), *_ = lists.items()
            for place, record in enumerate(records):
                yield f"{key}[{place}]", record
            return
        dicts = [part for part in value.values() if isinstance(part, dict)]
        if len(value) == 1 and dicts and not any(map(is_picture_name, value)):
            yield from _records(dicts[0])
            return
        for name, said in value.items():
            yield f"[{name!r}]", _of_mapping(name, said)


def _of_mapping(name: str, said: Any) -> Any:
    """Return the record that a mapping holds for a picture; None for what is none."""
    if isinstance(said, dict):
        known = {column_key(key) for key in said}
        return said if known & set(IMAGE_COLUMNS[:-5]) else {"image": name, **said}
    if isinstance(said, list) and all(isinstance(part, str | dict) for part in said):
        return {"image": name, "caption": said}
    if isinstance(said, str | int):
        return {"image": name, "text" if " " in str(said).strip() else "words": said}
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
