"""A classifier: a backbone, a head on its pooled features, and the names of the classes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone
from showtell.backbones.gradcam import grad_cam
from showtell.data.images import open_image, read_content
from showtell.data.names import few, nfc
from showtell.errors import ConfigError, ModelError
from showtell.kinds.model import CHANGED, Card, Graph, Model, ModelConfig, Provenance, as_stored
from showtell.kinds.result import Pictured
from showtell.models.heads import Head, HeadConfig, HeadKind, build_head
from showtell.runs.records import JsonObject
from showtell.store.store import content_digest

NAME = "classifier"
SHOWN = 5
"""Classes that are named, the most likely first."""
_IN_CARD = 20
"""Classes that the README names."""


@dataclass(frozen=True)
class FittedHead:
    """A head that was fitted, and how it did on validation.

    Attributes:
        kind: Which head.
        setting: What was chosen for it, for people.
        accuracy: In [0, 1].
        log_likelihood: Mean natural logarithm of the right class's probability.
        chosen: Whether it is the model's.
    """

    kind: HeadKind
    setting: str
    accuracy: float
    log_likelihood: float
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class ClassifierProvenance(Provenance):
    """How a classifier was made.

    Attributes:
        augmentations: Random views of each training image that were learnt from, too.
        setting: What was chosen for the head, for people.
        heads: The heads that were fitted.
        warning: What is known against it; empty where nothing is.
    """

    augmentations: int = 0
    setting: str = ""
    heads: tuple[FittedHead, ...] = ()
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(ModelConfig):
    """What ``config.json`` of a classifier says.

    Attributes:
        provenance: How it was made, for people.
        head: Sizes of the head.
        classes: Their names, in the order of the logits.
        temperature: What logits are divided by, so that probabilities mean what they say.
    """

    provenance: ClassifierProvenance = field(default_factory=ClassifierProvenance)
    head: HeadConfig
    classes: tuple[str, ...]
    temperature: float


@dataclass(frozen=True)
class ClassResult(Pictured):
    """What a classifier says of an image.

    Attributes:
        probabilities: Of every class, the likeliest first; they sum to 1.
    """

    probabilities: Mapping[str, float]

    def _repr_html_(self) -> str:
        from showtell.kinds.classifier.showing import class_html

        return class_html(self)

    @property
    def label(self) -> str:
        """Return the likeliest class."""
        return next(iter(self.probabilities))

    @property
    def text(self) -> str:
        """Return the likeliest classes as people read them: ``Leo 97.2%; Ming 1.9%; ...``."""
        return "; ".join(f"{name} {probability:.1%}" for name, probability in self.top(SHOWN))

    @property
    def scores(self) -> Mapping[str, float]:
        """Return the probabilities."""
        return self.probabilities

    def with_scores(self, scores: Mapping[str, float]) -> Self:
        """Return the same with other probabilities."""
        return replace(self, probabilities=dict(sorted(scores.items(), key=lambda entry: -entry[1])))

    def top(self, count: int = SHOWN) -> list[tuple[str, float]]:
        """Return the likeliest classes with their probabilities."""
        return list(islice(self.probabilities.items(), count))

    def record(self, *, attention: bool = True) -> JsonObject:
        """Return what a script reads: the class, and the likeliest classes with their probabilities."""
        return {"class": self.label, "classes": dict(self.top())}


class ClassifierModel(Model[ClassResult]):
    """From images to the probabilities of classes.

    Args:
        config: As saved.
        backbone: From pixels to pooled features.
        head: From pooled features to logits.
    """

    config: ClassifierConfig
    Config: ClassVar[type[ModelConfig]] = ClassifierConfig
    has_scores: ClassVar[bool] = True

    def __init__(self, config: ClassifierConfig, backbone: Backbone, head: Head) -> None:
        super().__init__(config, backbone, head)
        self.head = head
        self.classes = config.classes

    @classmethod
    def of(
        cls,
        backbone: Backbone,
        head: Head,
        classes: Sequence[str],
        *,
        temperature: float,
        provenance: ClassifierProvenance | None = None,
    ) -> Self:
        """Make a model of what was trained; the arguments are those of :class:`ClassifierConfig`."""
        config = ClassifierConfig(
            kind=NAME,
            backbone=backbone.description,
            provenance=provenance or ClassifierProvenance(),
            head=head.config,
            classes=tuple(classes),
            temperature=temperature,
        )
        return cls(config, backbone, head.eval())

    @classmethod
    def build(cls, config: ClassifierConfig, backbone: Backbone, folder: Path) -> Self:
        """Build it from its config, the head still without its weights.

        Raises:
            ModelError: There are more or fewer names than classes.
        """
        if len(config.classes) != config.head.classes:
            raise ModelError(
                f"{folder} names {len(config.classes)} classes; its head knows {config.head.classes}.",
                hint=CHANGED,
            )
        return cls(config, backbone, build_head(config.head))

    def identity(self) -> dict[str, str]:
        """Return the names of the classes as text."""
        return {"classes": json.dumps(list(self.classes), ensure_ascii=False)}

    @torch.inference_mode()
    def probabilities(self, pooled: Tensor) -> Tensor:
        """Turn pooled features (B, D) into probabilities (B, classes); each row sums to 1."""
        shares: Tensor = (self.head(pooled) / self.config.temperature).softmax(1)
        return shares

    def predict(self, grid: Tensor, pooled: Tensor) -> list[ClassResult]:
        """Classify images from their pooled features, (B, D)."""
        values, places = self.probabilities(pooled).cpu().sort(descending=True)
        return [
            ClassResult({self.classes[place]: value for place, value in zip(*row)})
            for row in zip(places.tolist(), values.tolist())
        ]

    @torch.inference_mode()
    def log_likelihood(self, grid: Tensor, pooled: Tensor, text: str) -> Tensor:
        """Return the log-probability of a class given each image, (B,), also of one next to impossible."""
        likely: Tensor = (self.head(pooled) / self.config.temperature).log_softmax(1)
        return likely[:, self._place(text)]

    def explain(self, pixels: Tensor, result: ClassResult) -> dict[str, Tensor]:
        """Return how much each cell of the grid speaks for the likeliest class, (rows, columns)."""
        return {result.label: self.grad_cam(pixels, result.label)}

    def grad_cam(self, pixels: Tensor, label: str) -> Tensor:
        """Return how much each cell of the grid speaks for a class, (rows, columns), 0 or more.

        Args:
            pixels: As :meth:`pixels` returns them.
            label: The class.

        Raises:
            ConfigError: There is no such class.
        """
        place = self._place(label)
        return grad_cam(self.backbone, self.head, pixels.unsqueeze(0).to(self.device), place).cpu()

    def _place(self, label: str) -> int:
        """Return which logit is a class's.

        Raises:
            ConfigError: There is no such class.
        """
        if label not in self.classes:
            raise ConfigError(f"{label!r} is not a class of this model.", hint=few(self.classes, 20))
        return self.classes.index(label)

    def draw(self, image: Path, result: ClassResult, out: Path, known: str | None = None) -> Path:
        """Draw an image beside a Grad-CAM overlay and a bar per class."""
        from showtell.kinds.classifier.drawing import draw_prediction  # matplotlib takes a second to load

        heat = self.grad_cam(self.pixels(image), result.label)
        return draw_prediction(
            open_image(image), heat, dict(result.top()), self.backbone.preprocessing, out, right=known
        )

    def known_answer(self, image: Path, recorded: Mapping[str, str]) -> str | None:
        """Return the class that the run recorded for this content, or else that its folder is named after."""
        folder = nfc(image.absolute().parent.name)
        right = folder if folder in self.classes else None
        if recorded:
            found = recorded.get(content_digest(read_content(image)).hex())
            right = found if found in self.classes else right
        return right

    def graphs(self) -> tuple[list[Graph], JsonObject]:
        """Return the one graph, and the names of the classes."""
        size = self.backbone.preprocessing
        pixels = torch.zeros(2, 3, size.height, size.width, dtype=torch.uint8)
        return [
            Graph(
                "classifier",
                "pixels to probabilities",
                _ClassifierGraph(self),
                {"pixels": pixels},
                ["probabilities"],
            )
        ], {"classes": list(self.classes)}

    def summary(self) -> JsonObject:
        """Return the names of the classes."""
        return {"classes": list(self.classes)}

    def words(self) -> Iterable[str]:
        """Return the names of the classes."""
        return self.classes

    def card(self) -> Card:
        """Return what its README tells."""
        config = self.config
        count = len(self.classes)
        warning = config.provenance.warning
        alike = (
            "It knows these classes and nothing else: shown anything different, it still names one of them."
        )
        return Card(
            purpose=f"Tells {count} classes apart: {few(self.classes, _IN_CARD)}",
            made=(
                f"Head: {config.head.kind} on {config.backbone.pooled_dim} features; temperature "
                f"{config.temperature:.3f}",
            ),
            chosen_by="its answers for",
            limits=f"{warning}\n\n{alike}" if warning else alike,
            contents=f"the {count:,} names of its classes",
            pipeline_tag="image-classification",
            tag="image-classification",
        )


class _ClassifierGraph(nn.Module):
    """From pixels to the probabilities of classes."""

    def __init__(self, model: ClassifierModel) -> None:
        super().__init__()
        self.backbone, self.head, self.temperature = model.backbone, model.head, model.config.temperature

    def forward(self, pixels: Tensor) -> Tensor:
        """Classify images (B, 3, height, width), uint8."""
        pooled = as_stored(self.backbone.encode(pixels)[1], self.backbone)
        shares: Tensor = (self.head(pooled) / self.temperature).softmax(1)
        return shares
