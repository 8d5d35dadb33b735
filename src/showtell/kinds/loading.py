"""A loaded model that takes pictures of any kind: one, several, or a stream of them.

Nothing here changes after loading, so several threads may ask one model at once.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, Literal, TypeVar, cast, overload

import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import Precision
from showtell.backbones.gradcam import grad_cam
from showtell.data.given import PictureLike, is_picture, picture_source
from showtell.data.images import load_pixels
from showtell.errors import ConfigError, ImageError
from showtell.kinds.classifier.pretrained import pretrained_classifier
from showtell.kinds.model_folder import CaptionerModel, ClassifierModel, load_model
from showtell.models.captioner import Caption
from showtell.runtime import choose_device, prepare_process

BATCH_SIZE = 16
"""Pictures that a list or a stream is looked at together."""

Result = TypeVar("Result", "Captions", "Classes")
Errors = Literal["raise", "return"]


@dataclass(frozen=True)
class Captions(Caption):
    """What a captioner says of a picture: the best caption, and the others it weighed.

    Attributes:
        others: Further captions of the search, best first.
    """

    others: tuple[Caption, ...] = ()


@dataclass(frozen=True)
class Classes:
    """What a classifier says of a picture.

    Attributes:
        probabilities: Of every class, the likeliest first; they sum to 1.
    """

    probabilities: Mapping[str, float]

    @property
    def label(self) -> str:
        """Return the likeliest class."""
        return next(iter(self.probabilities))

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the likeliest classes with their probabilities."""
        return list(islice(self.probabilities.items(), count))


class Model(ABC, Generic[Result]):
    """From pictures to what they show.

    Attributes:
        backbone: What looks.
        device: Where it computes.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.device = next(backbone.parameters()).device

    # A path is iterable, too: the first form that fits is what counts.
    @overload
    def __call__(self, pictures: PictureLike) -> Result: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, pictures: list[PictureLike] | tuple[PictureLike, ...]) -> list[Result]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, pictures: Iterable[PictureLike]) -> Iterator[Result]: ...
    def __call__(self, pictures: PictureLike | Iterable[PictureLike]) -> Result | Iterable[Result]:
        """Say what pictures show.

        Args:
            pictures: One; a list or tuple; or any other iterable, which is read as its results are asked for.

        Returns:
            One result, a list, or an iterator.

        Raises:
            ImageError: A picture cannot be read. :meth:`stream` can hand errors over instead.
        """
        if is_picture(pictures):
            return self.from_pixels(self.pixels(pictures).unsqueeze(0))[0]  # type: ignore[arg-type]
        results = cast("Iterator[Result]", self.stream(cast("Iterable[PictureLike]", pictures)))
        return list(results) if isinstance(pictures, list | tuple) else results

    def stream(
        self,
        pictures: Iterable[PictureLike],
        *,
        batch_size: int = BATCH_SIZE,
        errors: Errors = "raise",
    ) -> Iterator[Result | ImageError]:
        """Say what many pictures show, in batches.

        Args:
            pictures: Read as results are asked for.
            batch_size: Pictures that are looked at together, 1 or more.
            errors: ``return`` puts the error in the place of a picture that cannot be read.

        Yields:
            One result a picture, in order.
        """
        remaining = iter(pictures)
        while batch := list(islice(remaining, batch_size)):
            found: dict[int, Tensor | ImageError] = {}
            for i, picture in enumerate(batch):
                try:
                    found[i] = self.pixels(picture)
                except ImageError as error:
                    if errors == "raise":
                        raise
                    found[i] = error
            readable = [value for value in found.values() if isinstance(value, Tensor)]
            results = iter(self.from_pixels(torch.stack(readable)) if readable else ())
            for value in found.values():
                yield value if isinstance(value, ImageError) else next(results)

    def pixels(self, picture: PictureLike) -> Tensor:
        """Read a picture as the network sees it: (3, height, width), uint8.

        Raises:
            ImageError: It cannot be read.
        """
        return load_pixels(picture_source(picture), self.backbone.preprocessing)

    @abstractmethod
    def from_pixels(self, pixels: Tensor) -> list[Result]:
        """Say what pictures show: (B, 3, height, width), uint8, to one result each."""


class LoadedCaptioner(Model[Captions]):
    """A captioner.

    Args:
        model: As loaded.
        beam_size: Captions searched side by side; None for the model's own.
    """

    def __init__(self, model: CaptionerModel, beam_size: int | None = None) -> None:
        super().__init__(model.backbone)
        self.model = model
        self.beam_size = beam_size or model.config.beam_size

    def from_pixels(self, pixels: Tensor) -> list[Captions]:
        """Caption pictures: (B, 3, height, width), uint8."""
        grid, _ = self.backbone(pixels.to(self.device))
        found = self.model.captioner.describe(grid, beam_size=self.beam_size)
        return [
            Captions(best.text, best.words, best.log_probability, tuple(others)) for best, *others in found
        ]


class LoadedClassifier(Model[Classes]):
    """A classifier.

    Args:
        model: As loaded.
    """

    def __init__(self, model: ClassifierModel) -> None:
        super().__init__(model.backbone)
        self.model = model
        self.classes = model.config.classes

    def from_pixels(self, pixels: Tensor) -> list[Classes]:
        """Name pictures: (B, 3, height, width), uint8."""
        values, places = self.model.probabilities(pixels.to(self.device)).cpu().sort(descending=True)
        return [
            Classes({self.classes[place]: value for place, value in zip(*row)})
            for row in zip(places.tolist(), values.tolist())
        ]

    def look(self, picture: PictureLike, label: str) -> Tensor:
        """Return how much each cell of the grid speaks for a class: Grad-CAM, (rows, columns), 0 or more.

        Raises:
            ConfigError: There is no such class.
        """
        if label not in self.classes:
            raise ConfigError(f"{label!r} is no class of this model.", would_do=", ".join(self.classes[:20]))
        pixels = self.pixels(picture).unsqueeze(0).to(self.device)
        return grad_cam(self.backbone, self.model.head, pixels, self.classes.index(label)).cpu()


def load(
    run: str | os.PathLike[str],
    *,
    device: str = "auto",
    beam_size: int | None = None,
    precision: Precision | None = None,
) -> LoadedCaptioner | LoadedClassifier:
    """Load a model.

    Args:
        run: A run folder or a model folder; or a timm network or its folder of weights, for ImageNet's
            classes.
        device: ``cpu``, ``cuda``, ``mps``; ``auto`` for the best there is.
        beam_size: Captions a captioner searches side by side; None for its own.
        precision: Of the backbone's arithmetic, ``float32`` or ``bfloat16``; None for that of the training.

    Raises:
        ModelError: There is no model, or it is damaged.
    """
    prepare_process()
    where = choose_device(device)
    model = pretrained_classifier(Path(run), where) or load_model(Path(run), where, precision)
    return (
        LoadedClassifier(model) if isinstance(model, ClassifierModel) else LoadedCaptioner(model, beam_size)
    )
