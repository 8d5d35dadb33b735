"""Settings of the command on the feature store."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.errors import ConfigError
from showtell.settings import Maybe, Settings

ExportFormat = Literal["safetensors", "npy", "parquet", "webdataset"]
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(frozen=True)
class Store(Settings):
    """List what the feature store holds; merge, verify, export or shrink it.

    Example: showtell store --export features --format parquet --space mobilenetv2_100 --data captions.csv

    Example: showtell store --verify
    """

    store: Maybe[Path] = None
    """Folder of the feature store; SHOWTELL_STORE or the user's cache by default."""
    remove: Maybe[str] = None
    """Remove the features of this feature space or architecture, or the decoded images: kept-images."""
    merge: Maybe[Path] = None
    """Copy what this other feature store has and this one lacks; the other one stays as it is."""
    verify: bool = False
    """Check every record and kept image; take out damaged ones, which the next extract makes again."""
    limit: Maybe[str] = None
    """Remove what was not used for longest, until the rest is below this size: 20GB.
    Kept images go first, then feature spaces."""
    export: Maybe[Path] = None
    """Write features, with names and labels where --data tells them, into this new folder for other tools."""
    format: ExportFormat = "safetensors"
    """Format of the export."""
    space: Maybe[str] = None
    """Feature space or architecture to export or to verify; by default the only one, or all."""
    data: Maybe[Path] = None
    """Export the images of this data set alone, with their names, captions or labels."""
    images: Maybe[Path] = None
    """Folder of that data set's images, unless they are beside its table."""
    json: bool = False
    """Print as JSON."""

    def __post_init__(self) -> None:
        """Check that one thing is asked for, and the size."""
        super().__post_init__()
        asked = [
            f"--{name}"
            for name in ("remove", "merge", "verify", "limit", "export")
            if getattr(self, name) not in (None, False)
        ]
        if len(asked) > 1:
            raise ConfigError(
                f"{' and '.join(asked)} cannot be done in one call.", hint="Expected one of them."
            )
        if self.data is not None and self.export is None:
            raise ConfigError("--data says what to export.", hint="Expected --export FOLDER with it.")
        if self.images is not None and self.data is None:
            raise ConfigError(
                "--images says where the images of --data are.", hint="Expected --data with it."
            )
        if self.space is not None and self.export is None and not self.verify:
            raise ConfigError(
                "--space says what to export or to verify.",
                hint="Expected --export FOLDER or --verify with it.",
            )
        if self.format != Store.format and self.export is None:
            raise ConfigError("--format is that of an export.", hint="Expected --export FOLDER with it.")
        if self.limit is not None:
            self.limit_bytes()

    def limit_bytes(self) -> int:
        """Return the size of ``limit``, bytes.

        Raises:
            ConfigError: It is no size.
        """
        found = _SIZE.fullmatch((self.limit or "").strip())
        if found is None:
            raise ConfigError(f"--limit {self.limit} is no size.", hint="Expected one such as 20GB or 500MB.")
        return int(float(found[1]) * _UNITS[found[2].lower()])
