"""The command that looks at a data set before anything is trained on it."""

from dataclasses import dataclass
from pathlib import Path

from showtell.config.flags import Data, Maybe, Settings, at_least


@dataclass(frozen=True)
class Look(Settings):
    """See what is in a data set, and what is wrong with it: a page of text, and one to open in a browser.

    Example: showtell look photos/captions.csv
    """

    data: Data
    """Captions, labels or class folders, or simply a folder of pictures."""
    out: Path = Path("runs/look.html")
    """The page to write."""
    images: Maybe[Path] = None
    """Folder of the pictures, where they do not lie beside the table."""
    format: Maybe[str] = None
    """Format of DATA, where it is not recognised: csv, flickr8k, coco, karpathy, imagefolder, classes or
    labels."""
    image_column: Maybe[str] = None
    """Column that names the picture."""
    text_column: Maybe[str] = None
    """Column that holds the caption or the label."""
    vocab_size: int = 10_000
    """Most tokens a captioner would learn, 16 or more: how much of the captions do they cover?"""
    backbone: Maybe[str] = None
    """Tell near-duplicates by this network's features in the store; by default by the last used network that
    saw all pictures, or else by a perceptual hash."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    json: bool = False
    """Print all that was found as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, vocab_size=16)
