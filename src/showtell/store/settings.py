"""Settings of the listing of the feature store."""

from dataclasses import dataclass
from pathlib import Path

from showtell.settings import Maybe, Settings


@dataclass(frozen=True)
class Store(Settings):
    """List what the feature store holds, or remove the features of a backbone.

    Example: showtell store --remove 3f6c0a9b12de4f57
    """

    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    remove: Maybe[str] = None
    """Remove the features of this feature space or architecture."""
    json: bool = False
    """Print as JSON."""
