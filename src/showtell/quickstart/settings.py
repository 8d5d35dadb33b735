"""Settings of the quickstart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.settings import Settings, at_least


@dataclass(frozen=True)
class Quickstart(Settings):
    """See the whole thing work, offline: draw scenes, look, train, evaluate on unseen compositions, show.

    Example: showtell quickstart --language ko
    """

    out: Path = Path("runs/quickstart")
    """Folder of everything it makes."""
    language: Literal["en", "ko"] = "en"
    """Language of the captions."""
    seed: int = 0
    """Of the drawings and the training, 0 or more."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, seed=0)
