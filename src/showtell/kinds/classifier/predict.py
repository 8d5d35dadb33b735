"""Say which classes pictures are of, and which they are known to be of."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from showtell.data.images import open_image, read_content
from showtell.data.names import nfc
from showtell.errors import ImageError
from showtell.kinds.loading import Classes, LoadedClassifier
from showtell.kinds.records import SHOWN, class_record
from showtell.store.store import content_digest


def predict_classes(
    model: LoadedClassifier, run: Path, paths: Sequence[Path], targets: Mapping[Path, Path]
) -> Iterator[dict[str, Any]]:
    """Name pictures one after the other.

    Args:
        model: The classifier.
        run: Its run folder, which may know the right classes.
        paths: The pictures.
        targets: Where to draw which of them.

    Yields:
        One record a picture: ``picture``, ``class``, ``classes`` with their probabilities, ``right`` where
        it is known; or ``picture`` and ``error``.
    """
    known = _known_labels(run, model.classes)
    for path, found in zip(paths, model.stream(paths, errors="return")):
        if isinstance(found, ImageError):
            yield {"picture": str(path), "error": found.what}
            continue
        record: dict[str, Any] = {"picture": str(path)} | class_record(found)
        folder = nfc(path.absolute().parent.name)
        right = folder if folder in model.classes else None
        if known:
            right = known.get(content_digest(read_content(path)).hex(), right)
        if right is not None:
            record["right"] = right
        if path in targets:
            record["drawn"] = str(_draw(model, path, found, right, targets[path]))
        yield record


def percentages(record: Mapping[str, Any]) -> str:
    """Return the classes of a record as people read them: ``Leo 97.2%; Ming 1.9%; ...``."""
    return "; ".join(f"{name} {probability:.1%}" for name, probability in record["classes"].items())


def _known_labels(run: Path, classes: Sequence[str]) -> dict[str, str]:
    """Return the right classes that a run recorded, by the SHA-256 of the pictures."""
    for folder in (run, run.parent):
        try:
            lines = (folder / "pictures.jsonl").read_text(encoding="utf-8").splitlines()
            records = [json.loads(line) for line in lines]
            return {record["sha256"]: record["label"] for record in records if record["label"] in classes}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}


def _draw(model: LoadedClassifier, path: Path, found: Classes, right: str | None, out: Path) -> Path:
    from showtell.kinds.classifier.drawing import draw_prediction

    heat = model.look(path, found.label)
    size = model.backbone.preprocessing
    return draw_prediction(open_image(path), heat, dict(found.top(SHOWN)), size, out, right=right)
