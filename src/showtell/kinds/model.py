"""What every kind of model is: its models, their results, and what an export writes of them.

A kind that implements what is here and in ``kind`` is trained, saved, loaded, asked, scored, reported and
served by the same code as the others; see ``kinds/captioner`` and ``kinds/classifier``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Self, cast, overload

import torch
from torch import Tensor, nn

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import BackboneDescription
from showtell.data.images import ImageLike, image_source, is_image
from showtell.errors import ConfigError, ImageError, ModelError
from showtell.kinds.result import R, with_image
from showtell.runs.records import JsonObject

BATCH_SIZE = 16
"""Images of a list or a stream that are encoded together."""
CHANGED = "The folder was changed after training; take an unchanged copy."
"""What to do about a model whose parts do not fit together."""
FORMAT = 1
"""Version of a model folder's layout; a reader refuses later ones."""

Errors = Literal["raise", "return"]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a model was made, as far as all kinds share it; what is not known keeps its default.

    Attributes:
        train_images: Images that it was trained on.
        val_images: Images that chose it.
        data: SHA-256 of the data.
        validation: Its scores on validation, by name.
        environment: Versions, processor and threads.
    """

    train_images: int | None = None
    val_images: int | None = None
    data: str = ""
    validation: dict[str, float] = field(default_factory=dict)
    environment: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What ``config.json`` of a model says, whatever its kind.

    Attributes:
        kind: Name of the kind.
        backbone: The network that encodes images, with its preprocessing.
        provenance: How it was made, for people.
        checksums: SHA-256 of each part that must fit the others: words swapped for others of the same number
            would otherwise pass unseen.
        format: Version of the layout.
    """

    kind: str
    backbone: BackboneDescription
    provenance: Provenance = field(default_factory=Provenance)
    checksums: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True)
class Card:
    """What a model tells of itself in its README, besides what all models tell.

    Attributes:
        purpose: What it does, in a sentence.
        made: What was trained, as items of a list.
        chosen_by: What chose it on the validation split, as in "chosen by ... 100 others".
        limits: What it does not know.
        contents: What of the data is in the model, as in "and in it the 5 names of its classes".
        pipeline_tag: The task, as the Hub calls it.
        tag: The subject, as the Hub calls it.
    """

    purpose: str
    made: tuple[str, ...]
    chosen_by: str
    limits: str
    contents: str
    pipeline_tag: str
    tag: str


@dataclass(frozen=True)
class Graph:
    """A part of a model as an export writes it.

    Attributes:
        name: Of its file.
        purpose: From what to what, for people.
        module: What is written.
        inputs: Examples by name, whose first axis is the batch.
        outputs: Names of what it returns.
        rows: Inputs whose second axis may be of any size, too.
    """

    name: str
    purpose: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    rows: Sequence[str] = ()


def as_stored(features: Tensor, backbone: Backbone) -> Tensor:
    """Round features as the store does, so that an exported graph gets what the training got."""
    return features.to(getattr(torch, backbone.description.dtype)).float()


