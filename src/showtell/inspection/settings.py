"""The command that inspects a data set before anything is trained on it."""

from dataclasses import dataclass
from pathlib import Path

from showtell.data.source import DataSource
from showtell.settings import Maybe, at_least


@dataclass(frozen=True)
class Inspect(DataSource):
    """See what is in a data set, and what is wrong with it: a page of text, and one to open in a browser.

    Example: showtell inspect photos/captions.csv
    """

    out: Path = Path("runs/inspect.html")
    """The page to write."""
    vocab_size: int = 10_000
    """Most tokens a captioner would learn, 16 or more: how much of the captions do they cover?"""
    backbone: Maybe[str] = None
    """Tell near-duplicates by this network's features in the store; by default by the last used network that
    saw all images, or else by a perceptual hash."""
    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    json: bool = False
    """Print all that was found as JSON."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, vocab_size=16)
