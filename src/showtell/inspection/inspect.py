"""What is in a data set, and what is wrong with it, before anything is trained."""

import shlex
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from showtell.console import Console, Log
from showtell.data.image_info import ImageInfo, read_image_infos
from showtell.data.names import shown_name
from showtell.data.near_duplicates import Similarity
from showtell.data.readers import read_images
from showtell.data.records import SPLITS, Dataset
from showtell.data.scenes import Pixels, feature_similarity, pixel_similarity
from showtell.errors import StoreError
from showtell.inspection.check import (
    LEVELS,
    Finding,
    check_classes,
    check_files,
    check_kind,
    check_reading,
)
from showtell.inspection.duplicates import check_duplicates, check_scenes
from showtell.inspection.image_map import Floats, map_of
from showtell.inspection.page import inspection_text, write_inspection_page
from showtell.inspection.result import Captions, ClassCount, Example, Files, Inspection
from showtell.inspection.settings import Inspect
from showtell.inspection.word_counts import WordCounts, check_captions
from showtell.store.store import FeatureSpace, FeatureStore, record_key

_EXAMPLES = 24


def inspect(config: Inspect, console: Console | None = None) -> Inspection:
    """Inspect a data set: read every image and every caption, and say what is there and what is wrong.

    Args:
        config: Which data, and where to write the page.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        All that was found, with what to do about it; the page is written.

    Raises:
        ShowtellError: There are no images, or the store cannot be read.
    """
    console = console or Log()
    started = time.perf_counter()
    dataset, obstacle = _read(config)
    infos = []
    with console.bar(len(dataset.images), "inspecting", "images") as bar:
        for info in read_image_infos(dataset.images):
            infos.append(info)
            bar.update(1)
    readable = [info for info in infos if not info.reason]
    by, vectors = _features(config, readable)
    similarity = _similarity(readable, by, vectors)
    shown = [info.image for info in readable]
    drawn = None if vectors is None else map_of(shown, vectors, by, config.map)
    words = WordCounts.of(caption for _, caption in dataset.captions())
    per_image = Counter(len(image.captions) for image in dataset.images)
    findings = [
        *obstacle,
        *check_files(infos),
        *check_kind(dataset),
        *check_duplicates(readable, similarity),
        *check_scenes(readable, similarity),
        *check_classes(dataset),
        *check_captions(dataset.images, words),
        *check_reading(dataset.problems),
    ]
    found = Inspection(
        data=shown_name(str(config.data)),
        format=dataset.format,
        notes=dataset.notes,
        images=len(infos),
        files=Files.of(readable),
        splits={split: len(dataset.split(split)) for split in SPLITS if dataset.split(split)},
        classes=_classes(dataset),
        captions=Captions.of(words, per_image, config.vocab_size) if words.lengths else None,
        near_duplicates_by=similarity.by,
        map=drawn.by if drawn else "",
        findings=tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level))),
        examples=_examples(readable),
        page=str(config.out),
        seconds=0.0,
    )
    found = replace(found, seconds=round(time.perf_counter() - started, 1))
    write_inspection_page(found, {image.name: image.path for image in dataset.images}, drawn, console)
    console.say(inspection_text(found))
    return found


_WITHOUT_WORDS = (
    "Put the images of each class into a folder of their own, or write a table of images and captions."
)


def _read(config: Inspect) -> tuple[Dataset, list[Finding]]:
    """Read the data; a folder of images without words is read too, with why it cannot be trained on.

    Raises:
        DataError: There are no images.
    """
    dataset, error = read_images(config)
    if error is None:
        return dataset, []
    obstacle = Finding(
        "nothing to learn",
        "error",
        1,
        "These images can be inspected, but not trained on",
        # A hint of several lines lists the forms that data may have: nothing here is one of them.
        error.hint if error.hint and "\n" not in error.hint else _WITHOUT_WORDS,
        tuple(error.what.splitlines()),
    )
    return dataset, [obstacle]


def _features(config: Inspect, readable: Sequence[ImageInfo]) -> tuple[str, Floats | None]:
    """Read the features of all images where the store has them; say in words what they are.

    Raises:
        StoreError: The network was named, and the store lacks its features.
    """
    keys = [record_key(info.digest) for info in readable]
    space = _space(config, keys) if keys else None
    if space is None:
        return "", None
    return f"features of {space.description['architecture']}", space.get_pooled(keys).astype(np.float32)


def _similarity(readable: Sequence[ImageInfo], by: str, vectors: Floats | None) -> Similarity:
    """Tell near-duplicates by features, or by pixels where there are none."""
    if vectors is None:
        return pixel_similarity(Pixels.of(readable))
    return feature_similarity(vectors, lambda places: Pixels.of([readable[place] for place in places]), by)


def _space(config: Inspect, keys: Sequence[bytes]) -> FeatureSpace | None:
    store = FeatureStore(config.store)
    for info in store.spaces():  # the last used first
        if info.problem is None and config.backbone in (None, info.description.get("architecture")):
            space = store.space(info.description)
            if not space.missing(keys):
                return space
    if config.backbone is None:
        return None
    raise StoreError(
        f"The store {store.root} does not hold the features of all images by {config.backbone}.",
        hint="Extract them first, or leave --backbone out.",
        run=f"showtell extract {shlex.quote(str(config.data))} --backbone {config.backbone}",
    )


def _classes(dataset: Dataset) -> tuple[ClassCount, ...]:
    """Return each class with its images, in all and by split, the largest first."""
    counts = Counter(image.label for image in dataset.images)
    by_split = Counter((image.label, image.split) for image in dataset.images)
    classes = [
        ClassCount(name, counts[name], *(by_split[name, split] for split in SPLITS))
        for name in dataset.classes
    ]
    return tuple(sorted(classes, key=lambda one: -one.count))


def _examples(readable: Sequence[ImageInfo]) -> tuple[Example, ...]:
    """Return images from everywhere in the data, with their words; of classes one after another."""
    by_label: dict[str | None, list[Example]] = {}
    for info in readable:
        image = info.image
        example = Example(image.name, image.label, image.captions)
        by_label.setdefault(image.label, []).append(example)
    each = -(-_EXAMPLES // max(1, len(by_label)))
    chosen = [example for examples in by_label.values() for example in _evenly(examples, each)]
    return tuple(_evenly(chosen, _EXAMPLES))


def _evenly(examples: Sequence[Example], limit: int) -> list[Example]:
    count = min(limit, len(examples))
    return [examples[place * len(examples) // count] for place in range(count)]
