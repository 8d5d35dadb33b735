"""The command that writes a run's report again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from showtell.settings import Maybe, Run, Settings, at_least


@dataclass(frozen=True)
class Report(Settings):
    """Write RUN/report.html: scores, curves, best and worst or mistakes, with where the model looked.

    Example: showtell report runs/mine
    """

    run: Run
    """Folder of a run."""
    data: Annotated[Maybe[Path], tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """Where the data of the training lies now; by default where it lay then."""
    images: Maybe[Path] = None
    """Folder of the pictures of DATA, where they do not lie beside the table."""
    split: Maybe[Literal["train", "val", "test"]] = None
    """Evaluated split to report; by default test where that was evaluated, or val."""
    store: Maybe[Path] = None
    """Folder of the feature store; that of the training by default."""


@dataclass(frozen=True)
class Evaluate(Settings):
    """Score a run on its test split, or on other data: figures with 95% intervals, best and worst.

    Example: showtell evaluate runs/mine
    """

    run: Run
    """Folder of a run."""
    data: Annotated[Maybe[Path], tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """Other captions or labels; by default the data of the training."""
    images: Maybe[Path] = None
    """Folder of the pictures of DATA, where they do not lie beside the table."""
    split: Maybe[Literal["train", "val", "test"]] = None
    """Split to score; by default test, or val where there is no test."""
    store: Maybe[Path] = None
    """Folder of the feature store."""
    beam_size: Maybe[int] = None
    """Captions searched side by side, 1 or more; by default the captioner's own."""
    out: Maybe[Path] = None
    """Folder of the results; RUN by default."""
    json: bool = False
    """Print the figures as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, beam_size=1)


@dataclass(frozen=True)
class Predict(Settings):
    """Say what pictures show.

    Example: showtell predict runs/mine cat.jpg --picture why.png
    """

    run: Run
    """Folder of a run or a model; or a timm network or its folder of weights, for ImageNet's classes."""
    pictures: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE")]
    """Pictures, folders of pictures, or patterns such as 'photos/*.jpg'."""
    picture: Maybe[Path] = None
    """Draw the photo and where the model looked: a PNG, or a folder for several pictures."""
    beam_size: Maybe[int] = None
    """Captions searched side by side, 1 or more; by default the captioner's own."""
    json: bool = False
    """Print a line of JSON a picture: caption and words, or classes, with their probabilities."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, beam_size=1)
