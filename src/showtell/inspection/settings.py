"""The command that inspects a data set before anything is trained on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import Maybe, at_least, is_page


@dataclass(frozen=True)
class Inspect(DataSource):
    """See what is in a data set, and what is wrong with it: as text, and as a page for the browser.

    Example: showtell inspect photos/captions.csv

    Example: showtell inspect photos/cats --out cats.html --json
    """

    out: Path = Path("runs/inspect.html")
    """The page to write."""
    vocab_size: int = 10_000
    """Vocabulary of a captioner, at least 16 tokens, whose coverage of the captions is shown."""
    backbone: Maybe[str] = None
    """Find near-duplicates by this network's features in the store.
    By default the last network that encoded all images, else a perceptual hash."""
    map: Literal["pca", "umap"] = "pca"
    """How the page lays all images out on a map, where the store has their features.
    pca keeps distances as far as a plane can, umap keeps who is near whom (extra: map)."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    json: bool = False
    """Print the findings as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, vocab_size=16)
        is_page(self, "out", "inspect.html")
        if self.backbone is not None and "," in self.backbone:
            raise ConfigError(
                f"--backbone {self.backbone} names several networks, and near-duplicates are found by one.",
                hint="Name one of them, or leave it out.",
            )
