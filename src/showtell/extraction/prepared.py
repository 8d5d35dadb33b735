"""What every training begins with: the features of a data set, and its images split."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from showtell.backbones.backbone import Backbone
from showtell.console import Console
from showtell.data.annotated import report_problems
from showtell.data.groups import Groups, find_groups, similarity_of
from showtell.data.near_duplicates import leaking_pairs
from showtell.data.records import SPLITS, AnnotatedImage, Dataset, Problem, Split
from showtell.data.sizes import DEFAULT_SIZE
from showtell.data.split import assign_splits, check_room, lacks_val, say_sizes
from showtell.errors import DataError
from showtell.extraction.executor import Executor
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.store.store import FeatureStore


@dataclass(frozen=True)
class Prepared:
    """A data set that can be trained on.

    Attributes:
        dataset: As read, problems of reading and of encoding included.
        images: Readable images, each with its split.
        features: Where their features are.
        groups: What belongs together: near-duplicates, bursts, and the groups of the data.
        fingerprint: SHA-256 over names, contents, words and splits.
        brought: Whether the data brought all splits itself, validation among them.
    """

    dataset: Dataset
    images: tuple[AnnotatedImage, ...]
    features: Features
    groups: Groups
    fingerprint: str
    brought: bool = False

    def split(self, name: str) -> tuple[AnnotatedImage, ...]:
        """Return the images of a split, in order."""
        return tuple(image for image in self.images if image.split == name)


def prepare(
    dataset: Dataset,
    backbone: Backbone,
    store: FeatureStore,
    console: Console,
    *,
    seed: int,
    splits: Mapping[str, str] | None = None,
    groups: Mapping[str, int] | None = None,
    val_size: float = DEFAULT_SIZE,
    test_size: float = DEFAULT_SIZE,
    executor: Executor | None = None,
) -> Prepared:
    """Encode all images, find which belong together, and split them.

    To find what belongs together takes time with the square of the images; it is done where it counts: to
    split them, and to score classes.

    Args:
        dataset: As read.
        backbone: The network that encodes.
        store: Where features are kept.
        console: Told the progress.
        seed: Of the split, where the data brings none.
        splits: Splits of an earlier run by image name, which come first.
        groups: Groups of an earlier run by image name, of those that do not stand alone.
        val_size: Share or count of validation images, where the data brings none.
        test_size: The same of test images.
        executor: Who encodes; None for threads of this process.

    Raises:
        ConfigError: Sizes are asked for that the data's own splits leave no room for.
        DataError: No image can be read.
    """
    if splits is None:
        check_room(dataset, val_size, test_size)
    features = extract_features(dataset.images, backbone, store, console=console, executor=executor)
    readable, left_out = _usable(dataset, features, console)
    brought = all(image.split for image in dataset.images) and not lacks_val(dataset.images)
    if groups is None and (dataset.classes or (splits is None and not brought)):
        vectors = features.pooled(readable).astype(np.float32)
        by = f"features of {features.architecture}"
        found = find_groups(readable, features.digests, similarity_of(readable, vectors, by))
    else:
        found = Groups.recorded(readable, groups or {})
    if sentence := found.sentence():
        console.say(f"Groups: {sentence}")
    if splits is not None:
        images = tuple(replace(image, split=_as_split(splits.get(image.name))) for image in readable)
    else:
        images = assign_splits(
            readable,
            features.digests,
            groups=found.members(),
            sizes=(val_size, test_size),
            seed=seed,
        )
        say_sizes(images, found, dataset, test_size, console)
    complete = replace(dataset, images=images, problems=(*dataset.problems, *left_out))
    fingerprint = _fingerprint(images, features)
    return Prepared(complete, images, features, found, fingerprint, brought)


def _usable(
    dataset: Dataset, features: Features, console: Console
) -> tuple[tuple[AnnotatedImage, ...], list[Problem]]:
    """Return the images that can be used, and why the others are left out, which is said.

    Raises:
        DataError: None can be used.
    """
    report_problems(features.unreadable, console)
    readable = tuple(image for image in dataset.images if image.name in features.digests)
    contradicted = _two_labels(readable, features)
    report_problems(contradicted, console)
    names = {problem.where for problem in contradicted}
    usable = tuple(image for image in readable if image.name not in names)
    if not usable:
        raise DataError(f"None of the {len(dataset.images)} images can be used.")
    return usable, [*features.unreadable, *contradicted]


def _two_labels(images: Sequence[AnnotatedImage], features: Features) -> list[Problem]:
    """Find copies of one photo under different labels: neither label can be trusted."""
    copies: defaultdict[bytes, list[AnnotatedImage]] = defaultdict(list)
    for image in images:
        if image.label is not None:
            copies[features.digests[image.name]].append(image)
    problems = []
    for same in copies.values():
        for image in same:
            other = next((other for other in same if other.label != image.label), None)
            if other is not None:
                detail = f"{image.label!r} here, and {other.label!r} as {other.name}; left out"
                problems.append(Problem("one photo, two labels", image.name, detail))
    return problems


def _as_split(name: str | None) -> Split | None:
    return next((split for split in SPLITS if split == name), None)


def _fingerprint(images: Sequence[AnnotatedImage], features: Features) -> str:
    digest = hashlib.sha256()
    for image in sorted(images, key=lambda image: image.name):
        words = [image.name, features.digests[image.name].hex(), image.captions, image.label]
        digest.update(json.dumps([*words, image.split], ensure_ascii=False).encode())
    return digest.hexdigest()


def features_for_inference(
    prepared: Prepared,
    backbone: Backbone,
    images: Sequence[AnnotatedImage],
    store: FeatureStore,
    console: Console,
    executor: Executor | None = None,
) -> tuple[Backbone, Features]:
    """Return what a trained model will encode with, and its features of some of the images."""
    used = backbone.for_inference()
    if all(part.is_faithful for part in backbone.parts):
        return used, prepared.features
    return used, extract_features(images, used, store, console=console, executor=executor)


def find_leaks(prepared: Prepared) -> dict[str, str]:
    """Find images outside of train that are near-duplicates of a training image.

    Returns:
        The most similar training image by name; empty where the split was ours and kept them together.
    """
    images, groups = prepared.images, prepared.groups
    twins: dict[str, str] = {}
    if len({(groups.of[image.name], image.split) for image in images}) == groups.count:
        return twins
    vectors = prepared.features.pooled(images).astype(np.float32)
    similarity = similarity_of(images, vectors, groups.by)
    # The most alike come first.
    for leak in leaking_pairs(images, similarity.vectors, threshold=similarity.threshold):
        if leak.splits[0] == "train":
            twins.setdefault(leak.second, leak.first)
    return twins
