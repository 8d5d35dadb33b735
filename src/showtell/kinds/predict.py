"""Say what images show."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from showtell.console import Console, Log
from showtell.data.pixels.files import PICTURE_EXTENSIONS
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, ImageError
from showtell.files import numbered
from showtell.kinds.asked import drawn, images_of_split, named_images, recorded_labels, store_of
from showtell.kinds.library import BATCH_SIZE, predict_library
from showtell.kinds.model import Model
from showtell.kinds.model_folder import load
from showtell.kinds.result import Result
from showtell.kinds.settings import Predict
from showtell.kinds.written import caption_of, written_to
from showtell.report.gallery import MOST, Shown, write_gallery
from showtell.runs.records import JsonObject
from showtell.store.store import FeatureStore


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        image: The image's file.
        result: What it shows; None where it cannot be read.
        error: Why it cannot be read; empty where it can.
        right: What is known to be right of it; None where nothing is.
        drawn: The drawing; None where none was asked for.
        references: What people said of it.
    """

    image: Path
    result: Result | None = None
    error: str = ""
    right: str | None = None
    drawn: Path | None = None
    references: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return it as a person reads it, in one line."""
        return self.result.text if self.result else self.error

    def record(self) -> JsonObject:
        """Return what a script reads."""
        record: JsonObject = {"image": str(self.image)}
        if self.result is None:
            return record | {"error": self.error}
        record |= self.result.record()
        if self.references:
            record["references"] = list(self.references)
        return record | {
            name: str(value) for name, value in (("right", self.right), ("drawn", self.drawn)) if value
        }


def predict(config: Predict, console: Console | None = None) -> Iterator[Prediction]:
    """Say what images show, one after the other.

    With ``out``, and of many images, features come from the store and into it. With ``out`` what is said is
    written as it is yielded.

    Args:
        config: Which run and images.
        console: Told what of a folder is left out; None for the log of ``showtell``.

    Yields:
        One prediction per image, in order; one that cannot be read has an error instead of a result.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    images = None if config.split else drawn(named_images(config.images, console), config, console)
    if images is not None:
        _check(config, images)
    model = load(config.run, device=config.device, beam_size=config.beam_size, console=console)
    if images is None:
        images = drawn(images_of_split(config, model, console), config, console)
        _check(config, images)
    predictions = _answers(config, model, images, console)
    if config.save_plot is None:
        yield from predictions
        return
    targets = _targets([image.path for image in images], config.save_plot)
    for found in predictions:
        if found.result is not None:
            out = targets[found.image]
            out.parent.mkdir(parents=True, exist_ok=True)
            model.draw(found.image, found.result, out, found.right)
            found = replace(found, drawn=out)
        yield found


def _check(config: Predict, images: Sequence[AnnotatedImage]) -> None:
    """Refuse what cannot be written, before anything is loaded or computed.

    Raises:
        ConfigError: A page of too many images, or one drawing of several.
    """
    if config.save_plot is not None:
        _targets([image.path for image in images], config.save_plot)
    if _is_page(config.out) and len(images) > MOST:
        raise ConfigError(
            f"--out {config.out} would be a page of {len(images):,} images.",
            hint=f"Expected at most {MOST}: draw some of them by --random {MOST // 10}, or write a table, "
            "captions.csv.",
        )


def _is_page(out: Path | None) -> bool:
    return out is not None and out.suffix.lower() == ".html"


def _answers(
    config: Predict, model: Model[Any], images: Sequence[AnnotatedImage], console: Console
) -> Iterator[Prediction]:
    """Yield what a model says, and write it where that is asked for."""
    if config.out is not None and not _is_page(config.out):
        yield from _written(config, config.out, model, images, console)
        return
    labels = recorded_labels(config.run)
    shown: list[Shown] = []
    for image, found in _asked(config, model, images, console):
        right = image.label
        if right is None and not isinstance(found, ImageError):
            right = model.known_answer(image.path, labels)
        prediction = _prediction(image, found, right)
        if config.out is not None:
            shown.append(_shown(prediction))
        yield prediction
    if config.out is not None:
        _write_page(config.out, config.run.name, shown)
        console.say(f"Page: {config.out}")


def _asked(
    config: Predict, model: Model[Any], images: Sequence[AnnotatedImage], console: Console
) -> Iterator[tuple[AnnotatedImage, Result | ImageError]]:
    """Ask a model about images: a few at once, many by features that the store keeps, as for a table."""
    if len(images) <= BATCH_SIZE:
        return zip(images, model.stream([image.path for image in images], errors="return"))
    return predict_library(model, images, _store_of(config, model), console)


