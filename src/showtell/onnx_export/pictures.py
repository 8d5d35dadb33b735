"""Which pictures an export is checked and calibrated with."""

import random
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from showtell.console import Console
from showtell.data.records import Picture
from showtell.errors import DataError, ShowtellError
from showtell.kinds.kind import Kind
from showtell.kinds.predict import find_pictures
from showtell.onnx_export.settings import Export
from showtell.runs.run import Run
from showtell.runs.trained_data import read_again
from showtell.samples import draw_scene, make_scenes

_CHECK_OTHERS = "showtell export {} --check FOLDER"
CALIBRATION = 100
"""Pictures that tell in which range numbers lie, before they become integers."""


@dataclass(frozen=True)
class CheckPictures:
    """Pictures for an export.

    Attributes:
        source: What they are, for people.
        check: To compare on, with their captions or label where known.
        calibration: Others, to calibrate with; the same where there are no others.
    """

    source: str
    check: tuple[Picture, ...]
    calibration: tuple[Path, ...]


def choose_pictures(config: Export, kind: Kind, drawn: Path, console: Console) -> CheckPictures:
    """Choose pictures: those of --check, the run's own, or drawn ones.

    Args:
        config: Which run, and how many pictures.
        kind: Of the model.
        drawn: Folder in which pictures may be drawn.
        console: Told why the run's own are not taken.

    Raises:
        DataError: There is no picture in --check.
    """
    if config.check is not None:
        paths = find_pictures([str(config.check)], console)
        return _divided(
            f"pictures of {config.check.name}", [Picture(p.name, p) for p in paths], config.num_images
        )
    if Run(config.run).has_images:
        try:
            return _own(config, kind)
        except ShowtellError as error:
            console.say(f"The run's own images are not available: {error.what}")
            console.say(f"To check with others: {_CHECK_OTHERS.format(shlex.quote(str(config.run)))}")
    scenes = make_scenes(0, config.num_images + CALIBRATION, "val")
    pictures = []
    for place, scene in enumerate(scenes):
        path = drawn / f"{place:05d}.png"
        draw_scene(scene).save(path)
        pictures.append(Picture(path.name, path))
    return _divided("drawn pictures", pictures, config.num_images)


def _own(config: Export, kind: Kind) -> CheckPictures:
    """Take validation pictures to check with, training pictures to calibrate with.

    Raises:
        ShowtellError: The data cannot be read where it was.
    """
    run = Run(config.run)
    trained = run.settings(kind.Settings)
    advice = _CHECK_OTHERS.format(shlex.quote(str(config.run)))
    data = read_again(run, trained, kind.read, Console(quiet=True), advice=advice)
    pictures, splits = data.dataset.pictures, data.splits
    check = _shuffled([p for p in pictures if splits.get(p.name) == "val"])[: config.num_images]
    calibration = _shuffled([p for p in pictures if splits.get(p.name) == "train"])[:CALIBRATION]
    if not check:
        raise DataError(f"{trained.data} has none of the run's validation pictures.")
    paths = tuple(picture.path for picture in calibration or check)
    return CheckPictures("validation pictures of the run", tuple(check), paths)


def _divided(source: str, pictures: Sequence[Picture], count: int) -> CheckPictures:
    """Check with some of the pictures, calibrate with others."""
    shuffled = _shuffled(pictures)
    check, rest = shuffled[:count], shuffled[count : count + CALIBRATION]
    return CheckPictures(source, tuple(check), tuple(picture.path for picture in rest or check))


def _shuffled(pictures: Sequence[Picture]) -> list[Picture]:
    """Put pictures into an order that has nothing to do with their names, the same every time."""
    ordered = sorted(pictures, key=lambda picture: picture.name)
    random.Random(0).shuffle(ordered)
    return ordered
