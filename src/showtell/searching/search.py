"""Find images by another image or by a text, in a data set or a folder of photos without words."""

import time
from typing import Protocol

from showtell.console import Console, Log
from showtell.data.annotated import report_problems
from showtell.data.images import read_content
from showtell.data.names import shown_name
from showtell.errors import DataError
from showtell.extraction.command import images_of
from showtell.extraction.extract import extract_features
from showtell.extraction.fastest import by_fastest
from showtell.kinds.asked import store_of
from showtell.kinds.model_folder import load
from showtell.searching.by_clip import ByClip
from showtell.searching.by_image import ByImage
from showtell.searching.by_model import ByModel
from showtell.searching.result import Found, Match
from showtell.searching.settings import Search
from showtell.store.store import FeatureStore


class Finder(Protocol):
    """Finds images; made once for a data set, it may be asked often.

    Attributes:
        by: What it compares images by, in words.
        score: What its scores are.
    """

    by: str
    score: str

    def find(self, asked: str, count: int) -> list[Match]:
        """Return the images that fit best, the best first."""
        ...


def search(config: Search, console: Console | None = None) -> Found:
    """Search a data set; images whose features are not in the store are encoded first.

    Args:
        config: What is searched, and for what.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The images that fit best; the page is written where one was asked for.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    finder, images = make_finder(config, console)
    asked = str(config.like or config.text)
    started = time.perf_counter()
    matches = finder.find(asked, config.count)
    found = Found(
        data=shown_name(str(config.data)),
        asked=asked,
        like=config.like,
        by=finder.by,
        score=finder.score,
        images=images,
        matches=tuple(matches),
        seconds=time.perf_counter() - started,
    )
    console.say(found.text)
    if config.out is not None:
        console.say(f"The same with images: {found.write_page(config.out)}")
    return found


def make_finder(config: Search, console: Console) -> tuple[Finder, int]:
    """Load what a search needs; return who searches, and among how many images.

    Raises:
        DataError: There is no image that can be read.
        ConfigError: There is nobody who knows what a text means.
        ImageError: The image that is asked with cannot be read.
    """
    model = None if config.run is None else load(config.run, device=config.device, console=console)
    if config.like is not None:
        read_content(config.like)  # an image that cannot be read is named before others are encoded
    images = images_of(config, console)
    backbone = config.load(console=console) if model is None else model.backbone
    store = FeatureStore(config.store or (store_of(config.run, model) if config.run and model else None))
    by_clip = ByClip.of(backbone, config.weights) if config.like is None and model is None else None
    by = by_fastest(backbone, images, store, console)
    features = extract_features(images, by, store, console=console)
    report_problems(features.unreadable, console)
    readable = [image for image in images if image.name in features.digests]
    if not readable:
        raise DataError(f"None of the {len(images):,} images of {config.data} can be read.")
    if config.like is not None:
        return ByImage(readable, features, backbone), len(readable)
    if by_clip is not None:
        return by_clip.among(readable, features), len(readable)
    assert model is not None
    return ByModel(model, readable, features, store, console), len(readable)
