"""The classifier as a kind of model."""

from pathlib import Path

import torch

from showtell.backbones.imagenet import pretraining_warning
from showtell.console import Console
from showtell.data.reading import read_annotated
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.kinds.classifier.evaluation import ClassEvaluation, evaluate_classes
from showtell.kinds.classifier.model import NAME, ClassifierModel
from showtell.kinds.classifier.pretrained import pretrained_classifier
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.kind import Kind, Question, Reported
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

    def report(self, reported: Reported) -> Path:
        """Write the report of a classifier."""
        from showtell.kinds.classifier.report import report_classifier  # matplotlib takes a second to load

        return report_classifier(reported)

    def pretrained(self, name: Path, device: torch.device, console: Console | None) -> ClassifierModel | None:
        """Return a backbone with its own classifier, where the name is that of one."""
        return pretrained_classifier(name, device, console)
