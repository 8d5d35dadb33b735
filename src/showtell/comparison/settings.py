"""Settings of a comparison of backbones."""

from dataclasses import dataclass, field
from pathlib import Path

from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import Maybe, at_least


@dataclass(frozen=True)
class Compare(DataSource):
    """Find the backbone that pays: what a short training reaches on the features of each, and what it costs.

    Example: showtell compare photos/cats --backbones mobilenetv2_100,resnet50,weights/my_net
    """

    backbones: str = field(kw_only=True)
    """timm networks or folders of weights, with commas between them."""
    out: Path = Path("runs/compare")
    """Folder of the table and the drawing."""
    weights: Maybe[str] = None
    """random, to compare costs without pretrained weights."""
    image_size: Maybe[int] = None
    """Side of the networks' input in pixels, 32 or more; each one's own by default."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    steps: int = 250
    """Of captions: steps of training on each backbone, of 32 pictures each, 1 or more."""
    sample: int = 2000
    """Of captions: most pictures to train on, 2 or more; half as many, which are others, score."""
    seed: int = 0
    """Of the split, the sample and the training, 0 or more."""
    json: bool = False
    """Print the table as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, image_size=32, steps=1, sample=2, seed=0)
        if not any(name.strip() for name in self.backbones.split(",")):
            raise ConfigError("--backbones names none.", would_do="Try mobilenetv2_100,resnet50.")
        if self.weights not in (None, "random"):
            raise ConfigError(
                f"--weights {self.weights} cannot fit several networks.",
                would_do="Name folders of weights among --backbones; --weights takes random only.",
            )