def _store_of(config: Predict, model: Model[Any]) -> FeatureStore:
    return FeatureStore(config.store or store_of(config.run, model))


def _shown(one: Prediction) -> Shown:
    """Return a prediction as a page shows it, beside what people said; one that cannot be read, too."""
    if one.result is None:
        return Shown(one.image, one.image.name, one.error)
    said = caption_of(one.result)
    if not one.result.scores:
        return Shown(one.image, one.image.name, said, heading="People say", lines=one.references)
    mark: Literal["", "right", "wrong"] = (
        "" if one.right is None else "right" if said == one.right else "wrong"
    )
    probability = f"{next(iter(one.result.scores.values())):.1%}"
    lines = (str(one.right),) * (mark == "wrong")
    return Shown(one.image, one.image.name, said, probability, "Right", lines, mark)


def _write_page(out: Path, run: str, shown: Sequence[Shown]) -> None:
    """Write what a model says of images as a page."""
    marks = [one.mark for one in shown]
    counts = [("Right", marks.count("right")), ("Wrong", marks.count("wrong"))] if any(marks) else []
    write_gallery(
        out,
        title=f"What {run} says",
        note="In bold the model's words; below them, in grey, what people say.",
        summary=[(name, f"{count:,}") for name, count in [("Images", len(shown)), *counts]],
        shown=shown,
    )


def _written(
    config: Predict, out: Path, model: Model[Any], images: Sequence[AnnotatedImage], console: Console
) -> Iterator[Prediction]:
    """Yield what a model says of a library, once it is written; what is written already is left out."""
    opened = written_to(out, images, has_scores=model.has_scores, overwrite=config.overwrite, console=console)
    with opened as written:
        waiting = [image for image in images if not written.has(image)]
        if kept := len(images) - len(waiting):
            console.say(
                f"{kept:,} of {len(images):,} images have theirs already, which is kept; --overwrite writes "
                "it anew"
            )
        unreadable = 0
        for image, found in predict_library(model, waiting, _store_of(config, model), console):
            if isinstance(found, ImageError):
                unreadable += 1
            else:
                written.add(image, found)
            yield _prediction(image, found, image.label)
    where = out if out.suffix else f"files beside the images ({out})"
    failed = f"; {unreadable:,} cannot be read, see above" if unreadable else ""
    console.say(f"{len(waiting) - unreadable:,} predictions were written to {where}{failed}")


def _prediction(image: AnnotatedImage, found: Result | ImageError, right: str | None) -> Prediction:
    if isinstance(found, ImageError):
        return Prediction(image.path, error=found.what)
    return Prediction(image.path, found, right=right, references=image.captions)


def _targets(paths: Sequence[Path], given: Path) -> dict[Path, Path]:
    """Name the drawing of each image; images of one name in several folders get a number.

    Raises:
        ConfigError: Several images, and one file to draw them into; or a drawing in the place of an image, or
            of another file beside the images that nobody has named.
    """
    targets = _named(paths, given)
    images = {os.path.realpath(path) for path in paths}
    folders = {os.path.dirname(path) for path in images}  # noqa: PTH120
    for out in targets.values():
        real = os.path.realpath(out)
        if real in images:
            what = "which is one of the images"
        elif out != given and out.exists() and os.path.dirname(real) in folders:  # noqa: PTH120
            what = "which is there already, beside the images"
        else:
            continue
        raise ConfigError(
            f"--save-plot {given} would write a drawing over {out}, {what}.",
            hint="Name another file or folder.",
        )
    return targets


def _named(paths: Sequence[Path], given: Path) -> dict[Path, Path]:
    is_file = bool(given.suffix) and not given.is_dir()
    if is_file and len(paths) == 1:
        return {paths[0]: given}
    if is_file and (given.exists() or given.suffix.lower() in PICTURE_EXTENSIONS):
        raise ConfigError(
            f"--save-plot {given} is one file, for {len(paths)} images.",
            hint="Expected a folder for several.",
        )
    targets: dict[Path, Path] = {}
    taken: set[str] = set()
    for path in paths:
        name = next(name for name in numbered(path.stem) if name.casefold() not in taken)
        taken.add(name.casefold())
        targets[path] = given / f"{name}.png"
    return targets
