"""Settings of the extraction of features."""

from dataclasses import dataclass

from showtell.backbones.settings import BackboneSettings
from showtell.data.source import DataSource


@dataclass(frozen=True)
class Extract(BackboneSettings, DataSource):
    """Encode every image once and keep its features in the store.

    Example: showtell extract photos/captions.csv --backbone inception_v3
    """

    json: bool = False
    """Print the result as JSON."""
