"""Commands that send a model to the Hugging Face Hub, and fetch one from there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from showtell.settings import Maybe, Run, Settings

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True)
class Push(Settings):
    """Send a model to the Hugging Face Hub, privately by default; no image is ever sent.

    The model's README.md is written from the run's record; one that begins with --- is yours and is sent
    unchanged. Log in first with `hf auth login`, or set a token in HF_TOKEN.

    Example: showtell push runs/mine my-cats --license mit

    Example: showtell push runs/mine my-cats --dry-run
    """

    run: Run
    """Folder of a run or a model."""
    name: Name
    """Name of the repository: my-cats, or owner/my-cats."""
    license: Maybe[str] = None
    """Licence by the Hub's short names, such as mit or cc-by-4.0; by default left open."""
    public: bool = False
    """Make the repository public."""
    dry_run: bool = False
    """Send nothing; write the README.md into the model's folder, to be read and edited."""
    endpoint: Maybe[str] = None
    """Address of another Hub; by default HF_ENDPOINT, else the public one."""
    json: bool = False
    """Print what was sent as JSON."""


@dataclass(frozen=True)
class Pull(Settings):
    """Fetch a model from the Hugging Face Hub, and check that it is complete and loads.

    A repository with pickles, or anything that is not part of a model, is refused.

    Example: showtell pull owner/my-cats runs/cats

    Example: showtell pull owner/my-cats runs/cats --revision main
    """

    name: Name
    """Name of the repository, with its owner."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to create."""
    revision: Maybe[str] = None
    """A branch, tag or commit; by default the newest."""
    endpoint: Maybe[str] = None
    """Address of another Hub; by default HF_ENDPOINT, else the public one."""
    json: bool = False
    """Print what was fetched as JSON."""
