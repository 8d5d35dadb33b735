"""Settings of a look at the feature store."""

from dataclasses import dataclass
from pathlib import Path

from showtell.settings import Maybe, Settings


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
