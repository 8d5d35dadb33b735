"""Other looks of training pictures that leave their captions true: mirrored, and random views."""

from collections.abc import Sequence
from dataclasses import replace

from showtell.backbones.backbone import Backbone
from showtell.console import Console
from showtell.data.augment import CAPTION_AUGMENTATION, MIRRORED, View
from showtell.data.records import Picture
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.store.store import FeatureStore
from showtell.text.words import mentions_left_right


def look_at_mirrored(
    train: Sequence[Picture], backbone: Backbone, store: FeatureStore, console: Console
) -> Features:
    """Bring the features of mirrored pictures into the store, but where that makes a caption wrong."""
    chosen = [picture for picture in train if not any(map(mentions_left_right, picture.captions))]
    sided = len(train) - len(chosen)
    aside = f"; {sided:,} more stay as they are, since a caption says left or right" if sided else ""
    console.say(f"Mirrored: {len(chosen):,} pictures of train{aside} (hflip = false leaves them out)")
    return extract_features(chosen, backbone, store, view=MIRRORED, console=console)


def look_at_views(
    train: Sequence[Picture],
    count: int,
    hflip: bool,
    backbone: Backbone,
    store: FeatureStore,
    console: Console,
) -> list[Features]:
    """Bring the features of random views into the store.

    Args:
        train: The pictures.
        count: Views of each.
        hflip: Whether views may be mirrored, but where a caption says left or right.
        backbone: The network that looks.
        store: Where features are kept.
        console: Told what is done.

    Returns:
        Each view of some of the pictures; every picture is in ``count`` of them.
    """
    sided = [picture for picture in train if not hflip or any(map(mentions_left_right, picture.captions))]
    kept = {picture.name for picture in sided}
    free = [picture for picture in train if picture.name not in kept]
    upright = replace(CAPTION_AUGMENTATION, flip=0.0)
    if count:
        console.say(f"Random views: {count} of each of {len(train):,} pictures, looked at once and kept")
    return [
        extract_features(pictures, backbone, store, view=View(number, augmentation))
        for number in range(1, count + 1)
        for pictures, augmentation in ((free, CAPTION_AUGMENTATION), (sided, upright))
        if pictures
    ]
