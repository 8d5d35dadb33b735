"""Captions and labels in JSON, whatever its form: lists of records, mappings by picture, JSON lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from showtell.data.names import CAPTION_COLUMNS, IMAGE_COLUMNS, column_key, is_picture_name, split_named
from showtell.data.readers.reading import Reading
from showtell.data.readers.table import RecordTable
from showtell.errors import DataError

_CONVERSATIONS = ("conversations", "messages")


def open_json(path: Path, reading: Reading) -> RecordTable:
    """Read a JSON or JSON-lines file as a table.

    Understood are a list of records; a mapping of picture to caption, captions, label or record; either of
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
            records = [(f"{path}:{where}", one) for where, one in _records(msgspec.json.decode(content))]
        except (msgspec.DecodeError, RecursionError) as error:
            flaw = error
    records = list(_lines(path, content)) if records is None else records
    found = [(where, _flat(record)) for where, record in records if isinstance(record, dict)]
    if flaw and not found:
        would_do = "Expected a list of records, or a record a line."
        raise DataError(f"{path} is not JSON: {flaw}.", would_do=would_do) from flaw
    if not found:
        raise DataError(
            f"{path} holds no records.",
            would_do='Expected a list such as [{"image": "a.jpg", "caption": "a dog"}], or a mapping such as '
            '{"a.jpg": "a dog"}.',
        )
    broken = [where for where, record in records if not isinstance(record, dict)]
    return RecordTable(path, found, broken=broken)


def _lines(path: Path, content: bytes) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                yield f"{path}:{number}", msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError):
                yield f"{path}:{number}", None


def _records(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield place and record of each, whatever holds them; of an object the key is that of a list in it."""
    if isinstance(value, list):
        yield from ((f"{key}[{place}]", record) for place, record in enumerate(value))
        return
    if not isinstance(value, dict):
        return
    named = any(map(is_picture_name, value))
    lists = {key: part for key, part in value.items() if isinstance(part, list) and part}
    listed = [key for key, part in lists.items() if isinstance(part[0], dict)]
    if lists.keys() == value.keys() and all(map(split_named, value)):  # {"train": [...], "val": [...]}
        for split, records in lists.items():
            for where, record in _records(records, split):
                yield where, record | {"split": split} if isinstance(record, dict) else record
    elif isinstance(value.get("labels"), dict) and isinstance(value.get("classes"), list):  # of FiftyOne
        classes = dict(enumerate(value["classes"]))
        for name, label in value["labels"].items():
            label = classes.get(label, label) if isinstance(label, int) else label
            yield f"labels[{name!r}]", {"image": name, "label": label}
    elif not named and (columns := _columns(value)):
        yield from _records([dict(zip(columns, cells)) for cells in zip(*columns.values())])
    elif len(listed) == 1 and not named:
        yield from _records(lists[listed[0]], listed[0])
    elif len(value) == 1 and not named and isinstance(inner := next(iter(value.values())), dict):
        yield from _records(inner)
    else:
        for name, said in value.items():
            yield f"[{name!r}]", _of_mapping(name, said)


def _columns(value: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the columns of a table, as pandas writes one; nothing where it is none."""
    columns = {key: list(p.values()) if isinstance(p, dict) else p for key, p in value.items()}
    alike = all(isinstance(p, list) for p in columns.values()) and len(set(map(len, columns.values()))) == 1
    named = not set(IMAGE_COLUMNS).isdisjoint(map(column_key, value))
    return columns if len(value) > 1 and alike and named else {}


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


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without nested ones, but for lists of captions; a conversation becomes its answer."""
    spoken = next((record[key] for key in _CONVERSATIONS if record.get(key)), None)
    if isinstance(spoken, list):
        turns = [turn for turn in spoken if isinstance(turn, dict)]
        turns = [turn for turn in turns if (turn.get("from") or turn.get("role")) in ("gpt", "assistant")]
        answers = [turn.get("value") or turn.get("content") for turn in turns]
        rest = {key: value for key, value in record.items() if key not in _CONVERSATIONS}
        return rest | {"caption": next((answer for answer in answers if isinstance(answer, str)), "")}
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict) and column_key(key) not in (*CAPTION_COLUMNS, *IMAGE_COLUMNS):
            flat |= {inner: cell for inner, cell in value.items() if inner not in record}
        else:
            flat[key] = value
    return flat
