"""Captions and references in the formats of the COCO caption challenge, for other tools to score."""

import json
from collections.abc import Iterable
from pathlib import Path

from showtell.errors import ConfigError
from showtell.files import write_atomic
from showtell.runs.records import JsonObject

_MARK = "references of images that showtell captioned"
_BEGINNINGS = (b'[{"image_id": ', b"[]"), (f'{{"info": {{"description": "{_MARK}"}}'.encode(),)
"""Of what is written: the results, and the annotations."""


def references_beside(out: Path) -> Path:
    """Return where the references of results are written: ``NAME-annotations.json`` beside ``NAME.json``."""
    return out.with_name(f"{out.stem}-annotations.json")


def check_coco_results(out: Path) -> None:
    """Refuse to write over files that hold something else.

    Raises:
        ConfigError: One does; the message names it.
    """
    for path, beginnings in zip((out, references_beside(out)), _BEGINNINGS):
        if not path.exists():
            continue
        with path.open("rb") as file:
            head = file.read(max(map(len, beginnings)))
        if not head.startswith(beginnings):
            raise ConfigError(
                f"--export {out} would write over {path}, which holds something else.",
                hint="Name another file.",
            )


def write_coco_results(lines: Iterable[JsonObject], out: Path) -> Path:
    """Write captions as COCO results, and their references as COCO annotations beside them.

    An image's id is its name in the data. Each of the two files is whole or absent.

    Args:
        lines: What is kept of each image: its name, caption and references.
        out: The results; folders are made if missing.

    Returns:
        The annotations: ``NAME-annotations.json`` beside ``NAME.json``.
    """
    lines = sorted(lines, key=lambda line: str(line["image"]))
    results = [{"image_id": line["image"], "caption": line["caption"]} for line in lines]
    references = [(line["image"], text) for line in lines for text in line["references"]]
    annotations = {
        "info": {"description": _MARK},
        "licenses": [],
        "type": "captions",
        "images": [{"id": line["image"], "file_name": line["image"]} for line in lines],
        "annotations": [
            {"id": number, "image_id": name, "caption": text}
            for number, (name, text) in enumerate(references, 1)
        ],
    }
    beside = references_beside(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    for path, content in ((beside, annotations), (out, results)):
        # The name of a file may not be UTF-8.
        write_atomic(path, json.dumps(content, ensure_ascii=False) + "\n", errors="surrogateescape")
    return beside
