"""Say what pictures show."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from showtell.console import Console
from showtell.data.images import open_image
from showtell.data.listing import Listing
from showtell.data.pixels.files import PICTURE_EXTENSIONS, pictures_at
from showtell.data.reading import report_problems
from showtell.errors import ConfigError, DataError, ImageError
from showtell.kinds.classifier.predict import predict_classes
from showtell.kinds.loading import Captions, LoadedCaptioner, LoadedClassifier, load
from showtell.kinds.records import caption_record
from showtell.kinds.settings import Predict


def predict(config: Predict, console: Console | None = None) -> Iterator[dict[str, Any]]:
    """Caption or name pictures one after the other.

    Args:
        config: Which run and pictures.
        console: Told what of a folder is left out; None for silence.

    Yields:
        One record a picture: ``picture``, ``caption``, ``log_probability`` and ``words``, or for a classifier
        ``picture``, ``class`` and ``classes``; ``picture`` and ``error`` for one that cannot be read.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    paths = find_pictures(config.pictures, console or Console(quiet=True))
    targets = {} if config.picture is None else _targets(paths, config.picture)
    model = load(config.run, beam_size=config.beam_size)
    if isinstance(model, LoadedClassifier):
        yield from predict_classes(model, config.run, paths, targets)
        return
    for path, found in zip(paths, model.stream(paths, errors="return")):
        if isinstance(found, ImageError):
            yield {"picture": str(path), "error": found.what}
            continue
        record = {"picture": str(path)} | caption_record(found)
        if path in targets:
            record["drawn"] = str(_draw(model, path, found, targets[path]))
        yield record


def find_pictures(patterns: Sequence[str], console: Console) -> list[Path]:
    """Return the pictures that paths, folders and patterns name, in order and once.

    Of a folder, what training would leave out is left out; what a path or a pattern names is always tried.

    Args:
        patterns: As typed.
        console: Told what of a folder is left out.

    Raises:
        DataError: One of them names nothing.
    """
    if not patterns:
        raise DataError("No picture was given.", run="showtell predict RUN PICTURE")
    paths: dict[Path, None] = {}
    for pattern in patterns:
        found = pictures_at(pattern, partial(_pictures_in, console=console))
        if not found:
            raise DataError(
                f"There is no picture at {pattern}.",
                would_do=f"It takes pictures, folders and patterns; {Path.cwd()} is where it looked.",
            )
        paths |= dict.fromkeys(found)
    return list(paths)


def _pictures_in(path: Path, console: Console) -> list[Path]:
    """Return the pictures that training would find in a folder, and say what else is in it."""
    folder = Listing(path)
    names = folder.pictures
    pictures = set(names)
    others = sorted(name for name in folder.files if name not in pictures)
    left_out = [
        f"{len(found):,} {what} (for example {found[0]})"
        for found, what in ((others, "files that are no pictures"), (sorted(folder.hidden), "hidden"))
        if found
    ]
    console.say(f"{path}: {len(names):,} pictures" + (f"; left out: {', '.join(left_out)}" * bool(left_out)))
    report_problems(folder.problems, console)
    return [Path(folder.files[name]) for name in names]


def _targets(paths: Sequence[Path], given: Path) -> dict[Path, Path]:
    """Name the drawing of each picture; pictures of one name in several folders get a number.

    Raises:
        ConfigError: Several pictures, and one file to draw them into.
    """
    is_file = bool(given.suffix) and not given.is_dir()
    if is_file and len(paths) == 1:
        return {paths[0]: given}
    if is_file and (given.exists() or given.suffix.lower() in PICTURE_EXTENSIONS):
        raise ConfigError(
            f"--picture {given} is one file, for {len(paths)} pictures.",
            would_do="It takes a folder for several.",
        )
    targets: dict[Path, Path] = {}
    taken: set[str] = set()
    for path in paths:
        names = (path.stem if number == 1 else f"{path.stem}-{number}" for number in count(1))
        name = next(name for name in names if name.casefold() not in taken)
        taken.add(name.casefold())
        targets[path] = given / f"{name}.png"
    return targets


def _draw(model: LoadedCaptioner, path: Path, caption: Captions, out: Path) -> Path:
    from showtell.kinds.captioner.drawing import draw_attention

    out.parent.mkdir(parents=True, exist_ok=True)
    return draw_attention(open_image(path), caption, model.backbone.preprocessing, out)
