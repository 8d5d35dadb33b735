"""Which images an export is checked and calibrated with."""

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError, ShowtellError
from showtell.kinds.asked import find_images
from showtell.kinds.kind import Kind
from showtell.onnx_export.settings import Export
from showtell.runs.run import Run
from showtell.runs.trained_data import Whereabouts, read_again
from showtell.samples import draw_scene, make_scenes

_CHECK_OTHERS = "showtell export {} --check FOLDER"
CALIBRATION = 100
"""Images that tell in which range numbers lie, before they become integers."""


@dataclass(frozen=True)
class CheckImages:
    """Images for an export.

    Attributes:
        source: What they are, for people.
        check: To compare on, with their captions or label where known.
        calibration: Others, to calibrate with; the same where there are no others.
    """

    source: str
    check: tuple[AnnotatedImage, ...]
    calibration: tuple[Path, ...]


def choose_images(config: Export, kind: Kind, drawn: Path, console: Console) -> CheckImages:
    """Choose images: those of --check, the run's own, or drawn ones.

    Args:
        config: Which run, and how many images.
        kind: Of the model.
        drawn: Folder in which images may be drawn.
        console: Told why the run's own are not taken.

    Raises:
        DataError: There is no image in --check.
    """
    if config.check is not None:
        paths = find_images([str(config.check)], console)
        return _divided(
            f"images of {config.check.name}", [AnnotatedImage(p.name, p) for p in paths], config.num_images
        )
    if Run(config.run).has_images:
        try:
            return _own(config, kind)
        except ShowtellError as error:
            console.say(f"The run's own images are not available: {error.what}")
            console.say(f"To check with others: {_CHECK_OTHERS.format(shlex.quote(str(config.run)))}")
    scenes = make_scenes(0, config.num_images + CALIBRATION, "val")
    images = []
    for place, scene in enumerate(scenes):
        path = drawn / f"{place:05d}.png"
        draw_scene(scene).save(path)
        images.append(AnnotatedImage(path.name, path))
    return _divided("drawn images", images, config.num_images)


def _own(config: Export, kind: Kind) -> CheckImages:
    """Take validation images to check with, training images to calibrate with.

    Raises:
        ShowtellError: The data cannot be read where it was.
    """
    run = Run(config.run)
    trained = run.settings(kind.Settings)
    advice = _CHECK_OTHERS.format(shlex.quote(str(config.run)))
    data = read_again(run, trained, kind.read, Whereabouts(advice), Console(quiet=True))
    images, splits = data.dataset.images, data.splits
    check = _shuffled([p for p in images if splits.get(p.name) == "val"])[: config.num_images]
    calibration = _shuffled([p for p in images if splits.get(p.name) == "train"])[:CALIBRATION]
    if not check:
        raise DataError(f"{trained.data} has none of the run's validation images.")
    paths = tuple(image.path for image in calibration or check)
    return CheckImages("validation images of the run", tuple(check), paths)


def _divided(source: str, images: Sequence[AnnotatedImage], count: int) -> CheckImages:
    """Check with some of the images, calibrate with others."""
    shuffled = _shuffled(images)
    check, rest = shuffled[:count], shuffled[count : count + CALIBRATION]
    return CheckImages(source, tuple(check), tuple(image.path for image in rest or check))


def _shuffled(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """Put images into an order that has nothing to do with their names, the same every time."""
    ordered = sorted(images, key=lambda image: image.name)
    random.Random(0).shuffle(ordered)
    return ordered
