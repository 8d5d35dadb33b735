"""Load a model by the name of its run, its folder, or of a pretrained network."""

import os
from pathlib import Path
from typing import Any

import torch

from showtell.backbones.description import Precision
from showtell.console import Console
from showtell.kinds.base import Model
from showtell.kinds.kind import KINDS, find_kind
from showtell.kinds.model_folder import load_model
from showtell.runtime import choose_device


def load(
    run: str | os.PathLike[str],
    *,
    device: str = "auto",
    beam_size: int | None = None,
    precision: Precision | None = None,
    console: Console | None = None,
) -> Model[Any]:
    """Load a model: ``load("runs/mine")("cat.jpg").text``.

    Nothing else in this process is changed (see ``tune_process``).

    Args:
        run: A run folder or a model folder; or a timm network or its folder of weights, for ImageNet's
            classes.
        device: ``cpu``, ``cuda``, ``mps``; ``auto`` for the best there is.
        beam_size: Captions a captioner searches side by side; None for its own.
        precision: Of the backbone's arithmetic, ``float32`` or ``bfloat16``; None for that of the training.
        console: Told before weights are downloaded; None for the log of ``showtell``.

    Returns:
        The model; called with an image, several or a stream of them, it says what they show.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    where, folder = choose_device(device), Path(run)
    with torch.random.fork_rng(devices=[]):  # a network is built with random numbers, then filled
        for name in KINDS:
            if (pretrained := find_kind(name).pretrained(folder, where, console)) is not None:
                return pretrained
        return load_model(folder, where, precision).with_beam_size(beam_size)
