"""What a captioner learns from: captions, and the grids of images, plain, mirrored and in random views."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.console import Console, human_bytes, part_of
from showtell.data.augment import CAPTION_AUGMENTATION, MIRRORED, Change, View
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError
from showtell.extraction.executor import Executor
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.extraction.prepared import Prepared
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.models.captioner import Captioner
from showtell.store.store import FeatureStore
from showtell.text.lengths import USUAL_LENGTH
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.view_words import FORBIDS, forbidden_changes
from showtell.text.words import words


@dataclass(frozen=True)
class CaptionData:
    """Images with captions, and where their grids are.

    Attributes:
        features: Of all images, plain.
        train: Training images with captions.
        validation: Images that score an epoch.
        mirrored: Grids of mirrored training images, for those that have one: half of the time they are
            learnt from instead of the plain ones.
        views: Grids of random views, each of some training images. Each of its views is learnt from as often
            as the plain image.

    Raises:
        DataError: One of the splits is empty.
    """

    features: Features
    train: Sequence[AnnotatedImage]
    validation: Sequence[AnnotatedImage]
    mirrored: Features | None = None
    views: Sequence[Features] = ()

    def __post_init__(self) -> None:
        """Check that there is something to learn from and to choose by."""
        if not self.train or not self.validation:
            raise DataError(
                f"There are {len(self.train)} images to train on and {len(self.validation)} to validate on.",
                hint="Both splits need images with captions.",
            )

    def sources(self, chosen: Sequence[int], epoch: int, seed: int) -> list[Features]:
        """Return where the grids of training images are read from in an epoch: plain, mirrored or a view."""
        sources = [self.features] * len(chosen)
        if self.mirrored is not None:
            turned = _drawn(seed, epoch, 1, len(self.train)) < 0.5
            for row, i in enumerate(chosen):
                if turned[i] and self.train[i].name in self.mirrored.digests:
                    sources[row] = self.mirrored
        if self.views:
            drawn = _drawn(seed, epoch, 2, len(self.train))
            for row, i in enumerate(chosen):
                own = [view for view in self.views if self.train[i].name in view.digests]
                number = int(drawn[i] * (len(own) + 1))
                sources[row] = own[number - 1] if number else sources[row]
        return sources

    def read(self, chosen: Sequence[int], epoch: int, seed: int) -> Tensor:
        """Read the grids of training images as they are learnt from in an epoch: (B, L, D)."""
        sources = self.sources(chosen, epoch, seed)
        rows: defaultdict[int, list[int]] = defaultdict(list)
        for row, source in enumerate(sources):
            rows[id(source)].append(row)
        parts = [sources[own[0]].grid([self.train[chosen[row]] for row in own]) for own in rows.values()]
        if len(parts) == 1:
            return torch.from_numpy(parts[0])
        grid = np.empty((len(chosen), *parts[0].shape[1:]), parts[0].dtype)
        for own, part in zip(rows.values(), parts):
            grid[own] = part
        return torch.from_numpy(grid)


@lru_cache(4)
def _drawn(seed: int, epoch: int, what: int, count: int) -> npt.NDArray[np.float64]:
    """Draw a number in [0, 1) for each training image; kept, since every step of an epoch asks."""
    return np.random.default_rng((seed, epoch, what)).random(count)


def read_grids(captioner: Captioner, features: Features, images: Sequence[AnnotatedImage]) -> Tensor:
    """Read cached grids (B, L, D) to where the captioner is."""
    return torch.from_numpy(features.grid(images)).to(next(captioner.parameters()).device)


def captioned(prepared: Prepared, split: str) -> tuple[AnnotatedImage, ...]:
    """Return the images of a split that have captions.

    Raises:
        DataError: There are none.
    """
    images = tuple(image for image in prepared.split(split) if image.captions)
    if not images:
        raise DataError(
            f"No image of the {split} split has a caption ({len(prepared.images)} images in all).",
            hint="Both train and val need some; about 100 captioned images are a beginning.",
        )
    return images


def with_views(
    data: CaptionData,
    settings: TrainCaptioner,
    backbone: Backbone,
    store: FeatureStore,
    console: Console,
) -> CaptionData:
    """Add the grids of mirrored images and of random views, as far as the settings ask for them."""
    executor = settings.build_executor()
    mirrored = extract_mirrored(data.train, backbone, store, console, executor) if settings.hflip else None
    views = extract_views(data.train, settings, backbone, store, console)
    return replace(data, mirrored=mirrored, views=views)


def extract_mirrored(
    train: Sequence[AnnotatedImage],
    backbone: Backbone,
    store: FeatureStore,
    console: Console,
    executor: Executor,
) -> Features:
    """Bring the features of mirrored images into the store, but where that makes a caption wrong."""
    chosen = [image for image in train if "flip" not in forbidden_changes(image.captions)]
    sided = len(train) - len(chosen)
    aside = f"; {sided:,} more stay as they are, since a caption says left or right" if sided else ""
    console.say(f"Mirrored: {len(chosen):,} images of train{aside} (hflip = false leaves them out)")
    return extract_features(chosen, backbone, store, view=MIRRORED, console=console, executor=executor)


def extract_views(
    train: Sequence[AnnotatedImage],
    settings: TrainCaptioner,
    backbone: Backbone,
    store: FeatureStore,
    console: Console,
) -> list[Features]:
    """Bring the features of random views into the store.

    Args:
        train: The images.
        settings: How many views of each (``augmentations``), and whether they may be mirrored (``hflip``).
        backbone: The network that encodes.
        store: Where features are kept.
        console: Told what is done.

    Returns:
        Each view of some of the images, without what would make a caption wrong. Every image is in as many as
        are asked for, but for those of which nothing may be changed.
    """
    count = settings.augmentations or 0
    if not count:
        return []
    always: set[Change] = set() if settings.hflip else {"flip"}
    alike: defaultdict[frozenset[Change], list[AnnotatedImage]] = defaultdict(list)
    for image in train:
        alike[forbidden_changes(image.captions) | always].append(image)
    views = [
        (number, left, alike[left])
        for number in range(1, count + 1)
        for left in sorted(alike, key=sorted)
        if len(left) < len(FORBIDS)
    ]
    total = sum(len(images) for *_, images in views)
    record_bytes = sum(store.space(one.description.for_store()).record_bytes for one in backbone.parts)
    _say_views(count, alike, total * record_bytes, console)
    executor, found = settings.build_executor(), []
    with console.bar(total * len(backbone.parts), "encoding views", "images") as bar:
        for number, left, images in views:
            view = View(number, CAPTION_AUGMENTATION.without(left))
            with part_of(bar, len(images) * len(backbone.parts)) as part:
                found.append(
                    extract_features(images, backbone, store, view=view, console=part, executor=executor)
                )
    return found


def _say_views(
    count: int, alike: Mapping[frozenset[Change], Sequence[AnnotatedImage]], size: float, console: Console
) -> None:
    """Say how many views there are of how many images, how much room they take, and what was left out."""
    done = {"flip": "mirrored", "crop": "cropped", "light": "made lighter or darker"}
    numbers = {one: sum(len(images) for left, images in alike.items() if one in left) for one in done}
    apart = ", ".join(f"{number:,} not {done[one]}" for one, number in numbers.items() if number)
    said = f"; {apart}, since a caption would be wrong" if apart else ""
    total = sum(map(len, alike.values()))
    kept = f"encoded once and kept in {human_bytes(size)}"
    console.say(f"Random views: {count} of each of {total:,} images, {kept}{said}")


def train_tokenizer(
    train: Sequence[AnnotatedImage],
    console: Console,
    *,
    kind: Literal["word", "bpe"],
    vocab_size: int,
    min_count: int | None,
    known: CaptionTokenizer | None = None,
    corrected: Sequence[str] = (),
) -> CaptionTokenizer:
    """Learn the vocabulary of the training captions, and say how much of them it covers.

    Args:
        train: Training images.
        console: Told how many words there are.
        kind: Of the tokenizer.
        vocab_size: Most tokens of a new vocabulary.
        min_count: Occurrences from which a word is learnt; None for what the captions call for.
        known: A vocabulary that is to grow by the words it lacks; None for a new one.
        corrected: Captions of which every word is learnt.
    """
    captions = [caption for image in train for caption in image.captions]
    min_count = min_count or (5 if len(captions) >= 20_000 else 2 if len(captions) >= 2_000 else 1)
    if known is None:
        tokenizer = CaptionTokenizer.train(captions, kind=kind, vocab_size=vocab_size, min_count=min_count)
    else:
        counts = Counter(word for caption in captions for word in words(caption))
        frequent = (word for word, count in counts.items() if count >= min_count)
        tokenizer = known.grown([*frequent, *corrected])
    new = "" if known is None else f", {tokenizer.vocab_size - known.vocab_size:,} of them new"
    pieces = "words" if kind == "word" else "pieces of words"
    console.say(
        f"Vocabulary: {tokenizer.vocab_size:,} {pieces}{new} (seen {min_count} times or more), which "
        f"cover {tokenizer.coverage(captions):.1%} of the training captions"
    )
    return tokenizer


def caption_lengths(tokenizer: CaptionTokenizer, train: Sequence[AnnotatedImage]) -> list[int]:
    """Return the tokens of each training caption."""
    return [len(tokenizer.encode(caption)) for image in train for caption in image.captions]


def say_lengths(lengths: Sequence[int], most: int, console: Console) -> None:
    """Say up to where captions are learnt, where some are longer than usual or are cut.

    Args:
        lengths: Tokens of each training caption.
        most: Tokens of a caption that are learnt.
        console: Told so.
    """
    cut = sum(length > most for length in lengths)
    if cut:
        console.say(
            f"Captions: {cut:,} of {len(lengths):,} are longer than {most} tokens (longest: {max(lengths)}) "
            "and are learnt up to there; max_length sets the limit"
        )
    elif most > USUAL_LENGTH:
        console.say(f"Captions: up to {max(lengths)} tokens long; the model writes up to {most} (max_length)")
