"""What a captioner says of images, kept in the store, so that it is asked of each image only once."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.extraction.features import Features
from showtell.kinds.library import predict_features
from showtell.kinds.model import Model
from showtell.kinds.written import written_to
from showtell.store.store import FeatureStore

_FOLDER = "captions"


def said_of(
    model: Model[Any],
    images: Sequence[AnnotatedImage],
    features: Features,
    store: FeatureStore,
    console: Console,
) -> list[str]:
    """Return what a model says of each image; what it has not said before is asked now and kept.

    Args:
        model: A captioner.
        images: N readable images.
        features: Of them.
        store: Keeps the captions, by model and by the content of images.
        console: Told the progress.

    Raises:
        ConfigError: Another process is just captioning the same.
    """
    path = store.root / _FOLDER / f"{_identity(model)}.csv"
    contents = [features.digests[image.name].hex() for image in images]
    known = _read(path)
    # Copies of an image are asked about once.
    missing = {digest: image for digest, image in zip(contents, images) if digest not in known}
    if missing:
        named = [AnnotatedImage(digest, image.path) for digest, image in missing.items()]
        with (
            written_to(path, named, has_scores=False, overwrite=False, console=console) as written,
            console.bar(len(missing), "captioning", "images") as bar,
        ):
            for one, result in zip(named, predict_features(model, features, list(missing.values()))):
                written.add(one, result)
                known[one.name] = result.text
                bar.update(1)
    return [known[digest] for digest in contents]


def _identity(model: Model[Any]) -> str:
    """Return a name for what a model says: other weights, words or another search say something else."""
    config = model.config
    parts = [config.checksums, [one.description.weights for one in model.backbone.parts], model.summary()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, str]:
    """Return the captions by the SHA-256 of images; a line that was cut off is not among them."""
    if not path.exists():
        return {}
    whole = path.read_bytes().rpartition(b"\n")[0].decode()  # a full disk may cut within a letter
    return {row[0]: row[1] for row in list(csv.reader(whole.split("\n")))[1:]}
