"""Settings of teaching in the browser."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from showtell.backbones.description import EngineChoice, Precision
from showtell.backbones.settings import BackboneSettings
from showtell.data.source import DataSource
from showtell.serving.settings import check_token
from showtell.settings import Data, Maybe, Rare, at_least


@dataclass(frozen=True)
class Teach(BackboneSettings, DataSource):
    """Name the classes of images in the browser, or write captions of them, while a model learns.

    Example: showtell teach photos/ --open

    Example: showtell teach photos/captions.csv
    """

    data: Data
    """A folder of images, in class folders or not; or a table of images."""

    # As of the training that the page starts.
    encoding: Rare[Maybe[str]] = None
    image_size: Rare[Maybe[int]] = None
    resize: Rare[Literal["stretch", "crop"]] = "stretch"
    precision: Rare[Precision] = "float32"
    engine: Rare[EngineChoice] = "auto"
    device: Rare[str] = "auto"

    classes: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a class, once for each; more are named on the page."""
    run: Maybe[Path] = None
    """A captioner whose words are offered from the first caption on; without it, one learns meanwhile."""
    vlm: Maybe[str] = None
    """An image-to-text model of transformers that writes captions to be accepted or mended (extra: vlm).
    A folder, or a name whose weights are in the cache; nothing is downloaded."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 accepts connections from other machines, such as a phone."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    token: Maybe[str] = None
    """Token that the page asks for; by default SHOWTELL_TOKEN, or none."""
    open_browser: Annotated[bool, tyro.conf.arg(name="open")] = False
    """Open the page in the browser."""
    order: Rare[Literal["uncertain", "random"]] = "uncertain"
    """What is asked next: what the model is least sure of, with a fifth at random; or all at random."""
    max_body_mb: Rare[int] = 50
    """Largest image that may be dropped in, in megabytes, at least 1."""
    max_megapixels: Rare[int] = 200
    """Largest image that may be dropped in, in millions of pixels, at least 1."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, port=0, max_body_mb=1, max_megapixels=1)
        check_token(self.token)
