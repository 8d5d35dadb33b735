"""What a model says of an image, and the image that a notebook shows it with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self, TypeVar

from PIL import Image

from showtell.data.images import ImageLike, Preprocessing, Source, image_source, open_image
from showtell.errors import ImageError
from showtell.runs.records import JsonObject


class Result(Protocol):
    """What a model says of an image."""

    @property
    def text(self) -> str:
        """Return it as a person reads it, in one line."""

    @property
    def scores(self) -> Mapping[str, float]:
        """Return probabilities by name, the highest first; empty where the result is a sentence."""

    def with_scores(self, scores: Mapping[str, float]) -> Self:
        """Return the same with other probabilities, such as their average over time."""

    def record(self, *, attention: bool = True) -> JsonObject:
        """Return what a script reads: the JSON of ``predict --json`` and of the HTTP API.

        Args:
            attention: Whether to include attention weights, which are long.
        """


R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Shown:
    """An image as it was given, not a copy of it.

    Attributes:
        source: The image.
        preprocessing: Of the model's backbone; says which part of the image it saw.
    """

    source: Source
    preprocessing: Preprocessing

    def open(self) -> Image.Image | None:
        """Return the image, upright; None where it cannot be read again, as a file that was removed."""
        try:
            return open_image(self.source)
        except ImageError:
            return None


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """A result that a notebook shows with its image.

    Attributes:
        shown: The image; None where the model was given a stream or an open file, which are not kept.
    """

    shown: Shown | None = field(default=None, compare=False, repr=False)


def with_image(result: R, image: ImageLike, preprocessing: Preprocessing) -> R:
    """Return a result that knows its image; as it is where its kind shows none, or of an open file.

    A file that was opened is read by now, and may be closed before anybody looks.
    """
    if isinstance(result, Pictured) and not hasattr(image, "read"):
        return replace(result, shown=Shown(image_source(image), preprocessing))
    return result