class Model(ABC, Generic[R]):
    """From images to what they show; nothing changes after loading, so several threads may ask at once.

    Args:
        config: As saved.
        backbone: From pixels to features.
        network: What was trained on the features.
    """

    config: ModelConfig
    Config: ClassVar[type[ModelConfig]]
    has_scores: ClassVar[bool] = False
    """Whether its results have scores, drawn as bars, rather than a sentence."""

    def __init__(self, config: ModelConfig, backbone: Backbone, network: nn.Module) -> None:
        self.config = config
        self.backbone = backbone
        self.network = network

    @classmethod
    @abstractmethod
    def build(cls, config: Any, backbone: Backbone, folder: Path) -> Self:
        """Build a model from its saved parts, its network still without its weights.

        Raises:
            ModelError: The parts do not fit together.
        """

    @property
    def device(self) -> torch.device:
        """Return where it computes."""
        return next(self.backbone.parameters()).device

    def to(self, device: torch.device) -> Self:
        """Move it to a device; return itself."""
        self.backbone.to(device)
        self.network.to(device).eval()
        return self

    def files(self) -> dict[str, str]:
        """Return what is saved beside config and weights: texts by file name."""
        return {}

    def identity(self) -> dict[str, str]:
        """Return texts that the weights mean nothing without, by name; their checksums are kept."""
        return self.files()

    # A path is iterable, too: the first form that fits is what counts.
    @overload
    def __call__(self, images: ImageLike) -> R: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, images: list[ImageLike] | tuple[ImageLike, ...]) -> list[R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, images: Iterable[ImageLike]) -> Iterator[R]: ...
    def __call__(self, images: ImageLike | Iterable[ImageLike]) -> R | Iterable[R]:
        """Say what images show.

        Args:
            images: One; a list or tuple; or any other iterable, which is read as its results are asked for.

        Returns:
            One result, a list, or an iterator.

        Raises:
            ImageError: An image cannot be read. :meth:`stream` can hand errors over instead.
        """
        if is_image(images):
            image = cast("ImageLike", images)
            return self._with_image(self.from_pixels(self.pixels(image).unsqueeze(0))[0], image)
        results = cast("Iterator[R]", self.stream(cast("Iterable[ImageLike]", images)))
        if isinstance(images, list | tuple):
            return [self._with_image(result, image) for result, image in zip(results, images)]
        return results

    def _with_image(self, result: R, image: ImageLike) -> R:
        return with_image(result, image, self.backbone.preprocessing)

    def stream(
        self, images: Iterable[ImageLike], *, batch_size: int = BATCH_SIZE, errors: Errors = "raise"
    ) -> Iterator[R | ImageError]:
        """Say what many images show, in batches.

        Args:
            images: Read as results are asked for.
            batch_size: Images that are encoded together, at least 1.
            errors: ``return`` puts the error in the place of an image that cannot be read.

        Yields:
            One result per image, in order.
        """
        remaining = iter(images)
        while batch := list(islice(remaining, batch_size)):
            found: dict[int, Tensor | ImageError] = {}
            for i, image in enumerate(batch):
                try:
                    found[i] = self.pixels(image)
                except ImageError as error:
                    if errors == "raise":
                        raise
                    found[i] = error
            readable = [value for value in found.values() if isinstance(value, Tensor)]
            results = iter(self.from_pixels(torch.stack(readable)) if readable else ())
            for value in found.values():
                yield value if isinstance(value, ImageError) else next(results)

    def pixels(self, image: ImageLike) -> Tensor:
        """Read an image as the backbone is given it: (3, height, width), uint8, of one network.

        Raises:
            ImageError: It cannot be read.
        """
        return self.backbone.pixels(image_source(image))

    def from_pixels(self, pixels: Tensor) -> list[R]:
        """Say what images show, (B, ...) as :meth:`pixels` returns each: one result each."""
        return self.predict(*self.backbone(pixels.to(self.device)))

    @abstractmethod
    def predict(self, grid: Tensor, pooled: Tensor) -> list[R]:
        """Turn features, (B, L, D) and (B, D), into one result per image."""

    def log_likelihood(self, grid: Tensor, pooled: Tensor, text: str) -> Tensor:
        """Return the log-probability of a text for each image, (B,); ConfigError if it knows none."""
        raise ConfigError(f"A {self.config.kind} does not say how likely a text is of an image.")

    def explain(self, pixels: Tensor, result: R) -> dict[str, Tensor]:
        """Return which parts of an image speak for a result: heat maps (rows, columns), 0 or more, by name.

        Empty where the result holds them itself; ``pixels`` are as :meth:`pixels` returns them.
        """
        return {}

    @abstractmethod
    def draw(self, image: Path, result: R, out: Path, known: str | None = None) -> Path:
        """Draw an image with what the model says of it and where it attended; return ``out``.

        Args:
            image: The image's file.
            result: What the model says of it.
            out: A PNG to write.
            known: What is known to be right; None where nothing is.
        """

    def known_answer(self, image: Path, recorded: Mapping[str, str]) -> str | None:
        """Return what is known to be right of an image; None where nothing is.

        Args:
            image: The image's file.
            recorded: The labels of the run's images, by SHA-256 of their content.
        """
        return None

    def with_beam_size(self, beam_size: int | None) -> Self:
        """Return the model with another width of its search; itself for None.

        Raises:
            ConfigError: It does not search.
        """
        if beam_size is not None:
            raise ConfigError(
                f"--beam-size {beam_size} is the width of a captioner's search, and this is a "
                f"{self.config.kind}.",
                hint="Leave it out.",
            )
        return self

    def for_graphs(self) -> tuple[Self, str]:
        """Return the model as far as graphs hold it, and what they leave out, for people."""
        return self, ""

    def graphs(self) -> tuple[list[Graph], JsonObject]:
        """Return what an export writes, the first from pixels on, and what a reader of it must know besides.

        Raises:
            ModelError: Models of this kind are not exported.
        """
        raise ModelError(f"A model of the kind {self.config.kind!r} cannot be exported.")

    @abstractmethod
    def summary(self) -> JsonObject:
        """Return what a list of models says of this one, for scripts."""

    @abstractmethod
    def words(self) -> Iterable[str]:
        """Return the words that it can say, from which its language is guessed."""

    @abstractmethod
    def card(self) -> Card:
        """Return what its README tells."""
