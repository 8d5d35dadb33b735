"""The record of a run's pictures: the split, the content, and the group of each."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from showtell.console import Console
from showtell.errors import DataError
from showtell.extraction.prepared import Prepared


def save_pictures(path: Path, prepared: Prepared, twins: Mapping[str, str] | None = None) -> None:
    """Record each picture's split and content, so that a later evaluation uses the very same.

    Args:
        path: The file to write.
        prepared: The pictures.
        twins: Training pictures of which pictures of other splits are near-duplicates, by their names.
    """
    twins = twins or {}
    groups = prepared.groups.of
    shared = Counter(groups.values())
    lines = []
    for picture in prepared.pictures:
        record: dict[str, object] = {
            "name": picture.name,
            "split": picture.split,
            "sha256": prepared.extraction.digests[picture.name].hex(),
        }
        if picture.label is not None:
            record["label"] = picture.label
        if shared[groups[picture.name]] > 1:
            record["group"] = groups[picture.name]
        if picture.name in twins:
            record["twin"] = twins[picture.name]
        lines.append(json.dumps(record, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_pictures(path: Path) -> list[dict[str, Any]]:
    """Read what :func:`save_pictures` recorded, one record a picture.

    Raises:
        DataError: The record is missing or damaged.
    """
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if all({"name", "split"} <= record.keys() for record in records):
            return records
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} cannot be read: {error!r}.") from error
    raise DataError(f"{path} is not a record of pictures and their splits.")


def warn_of_learnt(run: Path, prepared: Prepared, console: Console) -> None:
    """Say how many of the pictures, by their content, a run was trained on.

    Raises:
        DataError: The run's record of pictures is missing or damaged.
    """
    learnt = {r.get("sha256") for r in load_pictures(run / "pictures.jsonl") if r["split"] == "train"}
    count = sum(prepared.extraction.digests[p.name].hex() in learnt for p in prepared.pictures)
    if count:
        console.say(
            f"Warning: {count:,} of these {len(prepared.pictures):,} pictures were trained on; "
            "scores on others are what counts"
        )
