"""What every training begins with: the features of a data set, and its images split."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from showtell.backbones.backbone import Backbone
from showtell.console import Console
from showtell.data.groups import Groups, find_groups, similarity_of
from showtell.data.near_duplicates import leaking_pairs
from showtell.data.reading import report_problems
from showtell.data.records import SPLITS, Dataset, Picture, Problem, Split
from showtell.data.sizes import DEFAULT_SIZE
from showtell.data.split import assign_splits, check_room, lacks_val, say_sizes
from showtell.errors import DataError
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.store.store import FeatureStore


@dataclass(frozen=True)
class Prepared:
    """A data set that can be trained on.

    Attributes:
        dataset: As read, problems of reading and of encoding included.
        pictures: Readable pictures, each with its split.
        extraction: Where their features are.
        groups: What belongs together: near-duplicates, bursts, and the groups of the data.
        fingerprint: SHA-256 over names, contents, words and splits.
        brought: Whether the data brought all splits itself, validation among them.
    """

    dataset: Dataset
    pictures: tuple[Picture, ...]
    extraction: Features
    groups: Groups
    fingerprint: str
    brought: bool = False

    def split(self, name: str) -> tuple[Picture, ...]:
        """Return the pictures of a split, in order."""
        return tuple(picture for picture in self.pictures if picture.split == name)


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
) -> Prepared:
    """Encode all pictures, find which belong together, and split them.

    To find what belongs together takes time with the square of the pictures; it is done where it counts: to
    split them, and to score classes.

    Args:
        dataset: As read.
        backbone: The network that encodes.
        store: Where features are kept.
        console: Told the progress.
        seed: Of the split, where the data brings none.
        splits: Splits of an earlier run by picture name, which come first.
        groups: Groups of an earlier run by picture name, of those that do not stand alone.
        val_size: Share or count of validation pictures, where the data brings none.
        test_size: The same of test pictures.

    Raises:
        ConfigError: Sizes are asked for that the data's own splits leave no room for.
        DataError: No picture can be read.
    """
    if splits is None:
        check_room(dataset, val_size, test_size)
    extraction = extract_features(dataset.pictures, backbone, store, console=console)
    report_problems(extraction.unreadable, console)
    readable = tuple(picture for picture in dataset.pictures if picture.name in extraction.digests)
    contradicted = _two_labels(readable, extraction)
    report_problems(contradicted, console)
    left_out = {problem.where for problem in contradicted}
    readable = tuple(picture for picture in readable if picture.name not in left_out)
    if not readable:
        raise DataError(f"None of the {len(dataset.pictures)} pictures can be used.")
    brought = all(picture.split for picture in dataset.pictures) and not lacks_val(dataset.pictures)
    if groups is None and (dataset.classes or (splits is None and not brought)):
        vectors = extraction.pooled(readable).astype(np.float32)
        architecture = f"features of {extraction.space.description['architecture']}"
        found = find_groups(readable, extraction.digests, similarity_of(readable, vectors, architecture))
    else:
        found = Groups.recorded(readable, groups or {})
    if sentence := found.sentence():
        console.say(f"Groups: {sentence}")
    if splits is not None:
        pictures = tuple(replace(picture, split=_as_split(splits.get(picture.name))) for picture in readable)
    else:
        pictures = assign_splits(
            readable,
            extraction.digests,
            groups=found.members(),
            val_size=val_size,
            test_size=test_size,
            seed=seed,
        )
        say_sizes(pictures, found, dataset, test_size, console)
    problems = (*dataset.problems, *extraction.unreadable, *contradicted)
    complete = replace(dataset, pictures=pictures, problems=problems)
    fingerprint = _fingerprint(pictures, extraction)
    return Prepared(complete, pictures, extraction, found, fingerprint, brought)


def _two_labels(pictures: Sequence[Picture], extraction: Features) -> list[Problem]:
    """Find copies of one photo under different labels: neither label can be trusted."""
    copies: defaultdict[bytes, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.label is not None:
            copies[extraction.digests[picture.name]].append(picture)
    problems = []
    for same in copies.values():
        for picture in same:
            other = next((other for other in same if other.label != picture.label), None)
            if other is not None:
                detail = f"{picture.label!r} here, and {other.label!r} as {other.name}; left out"
                problems.append(Problem("one photo, two labels", picture.name, detail))
    return problems


def _as_split(name: str | None) -> Split | None:
    return next((split for split in SPLITS if split == name), None)


def _fingerprint(pictures: Sequence[Picture], extraction: Features) -> str:
    digest = hashlib.sha256()
    for picture in sorted(pictures, key=lambda picture: picture.name):
        words = [picture.name, extraction.digests[picture.name].hex(), picture.captions, picture.label]
        digest.update(json.dumps([*words, picture.split], ensure_ascii=False).encode())
    return digest.hexdigest()


def features_for_inference(
    prepared: Prepared,
    backbone: Backbone,
    pictures: Sequence[Picture],
    store: FeatureStore,
    console: Console,
) -> tuple[Backbone, Features]:
    """Return what a trained model will encode with, and its features of some of the pictures."""
    used = backbone.for_inference()
    if used is backbone:
        return backbone, prepared.extraction
    return used, extract_features(pictures, used, store, console=console)


def find_twins(prepared: Prepared) -> dict[str, str]:
    """Find pictures outside of train that are near-duplicates of a training picture.

    Returns:
        The most similar training picture by name; empty where the split was ours and kept them together.
    """
    pictures, groups = prepared.pictures, prepared.groups
    twins: dict[str, str] = {}
    if len({(groups.of[picture.name], picture.split) for picture in pictures}) == groups.count:
        return twins
    vectors = prepared.extraction.pooled(pictures).astype(np.float32)
    similarity = similarity_of(pictures, vectors, groups.by)
    # The most alike come first.
    for leak in leaking_pairs(pictures, similarity.vectors, threshold=similarity.threshold):
        if leak.splits[0] == "train":
            twins.setdefault(leak.second, leak.first)
    return twins
