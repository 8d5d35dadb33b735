"""Say what images show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from showtell.console import Console, Log
from showtell.data.annotated import report_problems
from showtell.data.listing import Listing
from showtell.data.pixels.files import PICTURE_EXTENSIONS, images_at
from showtell.errors import ConfigError, DataError, ImageError, ModelError
from showtell.kinds.model_folder import load
from showtell.kinds.result import Result
from showtell.kinds.settings import Predict
from showtell.runs.records import JsonObject
from showtell.runs.run import Run


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        image: The image's file.
        result: What it shows; None where it cannot be read.
        error: Why it cannot be read; empty where it can.
        right: What is known to be right of it; None where nothing is.
        drawn: The drawing; None where none was asked for.
    """

    image: Path
    result: Result | None = None
    error: str = ""
    right: str | None = None
    drawn: Path | None = None

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
        return record | {
            name: str(value) for name, value in (("right", self.right), ("drawn", self.drawn)) if value
        }


def predict(config: Predict, console: Console | None = None) -> Iterator[Prediction]:
    """Say what images show, one after the other.

    Args:
        config: Which run and images.
        console: Told what of a folder is left out; None for the log of ``showtell``.

    Yields:
        One prediction per image, in order; one that cannot be read has an error instead of a result.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    paths = find_images(config.images, console)
    targets = {} if config.save_plot is None else _targets(paths, config.save_plot)
    model = load(config.run, device=config.device, beam_size=config.beam_size, console=console)
    labels = _labels(config.run)
    for path, found in zip(paths, model.stream(paths, errors="return")):
        if isinstance(found, ImageError):
            yield Prediction(path, error=found.what)
            continue
        right, out = model.known_answer(path, labels), targets.get(path)
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            model.draw(path, found, out, right)
        yield Prediction(path, found, right=right, drawn=out)


def _labels(folder: Path) -> dict[str, str]:
    """Return the labels of a run's images by their SHA-256; of a model alone, those of the run around it."""
    for run in (Run(folder), Run(folder.parent)):
        try:
            return {image.sha256: image.label for image in run.images if image.label is not None}
        except ModelError:
            continue
    return {}


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
        found = images_at(pattern, partial(_images_in, console=console))
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


def _targets(paths: Sequence[Path], given: Path) -> dict[Path, Path]:
    """Name the drawing of each image; images of one name in several folders get a number.

    Raises:
        ConfigError: Several images, and one file to draw them into.
    """
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
        names = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        name = next(name for name in names if name.casefold() not in taken)
        taken.add(name.casefold())
        targets[path] = given / f"{name}.png"
    return targets
