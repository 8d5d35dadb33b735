"""Hold an export to the model it was made of, picture by picture."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from showtell.errors import ModelError
from showtell.kinds.loading import LoadedCaptioner, LoadedClassifier
from showtell.onnx_export.runner import ExportedModel

TOLERANCE = 1e-4
"""Most by which a probability may differ from the original's."""
_WOULD_DO = "The folder is marked as unchecked; do not use it."


class Answer(NamedTuple):
    """What is said of a picture.

    Attributes:
        said: The caption, or the likeliest class.
        token_ids: Of the caption; empty for a class.
        values: The caption's log-probability (1,), or each class's probability (C,).
        seconds: Time it took, reading aside.
    """

    said: str
    token_ids: tuple[int, ...]
    values: np.ndarray
    seconds: float


Answers = Mapping[Path, Answer]


@dataclass(frozen=True)
class Agreement:
    """How far two models agree.

    Attributes:
        pictures: How many were asked about.
        same: Of how many the caption is the same token for token, or the likeliest class is.
        largest_difference: Between log-probabilities of the same captions, or between probabilities.
        example: A picture of which they say different things, with both.
    """

    pictures: int
    same: int
    largest_difference: float
    example: str


def agreement(original: Answers, other: Answers) -> Agreement:
    """Compare what two models say of the same pictures."""
    different = [path for path, answer in original.items() if not _is_same(answer, other[path])]
    gaps = [
        float(np.abs(answer.values - other[path].values).max())
        for path, answer in original.items()
        if not answer.token_ids or _is_same(answer, other[path])
    ]
    example = next(
        (f"{path.name}: {other[path].said!r}, not {original[path].said!r}" for path in different), ""
    )
    return Agreement(len(original), len(original) - len(different), max(gaps, default=0.0), example)


def require(found: Agreement, kind: str) -> None:
    """Refuse an export that does not say what its original says.

    Args:
        found: What the comparison found.
        kind: ``captioner``: every caption must be the same, token for token. ``classifier``: every
            probability, within ``TOLERANCE``.

    Raises:
        ModelError: It is not so.
    """
    wrong = found.pictures - found.same
    if kind == "captioner" and wrong:
        raise ModelError(
            f"The export describes {wrong} of {found.pictures} pictures in other words than the original; "
            f"{found.example}.",
            would_do=_WOULD_DO,
        )
    if kind == "classifier" and not found.largest_difference <= TOLERANCE:
        raise ModelError(
            f"The export's probabilities differ from the original's by up to {found.largest_difference:.2g}; "
            f"{TOLERANCE:g} is allowed.",
            would_do=_WOULD_DO,
        )


def _is_same(answer: Answer, other: Answer) -> bool:
    return (answer.said, answer.token_ids) == (other.said, other.token_ids)


Asker = Callable[[Path], Answer]


def original(model: LoadedCaptioner | LoadedClassifier) -> Asker:
    """Ask the model itself."""

    def ask(path: Path) -> Answer:
        pixels = model.pixels(path)[None]
        start = time.perf_counter()
        if isinstance(model, LoadedClassifier):
            shares = model.model.probabilities(pixels)[0].numpy()
            return Answer(model.classes[shares.argmax()], (), shares, time.perf_counter() - start)
        captioner = model.model.captioner
        best = captioner.search(model.backbone(pixels)[0], beam_size=model.beam_size)[0][0]
        seconds = time.perf_counter() - start
        text = captioner.tokenizer.decode(best.token_ids)
        return Answer(text, tuple(best.token_ids), np.array([best.log_probability]), seconds)

    return ask


def exported(export: ExportedModel, model: LoadedCaptioner | LoadedClassifier | None) -> Asker:
    """Ask an export.

    Args:
        export: As its users load it.
        model: Whose pixels to show it; None for those that it reads by itself.
    """

    def ask(path: Path) -> Answer:
        pixels = export.pixels(path) if model is None else model.pixels(path).numpy()
        start = time.perf_counter()
        if export.about["kind"] == "classifier":
            shares = export.probabilities(pixels[None])[0]
            label = export.about["classes"][shares.argmax()]
            return Answer(label, (), shares, time.perf_counter() - start)
        token_ids, score = export.captions(pixels)[0]
        seconds = time.perf_counter() - start
        return Answer(export.text(token_ids), tuple(token_ids), np.array([score]), seconds)

    return ask


def check_batches(
    export: ExportedModel, model: LoadedCaptioner | LoadedClassifier, paths: list[Path]
) -> None:
    """Refuse graphs that give pictures of a batch something else than each of them alone.

    Raises:
        ModelError: They do.
    """
    part = "classifier" if isinstance(model, LoadedClassifier) else "encoder"
    pixels = torch.stack([model.pixels(path) for path in paths]).numpy()
    together = export.run(part, {"pixels": pixels})
    for place in range(len(paths)):
        alone = export.run(part, {"pixels": pixels[place : place + 1]})
        for name, values in alone.items():
            gap = np.abs(together[name][place] - values[0]).max()
            # Rounded features may fall on the next number of 16 bits; mixed pictures differ by far more.
            if not gap <= 0.01 * np.abs(values).max():
                raise ModelError(f"The exported {part} gives {name} of a batch that differ by {gap:g}.")
