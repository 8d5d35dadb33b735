"""Where showtell keeps on this machine what it can make again."""

import os
import sys
from pathlib import Path


def cache_root() -> Path:
    """Return the folder of showtell in the user's cache: by ``XDG_CACHE_HOME``, or as the system has it."""
    if cache := os.environ.get("XDG_CACHE_HOME"):
        base = Path(cache)
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "showtell"
