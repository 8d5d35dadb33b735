"""A kind of model as the commands see it, and the registry of kinds."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch

from showtell.backbones.description import Precision
from showtell.console import Console
from showtell.data.records import AnnotatedImage, Dataset
from showtell.data.source import DataSource
from showtell.errors import ModelError
from showtell.evaluation.intervals import Ints
from showtell.evaluation.paired import Paired
from showtell.extraction.features import Features
from showtell.extraction.prepared import Prepared
from showtell.kinds.model import Model
from showtell.runs.records import EvaluationRecord, JsonObject
from showtell.runs.run import Run
from showtell.runs.settings import TrainingSettings


@dataclass(frozen=True)
class Question:
    """What a model is to be scored on.

    Attributes:
        split: Name of the split, or ``all`` of other data.
        prepared: The images of the split, with their features.
        training: Images that the model was trained on; empty where they are not known.
        leaks: Images of the split that are near-duplicates of training images, with those.
        beam_size: Captions searched side by side; None for the model's own.
        console: Told what is left out.
        known: Of other data, the name in the training of each image that it has by content, by its name here;
            None where all are of the training's own data, and bear its names.
    """

    split: str
    prepared: Prepared
    training: tuple[AnnotatedImage, ...] = ()
    leaks: Mapping[str, str] = field(default_factory=dict)
    beam_size: int | None = None
    console: Console = field(default_factory=lambda: Console(quiet=True))
    known: Mapping[str, str] | None = None


class Evaluation(Protocol):
    """What a model says of a split, and what that scores."""

    @property
    def split(self) -> str:
        """Return which split it is, or ``all`` of other data."""

    def figures(self) -> dict[str, float]:
        """Return the scores by name, without intervals."""

    def record(self) -> EvaluationRecord:
        """Return what is kept in ``evaluation-SPLIT.json``."""

    def lines(self) -> Iterable[JsonObject]:
        """Return what is kept of each image, a line of ``predictions-SPLIT.jsonl`` each."""

    def table(self) -> str:
        """Return the scores as text, with 95% intervals."""

    def examples(self) -> str:
        """Return what is best and worst, as text; empty where there is nothing to show."""


@dataclass(frozen=True)
class Reported:
    """What a report is written of.

    Attributes:
        run: The run.
        model: Its model.
        dataset: The data of the training.
        split: The evaluated split that is reported.
        settings: Of the training, with paths as seen from here.
        features: Of the evaluated images, by the network that the model uses; None where they are to be read
            from the store.
    """

    run: Run
    model: Model[Any]
    dataset: Dataset
    split: str
    settings: TrainingSettings
    features: Features | None = None


AnyModel: TypeAlias = Model[Any]


class Kind(ABC):
    """A kind of model. A new one is a folder with these parts, and a line of the registry.

    Attributes:
        name: As models and runs record it.
        Settings: Of its training.
        Model: The class of its models.
        exports: Whether what it says of images can be written by ``export_results``.
    """

    name: str
    Settings: type[TrainingSettings]
    Model: type[AnyModel]
    exports = False

    @abstractmethod
    def read(self, source: DataSource, console: Console) -> Dataset:
        """Read data for it, say what was found, and refuse data that holds nothing for it.

        Raises:
            DataError: So it is.
        """

    @abstractmethod
    def train(self, settings: Any, console: Console | None = None) -> Run:
        """Train a model; return the run with the model, its record and its validation scores."""

    @abstractmethod
    def evaluate(self, model: Any, question: Question) -> Evaluation:
        """Score a model.

        Raises:
            DataError: None of the images can be scored.
        """

    def report(self, reported: Reported) -> Path:
        """Write ``report.html`` into the run; return it.

        Raises:
            ModelError: There is no report of this kind.
        """
        raise ModelError(f"There is no report of a {self.name}.")

    def compare(
        self, first: Sequence[JsonObject], second: Sequence[JsonObject], groups: Ints | None
    ) -> Paired:
        """Compare what two runs said of the same images.

        Args:
            first: What is kept of each image, as ``Evaluation.lines``, in the order of the images' names.
            second: The other run's.
            groups: Each image's group; None where each stands alone.

        Raises:
            ModelError: Runs of this kind are not compared.
        """
        raise ModelError(f"Runs of a {self.name} cannot be compared.")

    def export_results(self, lines: Iterable[JsonObject], out: Path) -> Path:
        """Write what a model says in a format that other tools score; return the file of references.

        Args:
            lines: What is kept of each image, as ``Evaluation.lines``.
            out: The file of what the model says.
        """
        raise NotImplementedError

    def pretrained(
        self, name: Path, device: torch.device, console: Console | None, precision: Precision | None = None
    ) -> AnyModel | None:
        """Return a model that needs no training, where a name other than a run's stands for one."""
        return None


KINDS: dict[str, str | Kind] = {
    "captioner": "showtell.kinds.captioner.kind.CaptionerKind",
    "classifier": "showtell.kinds.classifier.kind.ClassifierKind",
}
"""The kinds by name: where each is found, or the kind itself. A program may add its own."""


def find_kind(name: str) -> Kind:
    """Return a kind by its name.

    Raises:
        ModelError: There is none of that name.
    """
    found = KINDS.get(name)
    if found is None:
        raise ModelError(
            f"A model of the kind {name!r} is not known here.", hint=f"Known: {', '.join(KINDS)}."
        )
    if isinstance(found, str):
        module, _, kind = found.rpartition(".")
        KINDS[name] = found = getattr(import_module(module), kind)()
    assert isinstance(found, Kind)
    return found
