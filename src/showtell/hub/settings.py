"""Commands that send a model to the Hugging Face Hub, and fetch one from there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from showtell.settings import Maybe, Run, Settings

Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True)
class Push(Settings):
    """Send a model to the Hugging Face Hub, privately unless told otherwise; no picture is ever sent.

    The model's README.md is written from what the run knows; one that begins with --- is yours and is sent as
    it is. Log in before by `hf auth login`, or by a token in HF_TOKEN.

    Example: showtell push runs/mine my-cats --license mit
    """

    run: Run
    """Folder of a run or a model."""
    name: Name
    """What to call it there: my-cats, or owner/my-cats."""
    license: Maybe[str] = None
    """Its licence by the Hub's short names, such as mit or cc-by-4.0; by default left to be filled in."""
    public: bool = False
    """Let everybody see it."""
    draft: bool = False
    """Send nothing; write the README.md into the model's folder, to be read and changed."""
    endpoint: Maybe[str] = None
    """Address of another Hub; by default HF_ENDPOINT, or the public one."""
    json: bool = False
    """Print what was sent as JSON."""


@dataclass(frozen=True)
class Pull(Settings):
    """Fetch a model from the Hugging Face Hub, and check that it is whole and loads.

    A repository that holds pickles, or anything that is no part of a model, is refused.

    Example: showtell pull owner/my-cats runs/cats
    """

    name: Name
    """Its name there, with its owner."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to make."""
    revision: Maybe[str] = None
    """A branch, tag or commit; by default the newest."""
    endpoint: Maybe[str] = None
    """Address of another Hub; by default HF_ENDPOINT, or the public one."""
    json: bool = False
    """Print what was fetched as JSON."""
