"""What shaped the features of a space: one JSON text, written beside them and compared with what is asked."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from showtell.errors import StoreError
from showtell.files import write_atomic

DTYPES = ("float16", "float32")


def canonical_description(description: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return the one JSON text of a description, and the description as that text reads.

    Raises:
        StoreError: It lacks what the store needs to know a record's length.
    """
    text = json.dumps(dict(description), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    canonical = unicodedata.normalize("NFC", text).encode()
    loaded: dict[str, Any] = json.loads(canonical)
    shape = loaded.get("grid_shape", "absent")
    sound_shape = shape is None or (
        isinstance(shape, list) and len(shape) == 2 and all(_positive(n) for n in shape)
    )
    if loaded.get("dtype") not in DTYPES or not sound_shape or not _positive(loaded.get("pooled_dim")):
        raise StoreError(
            f"A feature space cannot be made from dtype {loaded.get('dtype')!r}, grid_shape {shape!r}, "
            f"pooled_dim {loaded.get('pooled_dim')!r}.",
            hint="It needs dtype float16 or float32, grid_shape [L, D] or null, and pooled_dim.",
        )
    return canonical, loaded


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def space_id(canonical: bytes) -> str:
    """Return the name of the space that a canonical description describes, 16 hexadecimal digits."""
    return hashlib.sha256(canonical).hexdigest()[:16]


def settle_description(folder: Path, canonical: bytes, description: Mapping[str, Any]) -> None:
    """Write ``space.json`` where there is none; refuse the folder where it says something else.

    Raises:
        StoreError: The folder holds other features; the message names every difference.
    """
    path = folder / "space.json"
    if path.exists():
        kept = read_description(folder)
        if kept != description:
            raise StoreError(
                f"{path} describes other features than asked for: "
                f"{description_difference(kept, description)}.",
                hint="Remove the space and extract again; somebody has edited it.",
                run=f"showtell store --remove {folder.name}",
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, canonical, durable=True)


def read_description(folder: Path) -> dict[str, Any]:
    """Read ``space.json``.

    Raises:
        StoreError: It is missing, or is not a description.
    """
    try:
        return canonical_description(json.loads((folder / "space.json").read_bytes()))[1]
    except (OSError, ValueError, StoreError) as error:
        raise StoreError(
            f"{folder / 'space.json'} cannot be read: {error}.",
            hint="Remove the space and extract again.",
            run=f"showtell store --remove {folder.name}",
        ) from error


def description_difference(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Return a sentence with every value in which two descriptions differ, and nothing else of them."""
    there, here = _flat(kept), _flat(asked)
    names = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    return "; ".join(f"{name} is {there.get(name)!r} there, {here.get(name)!r} here" for name in names)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
