"""Other looks of training images that leave their captions true: mirrored, and random views."""

from collections.abc import Sequence
from dataclasses import replace

from showtell.backbones.backbone import Backbone
from showtell.console import Console
from showtell.data.augment import CAPTION_AUGMENTATION, MIRRORED, View
from showtell.data.records import AnnotatedImage
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.store.store import FeatureStore
from showtell.text.words import mentions_left_right


def look_at_mirrored(
    train: Sequence[AnnotatedImage], backbone: Backbone, store: FeatureStore, console: Console
) -> Features:
    """Bring the features of mirrored images into the store, but where that makes a caption wrong."""
    chosen = [image for image in train if not any(map(mentions_left_right, image.captions))]
    sided = len(train) - len(chosen)
    aside = f"; {sided:,} more stay as they are, since a caption says left or right" if sided else ""
    console.say(f"Mirrored: {len(chosen):,} images of train{aside} (hflip = false leaves them out)")
    return extract_features(chosen, backbone, store, view=MIRRORED, console=console)


def look_at_views(
    train: Sequence[AnnotatedImage],
    count: int,
    hflip: bool,
    backbone: Backbone,
    store: FeatureStore,
    console: Console,
) -> list[Features]:
    """Bring the features of random views into the store.

    Args:
        train: The images.
        count: Views of each.
        hflip: Whether views may be mirrored, but where a caption says left or right.
        backbone: The network that looks.
        store: Where features are kept.
        console: Told what is done.

    Returns:
        Each view of some of the images; every image is in ``count`` of them.
    """
    sided = [image for image in train if not hflip or any(map(mentions_left_right, image.captions))]
    kept = {image.name for image in sided}
    free = [image for image in train if image.name not in kept]
    upright = replace(CAPTION_AUGMENTATION, flip=0.0)
    if count:
        console.say(f"Random views: {count} of each of {len(train):,} images, looked at once and kept")
    return [
        extract_features(images, backbone, store, view=View(number, augmentation))
        for number in range(1, count + 1)
        for images, augmentation in ((free, CAPTION_AUGMENTATION), (sided, upright))
        if images
    ]
