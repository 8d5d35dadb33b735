"""What shaped the features of a space: one JSON text, written beside them and compared with what is asked."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from showtell.errors import StoreError
from showtell.files import new_folder, parse_json, sync_folder, write_atomic
from showtell.store.folders import removal_of

_Positive = Annotated[int, msgspec.Meta(gt=0)]


class Layout(msgspec.Struct, frozen=True):
    """What of a description tells a record's length: grid_shape is (L, D), or None for no grid."""

    dtype: Literal["float16", "float32"]
    grid_shape: tuple[_Positive, _Positive] | None
    pooled_dim: _Positive


def canonical_description(description: Mapping[str, object]) -> tuple[bytes, dict[str, object]]:
    """Return the one JSON text of a description, and the description as that text reads.

    Raises:
        StoreError: It lacks what the store needs to know a record's length.
    """
    text = json.dumps(dict(description), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    canonical = unicodedata.normalize("NFC", text).encode()
    loaded: dict[str, object] = json.loads(canonical)
    layout_of(loaded)
    return canonical, loaded


def layout_of(description: Mapping[str, object]) -> Layout:
    """Return the layout of a description's records.

    Raises:
        StoreError: It lacks what the store needs to know a record's length.
    """
    try:
        return msgspec.convert(description, Layout)
    except msgspec.ValidationError as error:
        named = (f"{name} {description.get(name, 'absent')!r}" for name in Layout.__struct_fields__)
        raise StoreError(
            f"A feature space cannot be made from {', '.join(named)}.",
            hint="Expected dtype float16 or float32, grid_shape [L, D] or null, and pooled_dim.",
        ) from error


def space_id(canonical: bytes) -> str:
    """Return the name of the space that a canonical description describes, 16 hexadecimal digits."""
    return hashlib.sha256(canonical).hexdigest()[:16]


def settle_description(folder: Path, canonical: bytes, description: Mapping[str, object]) -> None:
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
                run=removal_of(folder),
            )
        return
    try:
        with new_folder(folder) as new:  # a kill leaves no folder that lacks its description
            write_atomic(new / path.name, canonical, durable=True)
    except OSError:
        if not path.exists():  # else another process was faster
            raise
    sync_folder(folder.parent)


def read_description(folder: Path) -> dict[str, object]:
    """Read ``space.json``.

    Raises:
        StoreError: It is missing, or is not a description.
    """
    try:
        return canonical_description(parse_json((folder / "space.json").read_bytes()))[1]
    except (OSError, ValueError, TypeError, StoreError) as error:
        raise StoreError(
            f"{folder / 'space.json'} cannot be read: {error}.",
            hint="Remove the space and extract again.",
            run=removal_of(folder),
        ) from error


def description_difference(kept: Mapping[str, object], asked: Mapping[str, object]) -> str:
    """Return a sentence with every value in which two descriptions differ, and nothing else of them."""
    there, here = _flat(kept), _flat(asked)
    names = sorted(name for name in {*there, *here} if there.get(name) != here.get(name))
    return "; ".join(f"{name} is {there.get(name)!r} there, {here.get(name)!r} here" for name in names)


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
