"""Which images a model is asked about: what paths name, or a split of the run's own data, all or some."""

import random
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from showtell.addresses import to_path
from showtell.console import Console
from showtell.data.annotated import report_problems
from showtell.data.listing import Listing
from showtell.data.names import shown_name
from showtell.data.pixels.files import images_at
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError, ModelError
from showtell.kinds.kind import find_kind
from showtell.kinds.model import Model
from showtell.kinds.settings import Predict
from showtell.runs.run import Run
from showtell.runs.trained_data import Whereabouts, read_again


def named_images(patterns: Sequence[str], console: Console) -> list[AnnotatedImage]:
    """Return the images that paths, folders and patterns name, in order and once.

    Each is called by its path; those of a single folder by their path within it, as its data set would.

    Raises:
        DataError: One of the patterns names nothing.
    """
    paths = find_images(patterns, console)
    folder = to_path(patterns[0]) if len(patterns) == 1 and to_path(patterns[0]).is_dir() else None
    names = [
        path.as_posix() if folder is None else shown_name(path.relative_to(folder).as_posix())
        for path in paths
    ]
    return [AnnotatedImage(name, path) for name, path in zip(names, paths)]


def images_of_split(config: Predict, model: Model[Any], console: Console) -> list[AnnotatedImage]:
    """Return the images of a split of the training, with what people said of them.

    Raises:
        DataError: The data is not there any more, or the split has no image.
        ModelError: A model without its run knows no splits.
    """
    kind, run = find_kind(model.config.kind), Run(config.run)
    advice = f"showtell predict {shlex.quote(str(config.run))} DATA --split {config.split}"
    data = to_path(config.images[0]) if config.images else None
    # There is no flag --images here: it is what is asked about.
    apart = f"showtell evaluate {shlex.quote(str(config.run))} DATA --split {config.split} --images DIR"
    where = Whereabouts(advice, data, store=config.store, images_advice=apart)
    found = read_again(run, run.settings(kind.Settings), kind.read, where, console)
    images = [image for image in found.dataset.images if found.splits.get(image.name) == config.split]
    if not images:
        raise DataError(
            f"The {config.split} split of {found.dataset.source} has no image of {config.run}.", run=advice
        )
    return images


def drawn(images: Sequence[AnnotatedImage], config: Predict, console: Console) -> list[AnnotatedImage]:
    """Return the images, or so many of them drawn at random, in their order."""
    if config.random is None or config.random >= len(images):
        return list(images)
    seed = random.SystemRandom().randrange(1_000_000) if config.seed is None else config.seed
    console.say(f"{config.random:,} of {len(images):,} images, drawn with --seed {seed}")
    places = random.Random(seed).sample(range(len(images)), config.random)
    return [images[place] for place in sorted(places)]


def recorded_labels(folder: Path) -> dict[str, str]:
    """Return the labels of a run's images by their SHA-256; of a model alone, those of the run around it."""
    for run in (Run(folder), Run(folder.parent)):
        try:
            return {image.sha256: image.label for image in run.images if image.label is not None}
        except ModelError:
            continue
    return {}


def store_of(run: Path, model: Model[Any]) -> Path | None:
    """Return the store of a run's training; None, for the user's own, where only the model is there."""
    try:
        return Run(run).settings(find_kind(model.config.kind).Settings).store
    except ModelError:
        return None


def find_images(patterns: Sequence[str], console: Console) -> list[Path]:
    """Return the images that paths, folders and patterns name, in order and once.

    Of a folder, what training would leave out is left out; what a path or a pattern names is always tried.

    Args:
        patterns: As typed.
        console: Told what of a folder is left out.

    Raises:
        DataError: One of them names nothing.
    """
    if not patterns:
        raise DataError("No image was given.", run="showtell predict RUN PICTURE")
    paths: dict[Path, None] = {}
    for pattern in patterns:
        found = images_at(pattern, partial(_images_in, console=console), to_path)
        if not found:
            raise DataError(
                f"There is no image at {pattern}.",
                hint=f"Expected images, folders or patterns; it looked in {Path.cwd()}.",
            )
        paths |= dict.fromkeys(found)
    return list(paths)


def _images_in(path: Path, console: Console) -> list[Path]:
    """Return the images that training would find in a folder, and say what else is in it."""
    folder = Listing(path)
    names = folder.images
    images = set(names)
    others = sorted(name for name in folder.files if name not in images)
    left_out = [
        f"{len(found):,} {what} (for example {found[0]})"
        for found, what in ((others, "files that are no images"), (sorted(folder.hidden), "hidden"))
        if found
    ]
    console.say(f"{path}: {len(names):,} images" + (f"; left out: {', '.join(left_out)}" * bool(left_out)))
    report_problems(folder.problems, console)
    return [folder.path_of(name) for name in names]
