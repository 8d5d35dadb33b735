"""Commands that show, before any training, what it will make of pictures and captions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import Maybe, Settings, at_least


@dataclass(frozen=True)
class _Shown(DataSource):
    """What every preview is given: pictures, read as training reads them."""

    seed: int = 0
    """Of the choice of pictures, 0 or more."""


@dataclass(frozen=True)
class PreviewAugment(_Shown):
    """Draw photos and their random views, each with what was done to it.

    Example: showtell preview augment photos/cats --views 4
    """

    pictures: tuple[str, ...] = ()
    """Names of the photos to show; by default some are chosen."""
    count: int = 3
    """Photos to choose, 1 to 12."""
    views: int = 6
    """Views of each photo, 1 to 12: those that train-classifier --views would learn from."""
    backbone: Maybe[str] = None
    """Any timm network, whose input size counts; by default the one that a training would take."""
    weights: Maybe[str] = None
    """A folder in timm's local format or a file of weights; none are needed."""
    image_size: Maybe[int] = None
    """Side of the network's input in pixels, 32 or more; its own by default."""
    fit: Literal["whole", "crop"] = "whole"
    """Squeeze the whole photo into the input, or cut out its centre."""
    out: Path = Path("preview-augment.png")
    """The picture to write; its suffix chooses the format."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0, count=1, views=1, image_size=32)
        at_most(self, count=12, views=12)


@dataclass(frozen=True)
class PreviewNormalize(_Shown):
    """Draw a photo under five normalisations with their histograms; mark the one that the backbone expects.

    Example: showtell preview normalize photos/captions.csv --backbone inception_v3
    """

    picture: Maybe[str] = None
    """Name of the photo to show; by default one is chosen."""
    sample: int = 200
    """Photos from which the mean and standard deviation of the data set are taken, 1 or more."""
    backbone: Maybe[str] = None
    """Any timm network, or the one that --weights names; by default mobilenetv2_100 where the hub's cache has
    it, else tf_efficientnet_lite0 where the extra weights is installed."""
    weights: Maybe[str] = None
    """A folder in timm's local format or a file of weights; without, what timm says of the network counts."""
    image_size: Maybe[int] = None
    """Side of the network's input in pixels, 32 or more; its own by default."""
    fit: Literal["whole", "crop"] = "whole"
    """Squeeze the whole photo into the input, or cut out its centre."""
    out: Path = Path("preview-normalize.png")
    """The picture to write; its suffix chooses the format."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0, sample=1, image_size=32)


@dataclass(frozen=True)
class PreviewTokens(_Shown):
    """Show how captions become tokens and ids, with padding and unknown words in colour.

    Example: showtell preview tokens photos/captions.csv --tokenizer bpe
    """

    pictures: tuple[str, ...] = ()
    """Names of the photos whose captions to show; by default some are chosen."""
    count: int = 4
    """Photos to choose, 1 to 12; one caption of each is shown."""
    tokenizer: Literal["word", "bpe"] = "word"
    """Whole words, or pieces of words for languages in which words run together."""
    vocab_size: int = 10_000
    """Most tokens, 16 or more."""
    min_count: Maybe[int] = None
    """How often a word must be seen to be learnt; by default 5 from 20,000 captions on, fewer below."""
    out: Path = Path("preview-tokens.png")
    """The picture to write; its suffix chooses the format."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0, count=1, vocab_size=16, min_count=1)
        at_most(self, count=12)


@dataclass(frozen=True)
class Preview(Settings):
    """See what training will make of your pictures and captions; each of the three writes a picture.

    Example: showtell preview augment photos/cats
    """

    what: (
        Annotated[PreviewAugment, tyro.conf.subcommand("augment")]
        | Annotated[PreviewNormalize, tyro.conf.subcommand("normalize")]
        | Annotated[PreviewTokens, tyro.conf.subcommand("tokens")]
    )
    """What to look at."""


def at_most(config: object, **maxima: int) -> None:
    """Refuse settings above their maximum.

    Raises:
        ConfigError: One is; the message names its flag.
    """
    for name, maximum in maxima.items():
        value = getattr(config, name)
        if value > maximum:
            raise ConfigError(f"--{name} {value} is out of range.", would_do=f"It takes 1 to {maximum}.")
