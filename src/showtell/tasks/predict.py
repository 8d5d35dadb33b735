"""Say what pictures show."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from showtell.config import Predict
from showtell.console import Console
from showtell.data.images import load_pixels, open_image
from showtell.data.readers.names import PICTURE_EXTENSIONS
from showtell.errors import DataError, ImageError
from showtell.model_folder import CaptionerModel, load_model
from showtell.models.captioner import Caption
from showtell.runtime import choose_device, prepare_process

_BATCH = 16


def predict(config: Predict, console: Console | None = None) -> Iterator[dict[str, Any]]:
    """Caption pictures one after the other.

    Args:
        config: Which run and pictures.
        console: Where to say what happens; None for silence.

    Yields:
        One record a picture: ``picture``, ``caption``, ``log_probability`` and ``words``, or ``picture`` and
        ``error`` for one that cannot be read.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Console(quiet=True)
    paths = find_pictures(config.pictures)
    prepare_process()
    model = load_model(config.run, choose_device())
    beam_size = config.beam_size or model.config.beam_size
    for start in range(0, len(paths), _BATCH):
        for path, found in _describe(model, paths[start : start + _BATCH], beam_size):
            if isinstance(found, ImageError):
                yield {"picture": str(path), "error": found.what}
                continue
            record = _record(path, found)
            if config.picture is not None:
                record["drawn"] = str(_draw(model, path, found[0], config.picture, single=len(paths) == 1))
            yield record


def find_pictures(patterns: Sequence[str]) -> list[Path]:
    """Return the pictures that paths, folders and patterns name, in order and once.

    Raises:
        DataError: One of them names nothing.
    """
    paths: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            found = sorted(
                p for p in path.rglob("*") if p.suffix.lower() in PICTURE_EXTENSIONS and p.is_file()
            )
        elif path.exists():
            found = [path]
        else:
            found = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207
        if not found:
            raise DataError(
                f"There is no picture at {pattern}.",
                would_do=f"It takes pictures, folders and patterns; {Path.cwd()} is where it looked.",
            )
        paths |= dict.fromkeys(found)
    return list(paths)


def _describe(
    model: CaptionerModel, paths: Sequence[Path], beam_size: int
) -> list[tuple[Path, list[Caption] | ImageError]]:
    found: dict[Path, list[Caption] | ImageError] = {}
    pixels: dict[Path, torch.Tensor] = {}
    for path in paths:
        try:
            pixels[path] = load_pixels(path, model.backbone.preprocessing)
        except ImageError as error:
            found[path] = error
    if pixels:
        grid, _ = model.backbone(torch.stack(list(pixels.values())))
        found |= zip(pixels, model.captioner.describe(grid, beam_size=beam_size))
    return [(path, found[path]) for path in paths]


def _record(path: Path, captions: Sequence[Caption]) -> dict[str, Any]:
    best = captions[0]
    return {
        "picture": str(path),
        "caption": best.text,
        "log_probability": best.log_probability,
        "words": [
            {
                "word": word.text,
                "probability": word.probability,
                "attention": [[round(value, 5) for value in row] for row in word.attention.tolist()],
            }
            for word in best.words
        ],
        "others": [
            {"caption": other.text, "log_probability": other.log_probability} for other in captions[1:]
        ],
    }


def _draw(model: CaptionerModel, path: Path, caption: Caption, target: Path, *, single: bool) -> Path:
    from showtell.report.attention import draw_attention

    out = target if single and target.suffix else target / f"{path.stem}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    return draw_attention(open_image(path), caption, model.backbone.preprocessing, out)
