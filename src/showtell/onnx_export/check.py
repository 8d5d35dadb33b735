"""Hold an export to the model it was made of, image by image."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from showtell.errors import ModelError
from showtell.kinds.model import Model
from showtell.onnx_export.runner import ExportedModel

TOLERANCE = 1e-4
"""Most by which a probability may differ from the original's."""
_HINT = "The folder is marked as unchecked; do not use it."


class Answer(NamedTuple):
    """What is said of an image.

    Attributes:
        text: The caption, or the likeliest class.
        values: The caption's log-probability, or each class's probability, by name.
        seconds: Time it took, reading aside.
    """

    text: str
    values: Mapping[str, float]
    seconds: float


Answers = Mapping[Path, Answer]


@dataclass(frozen=True)
class Agreement:
    """How far two models agree.

    Attributes:
        images: How many were asked about.
        same: Of how many the caption or the likeliest class is the same.
        largest_difference: Between log-probabilities of the same captions, or between probabilities.
        example: An image of which they say different things, with both.
    """

    images: int
    same: int
    largest_difference: float
    example: str


def agreement(original: Answers, other: Answers) -> Agreement:
    """Compare what two models say of the same images."""
    different = [path for path, answer in original.items() if answer.text != other[path].text]
    gaps = [
        abs(value - other[path].values[name])
        for path, answer in original.items()
        for name, value in answer.values.items()
        if name in other[path].values
    ]
    example = next(
        (f"{path.name}: {other[path].text!r}, not {original[path].text!r}" for path in different), ""
    )
    return Agreement(len(original), len(original) - len(different), max(gaps, default=0.0), example)


def require(found: Agreement, *, has_scores: bool) -> None:
    """Refuse an export that does not say what its original says.

    Args:
        found: What the comparison found.
        has_scores: Whether the model gives probabilities, each of which must be within ``TOLERANCE``; or
            sentences, each of which must be the same, word for word.

    Raises:
        ModelError: The answers differ.
    """
    wrong = found.images - found.same
    if not has_scores and wrong:
        raise ModelError(
            f"The export describes {wrong} of {found.images} images in other words than the original; "
            f"{found.example}.",
            hint=_HINT,
        )
    if has_scores and not found.largest_difference <= TOLERANCE:
        raise ModelError(
            f"The export's probabilities differ from the original's by up to {found.largest_difference:.2g}; "
            f"{TOLERANCE:g} is allowed.",
            hint=_HINT,
        )


Asker = Callable[[Path], Answer]


def original(model: Model[Any]) -> Asker:
    """Ask the model itself."""

    def ask(path: Path) -> Answer:
        pixels = model.pixels(path)[None]
        start = time.perf_counter()
        found = model.from_pixels(pixels)[0]
        seconds = time.perf_counter() - start
        if found.scores:
            return Answer(next(iter(found.scores)), found.scores, seconds)
        # Log-probabilities of different captions are not compared: each has its own name.
        return Answer(found.text, {found.text: found.record()["log_probability"]}, seconds)

    return ask


def exported(export: ExportedModel, model: Model[Any] | None) -> Asker:
    """Ask an export.

    Args:
        export: As its users load it.
        model: Whose pixels to show it; None for those that it reads by itself.
    """

    def ask(path: Path) -> Answer:
        pixels = export.pixels(path) if model is None else model.pixels(path).numpy()
        start = time.perf_counter()
        if "classes" in export.about:
            shares = export.probabilities(pixels[None])[0]
            seconds = time.perf_counter() - start
            scores = dict(zip(export.about["classes"], shares.tolist()))
            return Answer(max(scores, key=lambda name: scores[name]), scores, seconds)
        token_ids, score = export.captions(pixels)[0]
        seconds = time.perf_counter() - start
        text = export.text(token_ids)
        return Answer(text, {text: score}, seconds)

    return ask


def check_batches(export: ExportedModel, model: Model[Any], paths: list[Path]) -> None:
    """Refuse graphs that give images of a batch something else than each of them alone.

    Raises:
        ModelError: A batch gives other values than its images do alone.
    """
    part = next(iter(export.about["files"]))  # the one that is given pixels
    pixels = torch.stack([model.pixels(path) for path in paths]).numpy()
    together = export.run(part, {"pixels": pixels})
    for place in range(len(paths)):
        alone = export.run(part, {"pixels": pixels[place : place + 1]})
        for name, values in alone.items():
            gap = np.abs(together[name][place] - values[0]).max()
            # Rounded features may fall on the next number of 16 bits; mixed images differ by far more.
            if not gap <= 0.01 * np.abs(values).max():
                raise ModelError(f"The exported {part} gives {name} of a batch that differ by {gap:g}.")
