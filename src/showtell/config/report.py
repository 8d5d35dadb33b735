"""The command that writes a run's report again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from showtell.config.flags import Maybe, Run, Settings


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
