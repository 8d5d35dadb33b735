"""Commands that show, before any training, what it will make of images and captions."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from showtell.data.source import DataSource
from showtell.settings import MAX_SIDE, Maybe, Names, Settings, at_least, at_most

if TYPE_CHECKING:
    from showtell.data.pixels.preprocessing import Preprocessing


@dataclass(frozen=True)
class _Shown(DataSource):
    """What every preview is given: images, read as training reads them."""

    seed: int = 0
    """Seed of the choice of images, at least 0."""


@dataclass(frozen=True)
class _AsInput(_Shown):
    """A preview of images as a backbone takes them, for which it needs no weights."""

    backbone: Maybe[str] = None
    """Any timm network; by default the one of --weights, or the one that training would take."""
    weights: Maybe[str] = None
    """A folder in timm's local format or a file of weights; none are needed."""
    image_size: Maybe[int] = None
    """Side of the network's input in pixels, at least 32; the network's own by default."""
    resize: Literal["stretch", "crop"] = "stretch"
    """Stretch the whole image to the input, or crop its centre."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32)
        at_most(self, image_size=MAX_SIDE)

    def preprocessing(self) -> "tuple[Preprocessing, str]":
        """Return how images become the backbone's input, and the backbone's name."""
        # torch takes seconds to import, and settings are read for --help, too.
        from showtell.backbones.sources import default_network
        from showtell.backbones.weights import input_of

        name = self.backbone if self.backbone or self.weights else default_network()
        return input_of(name, self.weights, image_size=self.image_size, fit=self.resize)


@dataclass(frozen=True)
class PreviewAugment(_AsInput):
    """Draw images and their random views, each with what was done to it.

    Example: showtell preview augment photos/cats --augmentations 4

    Example: showtell preview augment photos/cats --backbone inception_v3 --out views.png
    """

    show: Names = ()
    """Names of the images to show; by default some are chosen."""
    count: int = 3
    """Images to choose, 1 to 12."""
    augmentations: int = 6
    """Views of each image, 1 to 12: those that train-classifier would learn from."""
    out: Path = Path("preview-augment.png")
    """The drawing to write; its suffix chooses the format."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0, count=1, augmentations=1)
        at_most(self, count=12, augmentations=12)


@dataclass(frozen=True)
class PreviewNormalize(_AsInput):
    """Draw an image under five normalisations with their histograms; mark the one that the backbone expects.

    Example: showtell preview normalize photos/captions.csv --backbone inception_v3

    Example: showtell preview normalize photos --image beach.png
    """

    image: Maybe[str] = None
    """Name of the image to show; by default one is chosen."""
    sample: int = 200
    """Images from which the mean and standard deviation of the data set are taken, at least 1."""
    out: Path = Path("preview-normalize.png")
    """The drawing to write; its suffix chooses the format."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0, sample=1)


@dataclass(frozen=True)
class PreviewTokens(_Shown):
    """Show how captions become tokens and ids, with padding and unknown words in colour.

    Example: showtell preview tokens photos/captions.csv --tokenizer bpe

    Example: showtell preview tokens photos/captions.csv --count 12
    """

    show: Names = ()
    """Names of the images whose captions to show; by default some are chosen."""
    count: int = 4
    """Images to choose, 1 to 12; one caption of each is shown."""
    tokenizer: Literal["word", "bpe"] = "word"
    """Whole words, or subwords (bpe) for languages that write words together, such as Korean."""
    vocab_size: int = 10_000
    """Largest vocabulary in tokens, at least 16."""
    min_count: Maybe[int] = None
    """Occurrences from which a word is learnt; by default 5 from 20,000 captions on, fewer below."""
    out: Path = Path("preview-tokens.png")
    """The drawing to write; its suffix chooses the format."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0, count=1, vocab_size=16, min_count=1)
        at_most(self, count=12)


@dataclass(frozen=True)
class Preview(Settings):
    """See what training will make of your images and captions; each of the three writes a drawing.

    Example: showtell preview augment photos/cats
    """

    what: (
        Annotated[PreviewAugment, tyro.conf.subcommand("augment")]
        | Annotated[PreviewNormalize, tyro.conf.subcommand("normalize")]
        | Annotated[PreviewTokens, tyro.conf.subcommand("tokens")]
    )
    """What to show."""
