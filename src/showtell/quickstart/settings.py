"""Settings of the quickstart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.settings import MAX_SEED, Settings, at_least, at_most


@dataclass(frozen=True)
class Quickstart(Settings):
    """Try everything offline: draw scenes, train a captioner, evaluate it on unseen scenes, show the result.

    Example: showtell quickstart --language ko

    Example: showtell quickstart --out runs/try
    """

    out: Path = Path("runs/quickstart")
    """Folder of all results."""
    language: Literal["en", "ko"] = "en"
    """Language of the captions."""
    seed: int = 0
    """Seed of drawings and training, at least 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0)
        at_most(self, seed=MAX_SEED)
