"""What is written of a config, and how it is read back."""

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from showtell.errors import ModelError

Config = TypeVar("Config")


def to_json(config: Any) -> dict[str, Any]:
    """Return a config as JSON values, paths as text."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def save_config(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON record atomically."""
    partial = path.with_name(f".{path.name}.partial")
    text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
    partial.write_text(text, encoding="utf-8", errors="surrogateescape")  # a path may be no UTF-8
    partial.replace(path)


def load_config(path: Path, kind: type[Config]) -> tuple[Config, dict[str, Any]]:
    """Read the config that a run recorded.

    Returns:
        The config, and the whole record.

    Raises:
        ModelError: The record is missing, or is not one of this kind: unknown settings and wrong types are
            named.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        settings = record["config"]
        names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
        if unknown := sorted(settings.keys() - names):
            raise ModelError(f"{path} has settings that {kind.__name__} does not know: {', '.join(unknown)}.")
        return msgspec.convert(settings, kind, dec_hook=_decode), record
    except (OSError, ValueError, KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ModelError(f"{path} cannot be read as a run's record: {error}.") from error


def _decode(kind: Any, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"no conversion to {kind}")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
