"""Settings of the commands that use a run: report, evaluate, predict."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from showtell.errors import ConfigError
from showtell.kinds.captioner.coco import check_coco_results
from showtell.settings import MAX_BEAMS, Maybe, Run, Settings, at_least, at_most


@dataclass(frozen=True)
class Report(Settings):
    """Write RUN/report.html: scores, curves, best and worst images or mistakes, with the model's attention.

    Example: showtell report runs/mine

    Example: showtell report runs/mine --split val
    """

    run: Run
    """Folder of a run."""
    data: Annotated[Maybe[Path], tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """Where the data of the training is now; by default where it was then."""
    images: Maybe[Path] = None
    """Folder of the images of DATA, unless they are beside the table."""
    split: Maybe[Literal["train", "val", "test"]] = None
    """Evaluated split to report; by default test if it was evaluated, else val."""
    store: Maybe[Path] = None
    """Folder of the feature store; that of the training by default."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; auto takes the best there is."""


@dataclass(frozen=True)
class Evaluate(Settings):
    """Score a run on its test split, or on other data: figures with 95% intervals, best and worst.

    Example: showtell evaluate runs/mine

    Example: showtell evaluate runs/mine other/captions.csv --out runs/other --json
    """

    run: Run
    """Folder of a run."""
    data: Annotated[Maybe[Path], tyro.conf.Positional, tyro.conf.arg(metavar="[DATA]")] = None
    """Other captions or labels; by default the data of the training."""
    images: Maybe[Path] = None
    """Folder of the images of DATA, unless they are beside the table."""
    split: Maybe[Literal["train", "val", "test"]] = None
    """Split to score; by default test, or val if there is no test."""
    store: Maybe[Path] = None
    """Folder of the feature store."""
    beam_size: Maybe[int] = None
    """Width of the beam search, at least 1; by default the captioner's own."""
    out: Maybe[Path] = None
    """Folder of the results; RUN by default."""
    export: Maybe[Path] = None
    """Also write captions as COCO results, and the references beside: results.json."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; auto takes the best there is."""
    json: bool = False
    """Print the figures as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, beam_size=1)
        at_most(self, beam_size=MAX_BEAMS)
        if self.export is not None and (self.export.suffix.lower() != ".json" or self.export.is_dir()):
            raise ConfigError(
                f"--export {self.export} is no JSON file.", hint="Name a file, such as results.json."
            )
        if self.export is not None:
            check_coco_results(self.export)


@dataclass(frozen=True)
class Predict(Settings):
    """Caption or classify images: one, a folder, a whole library, or some of the run's own test images.

    Example: showtell predict runs/mine photos --out captions.csv

    Example: showtell predict runs/mine cat.jpg --save-plot why.png
    """

    run: Run
    """Folder of a run or a model; or a timm network or its folder of weights, for ImageNet's classes."""
    images: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE", help_behavior_hint="")
    ] = ()
    """Images, folders of images, or patterns such as 'photos/*.jpg'.
    With --split: where the data of the training is now, by default where it was then."""
    split: Maybe[Literal["train", "val", "test"]] = None
    """Take the images of this split of the training, and show what people said beside."""
    random: Maybe[int] = None
    """Take so many of the images, at least 1, drawn at random."""
    seed: Maybe[int] = None
    """Of the drawing, at least 0; by default another one each time, which is said."""
    out: Maybe[Path] = None
    """Write a table .csv, JSON lines .jsonl, a page .html; or sidecar or xmp, for files beside the images.
    What is written already is kept; features come from the store (docs/search.md)."""
    overwrite: bool = False
    """Write anew what --out has already, whoever wrote it."""
    save_plot: Maybe[Path] = None
    """Draw the image and the model's attention: a PNG, or a folder for several images."""
    beam_size: Maybe[int] = None
    """Width of the beam search, at least 1; by default the captioner's own."""
    store: Maybe[Path] = None
    """Folder of the feature store for --out and for more than 64 images; that of the training by default."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; auto takes the best there is."""
    json: bool = False
    """Print a line of JSON per image: caption and words, or classes, with their probabilities."""

    def __post_init__(self) -> None:
        """Check ranges, and which settings go together."""
        super().__post_init__()
        at_least(self, beam_size=1, random=1, seed=0)
        at_most(self, beam_size=MAX_BEAMS)
        if self.split is not None and len(self.images) > 1:
            raise ConfigError(
                f"--split {self.split} takes the images of one data set, and {len(self.images)} are named.",
                hint="Expected where the data of the training is now, or nothing.",
            )
        if self.seed is not None and self.random is None:
            raise ConfigError(
                "--seed says which images are drawn, and --random does not say how many.",
                hint="Expected --random with it.",
            )
        if self.overwrite and self.out is None:
            raise ConfigError("--overwrite says what becomes of a file, and --out names none.")
        if self.out is not None and not _is_target(self.out):
            raise ConfigError(
                f"--out {self.out} is no file that predictions are written to.",
                hint="Expected a name that ends in .csv, .jsonl or .html; or sidecar or xmp, for files "
                "beside the images.",
            )


BESIDE = ("sidecar", "xmp")
"""What ``--out`` calls a file beside each image."""
TABLES = (".csv", ".jsonl", ".html")
"""Suffixes of one file for all images."""


def _is_target(out: Path) -> bool:
    return str(out) in BESIDE or (out.suffix.lower() in TABLES and not out.is_dir())
