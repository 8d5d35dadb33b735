"""What is in a data set, and what is wrong with it, before anything is trained."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from showtell.console import Console, Log
from showtell.data.facts import Facts, read_all
from showtell.data.names import shown_name
from showtell.data.near_duplicates import Likeness
from showtell.data.readers import read_pictures
from showtell.data.records import SPLITS, Dataset, Picture
from showtell.data.scenes import Pixels, feature_likeness, pixel_likeness
from showtell.errors import StoreError
from showtell.inspection.check import Finding, check_classes, check_files, check_kind
from showtell.inspection.check_reading import check_reading
from showtell.inspection.copies import check_copies, check_scenes
from showtell.inspection.page import write_look_page
from showtell.inspection.settings import Look
from showtell.inspection.text import look_text
from showtell.inspection.vocabulary import Vocabulary, check_captions
from showtell.store.store import FeatureSpace, FeatureStore, record_key

_SAMPLES = 24
_MIN_COUNTS = (1, 2, 3, 5, 10)
_LEVELS = ("wrong", "mind", "note")


def look(config: Look, console: Console | None = None) -> dict[str, Any]:
    """Look at a data set: read every picture and every caption, and say what is there and what is wrong.

    Args:
        config: Which data, and where to write the page.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        All that was found, as JSON values; ``findings`` in the order of their weight, each with what, how
        many, where, and what to do.

    Raises:
        ShowtellError: There are no pictures, or the store cannot be read.
    """
    console = console or Log()
    started = time.perf_counter()
    dataset, obstacle = _read(config)
    facts = []
    with console.bar(len(dataset.pictures), "looking", "pictures") as bar:
        for found in read_all(dataset.pictures):
            facts.append(found)
            bar.update(1)
    readable = [found for found in facts if not found.reason]
    likeness = _feature_likeness(config, readable) or pixel_likeness(Pixels.of(readable))
    captions = [caption for _, caption in dataset.captions()]
    vocabulary = Vocabulary.of(captions)
    findings = [
        *obstacle,
        *check_files(facts),
        *check_kind(dataset),
        *check_copies(readable, likeness),
        *check_scenes(readable, likeness),
        *check_classes(dataset),
        *check_captions(dataset.pictures, vocabulary),
        *check_reading(dataset.problems),
    ]
    findings.sort(key=lambda finding: _LEVELS.index(finding.level))
    record = {
        "data": shown_name(str(config.data)),
        "format": dataset.format,
        "notes": list(dataset.notes),
        "pictures": len(facts),
        "readable": len(readable),
        **_pixels(readable),
        "splits": {split: len(dataset.split(split)) for split in SPLITS if dataset.split(split)},
        "classes": _classes(dataset),
        "captions": _captions(captions, vocabulary, config) if captions else None,
        "captions_per_picture": _histogram(Counter(len(picture.captions) for picture in dataset.pictures)),
        "near_duplicates_by": likeness.by,
        "findings": [asdict(finding) for finding in findings],
        "samples": _samples(readable),
    }
    record["seconds"] = round(time.perf_counter() - started, 1)
    paths = {picture.name: picture.path for picture in dataset.pictures}
    record["page"] = str(write_look_page(record, paths, config.out))
    console.say(look_text(record))
    return record


def _read(config: Look) -> tuple[Dataset, list[Finding]]:
    """Read the data; a folder of pictures without words is read too, with why it cannot be trained on.

    Raises:
        DataError: There are no pictures.
    """
    dataset, error = read_pictures(config)
    if error is None:
        return dataset, []
    obstacle = Finding(
        "nothing to learn",
        "wrong",
        1,
        "These pictures can be looked at, but not trained on",
        "Put the pictures of each class into a folder of their own, or write a table of pictures and "
        "captions.",
        tuple(error.what.splitlines()),
    )
    return dataset, [obstacle]


def _feature_likeness(config: Look, readable: Sequence[Facts]) -> Likeness | None:
    """Tell near-duplicates by features, where the store has them of all pictures.

    Raises:
        StoreError: The network was named, and the store lacks its features.
    """
    keys = [record_key(facts.digest) for facts in readable]
    space = _space(config, keys) if keys else None
    if space is None:
        return None
    vectors = space.get_pooled(keys).astype(np.float32)
    by = f"features of {space.description['architecture']}"
    return feature_likeness(vectors, lambda places: Pixels.of([readable[place] for place in places]), by)


def _space(config: Look, keys: Sequence[bytes]) -> FeatureSpace | None:
    store = FeatureStore(config.store)
    for info in store.spaces():  # the last used first
        if info.problem is None and config.backbone in (None, info.description.get("architecture")):
            space = store.space(info.description)
            if not space.missing(keys):
                return space
    if config.backbone is None:
        return None
    raise StoreError(
        f"The store {store.root} does not hold the features of all pictures by {config.backbone}.",
        would_do="Extract them first, or leave --backbone out.",
        run=f"showtell extract {config.data} --backbone {config.backbone}",
    )


def _pixels(readable: Sequence[Facts]) -> dict[str, Any]:
    sizes = Counter(f"{facts.width}x{facts.height}" for facts in readable)
    aspects = [facts.width / facts.height for facts in readable]
    return {
        "bytes": sum(facts.length for facts in readable),
        "formats": _counted(facts.format for facts in readable),
        "modes": _counted(facts.mode for facts in readable),
        "rotations": _counted(str(facts.orientation) for facts in readable if facts.orientation != 1),
        "width": _spread([facts.width for facts in readable]),
        "height": _spread([facts.height for facts in readable]),
        "aspect": {name: round(value, 3) for name, value in _spread(aspects).items()},
        "shapes": {
            "landscape": sum(aspect > 1 for aspect in aspects),
            "square": sum(aspect == 1 for aspect in aspects),
            "portrait": sum(aspect < 1 for aspect in aspects),
        },
        "sizes": dict(sizes.most_common(5)),
    }


def _counted(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _classes(dataset: Dataset) -> list[dict[str, Any]]:
    """Return each class with its pictures, in all and by split, the largest first."""
    counts = Counter(picture.label for picture in dataset.pictures)
    by_split = Counter((picture.label, picture.split) for picture in dataset.pictures)
    classes = [
        {"name": name, "count": counts[name]} | {split: by_split[name, split] for split in SPLITS}
        for name in dataset.classes
    ]
    return sorted(classes, key=lambda entry: -entry["count"])


def _captions(captions: Sequence[str], vocabulary: Vocabulary, config: Look) -> dict[str, Any]:
    steps = [
        (count, *vocabulary.known(min_count=count, vocab_size=config.vocab_size)) for count in _MIN_COUNTS
    ]
    return {
        "count": len(captions),
        "words_per_caption": _histogram(vocabulary.lengths),
        "words": vocabulary.counts.total(),
        "distinct_words": len(vocabulary.counts),
        "vocab_size": config.vocab_size,
        "coverage": [{"min_count": n, "words": words, "share": share} for n, words, share in steps],
        "frequent": vocabulary.frequent(20),
        "rare": vocabulary.rare(20),
        "seen_once": sum(count == 1 for count in vocabulary.counts.values()),
    }


def _histogram(counts: Counter[int]) -> dict[str, Any]:
    values = list(counts.elements())
    return {**_spread(values), "counts": {str(value): counts[value] for value in sorted(counts)}}


def _samples(readable: Sequence[Facts]) -> list[dict[str, Any]]:
    """Return pictures from everywhere in the data, with their words; of classes one after another."""
    by_label: dict[str | None, list[Picture]] = {}
    for facts in readable:
        by_label.setdefault(facts.picture.label, []).append(facts.picture)
    share = -(-_SAMPLES // max(1, len(by_label)))
    chosen = [
        pictures[place * len(pictures) // min(share, len(pictures))]
        for pictures in by_label.values()
        for place in range(min(share, len(pictures)))
    ]
    count = min(_SAMPLES, len(chosen))
    chosen = [chosen[place * len(chosen) // count] for place in range(count)]
    return [
        {"name": picture.name, "label": picture.label, "captions": picture.captions} for picture in chosen
    ]
