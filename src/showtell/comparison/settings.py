"""Settings of a comparison of runs, and of one of backbones."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import MAX_SEED, MAX_SIDE, Maybe, Runs, Settings, at_least, at_most, is_page


@dataclass(frozen=True)
class Compare(Settings):
    """Compare finished runs on the same images: differences with paired 95% intervals, images won and lost.

    Example: showtell compare runs/lstm runs/transformer

    Example: showtell compare runs/a runs/b runs/c --split test --json
    """

    runs: Runs
    """Folders of two or more finished runs of one kind; each is held against the first."""
    split: Literal["train", "val", "test", "all"] = "val"
    """Evaluated split to compare on; all is other data that each run was evaluated on."""
    out: Path = Path("runs/comparison.html")
    """Page of the comparison, with the images that differ the most."""
    json: bool = False
    """Print the comparison as JSON."""

    def __post_init__(self) -> None:
        """Check the runs and the page."""
        super().__post_init__()
        if len({run.resolve() for run in self.runs}) < max(2, len(self.runs)):
            raise ConfigError(
                f"Two different runs are needed: {', '.join(map(str, self.runs))}.",
                hint="Expected folders of two or more finished runs, each once.",
                run="showtell compare runs/a runs/b",
            )
        is_page(self, "out", "better.html")


@dataclass(frozen=True)
class CompareBackbones(DataSource):
    """Compare backbones by what a short training on their features reaches, and by what they cost.

    Example: showtell compare-backbones photos/cats --backbones mobilenetv2_100,resnet50,weights/my_net

    Example: showtell compare-backbones photos/captions.csv --backbones mobilenetv2_100,resnet50 --steps 500
    """

    backbones: str = field(kw_only=True)
    """timm networks or folders of weights, separated by commas."""
    out: Path = Path("runs/compare")
    """Folder of the table and the chart."""
    weights: Maybe[str] = None
    """random compares costs without pretrained weights."""
    image_size: Maybe[int] = None
    """Side of the networks' input in pixels, at least 32; each network's own by default."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    keep_images: bool = False
    """Also keep decoded images in the store, about 2 MB a photo of 12 megapixels, for all backbones."""
    device: str = "auto"
    """Where to compute: cpu, cuda or mps; auto takes the best there is."""
    steps: int = 250
    """Captions: training steps per backbone, each on 32 images, at least 1."""
    sample: int = 2000
    """Captions: most images to train on, at least 2; half as many others are scored."""
    seed: int = 0
    """Seed of split, sample and training, at least 0."""
    json: bool = False
    """Print the table as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32, steps=1, sample=2, seed=0)
        at_most(self, seed=MAX_SEED, image_size=MAX_SIDE)
        if not all(self.names) or len(set(self.names)) < len(self.names):
            raise ConfigError(
                f"--backbones {self.backbones!r} names nothing, or a network twice.",
                hint="Expected networks, each once, such as mobilenetv2_100,resnet50.",
            )
        if (self.out / "images.jsonl").exists():
            raise ConfigError(f"--out {self.out} is a run.", hint="Name another folder.")
        if self.weights not in (None, "random"):
            raise ConfigError(
                f"--weights {self.weights} cannot fit several networks.",
                hint="Name folders of weights among --backbones; --weights takes random only.",
            )

    @property
    def names(self) -> list[str]:
        """Return the backbones that are named."""
        return [part.strip() for part in self.backbones.split(",")]
