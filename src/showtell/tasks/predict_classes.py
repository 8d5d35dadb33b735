"""Say which classes pictures are of: by a trained classifier, or by a backbone's own ImageNet classes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from showtell.data.images import load_pixels, open_image, read_content
from showtell.data.readers.names import nfc
from showtell.errors import ImageError, ModelError, WeightsError
from showtell.features.imagenet import class_names_of
from showtell.features.store import content_digest
from showtell.features.weights import load_backbone
from showtell.model_folder import FORMAT, ClassifierConfig, ClassifierModel
from showtell.models.gradcam import grad_cam
from showtell.models.heads import HeadConfig, PretrainedHead

SHOWN = 5
"""Classes that are named, the most likely first."""


def predict_classes(
    model: ClassifierModel, run: Path, paths: Sequence[Path], targets: Mapping[Path, Path]
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
    known = _known_labels(run, model.config.classes)
    for path in paths:
        try:
            content = read_content(path)
            pixels = load_pixels(content, model.backbone.preprocessing).unsqueeze(0)
        except ImageError as error:
            yield {"picture": str(path), "error": f"{path}: {error.what}"}
            continue
        probabilities = model.probabilities(pixels)[0]
        best, places = probabilities.topk(min(SHOWN, len(probabilities)))
        ranking = {model.config.classes[i]: p for i, p in zip(places.tolist(), best.tolist())}
        record: dict[str, Any] = {"picture": str(path), "class": next(iter(ranking)), "classes": ranking}
        folder = nfc(path.absolute().parent.name)
        right = known.get(content_digest(content).hex(), folder if folder in model.config.classes else None)
        if right is not None:
            record["right"] = right
        if path in targets:
            record["drawn"] = str(_draw(model, content, pixels, ranking, right, targets[path]))
        yield record


def percentages(record: Mapping[str, Any]) -> str:
    """Return the classes of a record as people read them: ``Leo 97.2%; Ming 1.9%; ...``."""
    return "; ".join(f"{name} {probability:.1%}" for name, probability in record["classes"].items())


def pretrained_classifier(run: Path) -> ClassifierModel | None:
    """Return a backbone with its own classifier, where ``run`` names one instead of a run.

    Args:
        run: A folder in timm's local format, or the name of a timm network whose weights are at hand.

    Returns:
        The classifier, or None where ``run`` is neither.

    Raises:
        ShowtellError: Its weights are missing, or it came without a classifier.
    """
    if _is_timm_folder(run):
        backbone = load_backbone(weights=str(run))
    elif not run.exists() and timm.is_model(str(run)):
        try:
            backbone = load_backbone(str(run))
        except WeightsError as error:
            raise WeightsError(
                error.what,
                would_do="Name a folder of weights in timm's local format instead.",
                run="showtell predict FOLDER PICTURE",
            ) from error
    else:
        return None
    classifier = backbone.network.get_classifier()
    if not isinstance(classifier, nn.Linear):
        raise ModelError(f"{run} has no classifier of its own.", run="showtell train-classifier DATA")
    head = PretrainedHead(HeadConfig("pretrained", classifier.in_features, classifier.out_features))
    with torch.no_grad():
        head.linear.weight.copy_(classifier.weight)
        head.linear.bias.copy_(classifier.bias)
    config = ClassifierConfig(
        format=FORMAT,
        kind="classifier",
        backbone=backbone.description,
        head=head.config,
        classes=class_names_of(backbone.network),
        temperature=1.0,
        provenance={},
    )
    return ClassifierModel(config, backbone, head.requires_grad_(False).eval())


def _is_timm_folder(run: Path) -> bool:
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "architecture" in config and "kind" not in config


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


def _draw(
    model: ClassifierModel,
    content: bytes,
    pixels: torch.Tensor,
    ranking: Mapping[str, float],
    right: str | None,
    out: Path,
) -> Path:
    from showtell.report.prediction import draw_prediction

    heat = grad_cam(model.backbone, model.head, pixels, model.config.classes.index(next(iter(ranking))))
    size = model.backbone.preprocessing
    return draw_prediction(open_image(content), heat, ranking, size, out, right=right)
