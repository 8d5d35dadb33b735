"""Settings of the search."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from showtell.backbones.description import EngineChoice, Precision
from showtell.backbones.settings import BackboneSettings
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import Maybe, Rare, at_least, at_most, spelled


@dataclass(frozen=True)
class Search(BackboneSettings, DataSource):
    """Find images that look like another one, or that show what a text says.

    Example: showtell search photos --like cat.jpg --out found.html

    Example: showtell search photos --text "two dogs" --run runs/mine
    """

    # Flags of other commands, too rarely needed to be some of a search.
    image_size: Rare[Maybe[int]] = None
    resize: Rare[Literal["stretch", "crop"]] = "stretch"
    precision: Rare[Precision] = "float32"
    engine: Rare[EngineChoice] = "auto"

    like: Maybe[Path] = None
    """Find the images whose features are nearest to this one's."""
    text: Maybe[str] = None
    """Find the images that show this: with --run, those of which its model finds it likeliest.
    Without, by the text tower of a CLIP as --backbone (extra: clip)."""
    run: Maybe[Path] = None
    """Folder of a run or a model, whose network takes the place of --backbone."""
    count: int = 10
    """Images to find, 1 to 500."""
    out: Maybe[Path] = None
    """Write them as a page, too: an .html file."""
    json: bool = False
    """Print them as JSON."""

    def __post_init__(self) -> None:
        """Check ranges, and that it is clear what is searched for."""
        super().__post_init__()
        at_least(self, count=1)
        at_most(self, count=MOST)
        if (self.like is None) == (self.text is None or not self.text.strip()):
            raise ConfigError(
                "A search needs either an image or a text.",
                hint="Expected one of --like and --text.",
                run="showtell search DATA --like PICTURE",
            )
        if self.out is not None and (self.out.suffix.lower() != ".html" or self.out.is_dir()):
            raise ConfigError(f"--out {self.out} is no page.", hint="Name a file, such as found.html.")
        network = ("backbone", "weights", "image_size", "resize", "precision", "engine")
        named = [name for name in network if getattr(self, name) != getattr(BackboneSettings, name)]
        if self.run is not None and named:
            flags = " and ".join(spelled(self, name) for name in named)
            raise ConfigError(
                f"--run {self.run} has a network of its own, and {flags} name another.",
                hint="Leave one of them out.",
            )


MOST = 500
"""Images of one answer: a page with more could hardly be opened."""
