"""Say what pictures show."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from showtell.config import Predict
from showtell.console import Console
from showtell.data.images import open_image
from showtell.data.pixels.files import PICTURE_EXTENSIONS, find_pictures
from showtell.errors import ConfigError, ImageError
from showtell.inference import Captions, LoadedCaptioner, LoadedClassifier, load
from showtell.inference.records import caption_record
from showtell.tasks.predict_classes import predict_classes


def predict(config: Predict, console: Console | None = None) -> Iterator[dict[str, Any]]:
    """Caption or name pictures one after the other.

    Args:
        config: Which run and pictures.
        console: Not needed: records are yielded as they are found.

    Yields:
        One record a picture: ``picture``, ``caption``, ``log_probability`` and ``words``, or for a classifier
        ``picture``, ``class`` and ``classes``; ``picture`` and ``error`` for one that cannot be read.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    paths = find_pictures(config.pictures)
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
    from showtell.report.attention import draw_attention

    out.parent.mkdir(parents=True, exist_ok=True)
    return draw_attention(open_image(path), caption, model.backbone.preprocessing, out)
