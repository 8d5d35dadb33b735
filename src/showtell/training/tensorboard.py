"""TensorBoard event files: the curves of a training and, each epoch, what it says of a few images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from showtell.data.images import open_image
from showtell.data.records import AnnotatedImage
from showtell.errors import MissingExtraError

_SHOWN = 6
_COLUMNS = 3
_CELL, _GAP = 2.6, 0.2
"""Inches: side of a photo, between photos."""
_LINE, _LETTERS = 0.19, 9.5
"""Inches from line to line, and points."""
_LINES = 3
"""Of what is said of a photo, at most."""


class TensorBoardLog:
    """Event files for TensorBoard, written while a training goes.

    Args:
        folder: Where they go, one file a start.

    Raises:
        MissingExtraError: The extra is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "tensorboard", "event files for TensorBoard") from error
        self._open: Callable[..., Any] = SummaryWriter
        self._folder = folder
        self._writer: Any = None
        self._shown: Sequence[AnnotatedImage] = ()
        self._texts: Callable[[], Mapping[str, str]] = dict

    def show(self, images: Sequence[AnnotatedImage], texts: Callable[[], Mapping[str, str]]) -> None:
        """Show a few of these images each epoch, with what the model said of them when last scored."""
        self._shown = images[:: -(-len(images) // _SHOWN) or 1]
        self._texts = texts

    def begin(self, step: int, epoch: int) -> None:
        """Open a file; TensorBoard then forgets what earlier ones say of later steps."""
        self._writer = self._open(str(self._folder), purge_step=step + 1 if step else None)

    def step(self, step: int, epoch: int, loss: float, learning_rate: float) -> None:
        """Write the scalars of a step."""
        self._writer.add_scalar("train/loss", loss, step)
        self._writer.add_scalar("train/learning_rate", learning_rate, step)

    def validation(self, step: int, record: Mapping[str, float]) -> None:
        """Write the scores of an epoch and the images with what is said of them."""
        for name, value in record.items():
            if name not in ("epoch", "score"):
                self._writer.add_scalar(f"validation/{name}", value, step)
        if self._shown:
            pixels = _draw(self._shown, self._texts())
            self._writer.add_image("validation/images", pixels, step, dataformats="HWC")
        self._writer.flush()


def _draw(images: Sequence[AnnotatedImage], texts: Mapping[str, str]) -> npt.NDArray[np.uint8]:
    """Draw photos, each above what the model and what people say of it; return (height, width, 3)."""
    # matplotlib takes a second to load, and only this needs it.
    from showtell.report.figures import (
        ACCENT,
        FAINT,
        figure_grid,
        figure_pixels,
        inch_axes,
        show_image,
        write,
    )
    from showtell.report.fonts import inches
    from showtell.report.text_width import wrap

    rows = -(-len(images) // _COLUMNS)
    cell = _CELL + _GAP, _CELL + 2 * _LINES * _LINE + 2 * _GAP
    figure, axes = figure_grid([cell[0]] * _COLUMNS, [cell[1]] * rows)
    for one, shown in zip(axes.flat, images):
        inch_axes(one, *cell)
        image = open_image(shown.path).convert("RGB")
        image.thumbnail((400, 400))
        width, height = (_CELL * side / max(image.size) for side in image.size)
        base = _GAP + _CELL
        show_image(one, np.asarray(image), (_GAP / 2, _GAP / 2 + width, base, base - height))
        right = shown.label if shown.label is not None else next(iter(shown.captions), "")
        for text, colour, bold in ((texts[shown.name], ACCENT, True), (right, FAINT, False)):
            for line in wrap(text, _CELL, inches(_LETTERS, bold=bold))[:_LINES]:
                base += _LINE
                write(one, _GAP / 2, base, line, _LETTERS, bold=bold, colour=colour)
    return figure_pixels(figure)
