"""What training will make of images and captions: random views, normalisations, tokens."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from showtell.console import Console, Log
from showtell.data.augment import Augmentation, View
from showtell.data.images import Preprocessing, load_pixels, open_image
from showtell.data.names import nfc
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError, ImageError
from showtell.extraction.command import images_of
from showtell.kinds.captioner.data import train_tokenizer
from showtell.previews import augment as views
from showtell.previews import normalize as normal
from showtell.previews import tokens
from showtell.previews.selection import (
    Photo,
    named,
    of_training,
    part_for_words,
    readable,
    shuffled,
    with_unknown,
)
from showtell.previews.settings import Preview, PreviewAugment, PreviewNormalize, PreviewTokens
from showtell.report.figures import check_figure_path
from showtell.store.store import content_digest
from showtell.text.tokenizer import CaptionTokenizer

_TOKENS = 60
"""Most tokens of a caption that are drawn."""


def preview(config: Preview, console: Console | None = None) -> Path:
    """Draw what the config asks for; see :func:`preview_augment` and the others."""
    what = config.what
    if isinstance(what, PreviewAugment):
        return preview_augment(what, console)
    return (
        preview_normalize(what, console)
        if isinstance(what, PreviewNormalize)
        else preview_tokens(what, console)
    )


def preview_augment(config: PreviewAugment, console: Console | None = None) -> Path:
    """Draw photos beside their random views, those that a classifier would learn from.

    Args:
        config: Which photos, and how many views.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The file that was written.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    check_figure_path(config.out)
    images = images_of(config, console)
    preprocessing, _ = config.preprocessing()
    limits = Augmentation()
    chosen = (
        named(images, config.show)
        if config.show
        else readable(shuffled(of_training(images), config.seed), config.count, console)
    )
    rows = []
    for image, content in chosen:
        plain, digest = load_pixels(content, preprocessing), content_digest(content)
        seen = [View(number, limits) for number in range(1, config.augmentations + 1)]
        made = tuple((view.apply(plain, digest), view.changes(digest, *plain.shape[-2:])) for view in seen)
        rows.append(views.Row(image.name, _note(image, content), plain, made))
    return _written(views.draw_views(rows, limits, config.out), console)


def preview_normalize(config: PreviewNormalize, console: Console | None = None) -> Path:
    """Draw a photo under five normalisations, and mark the one that the backbone expects.

    Args:
        config: Which photo, and which backbone.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The file that was written.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    check_figure_path(config.out)
    images = images_of(config, console)
    training = of_training(images)
    preprocessing, backbone = config.preprocessing()
    ((image, content),) = (
        readable(shuffled(training, config.seed), 1, console)
        if config.image is None
        else named(images, (config.image,))
    )
    pixels = load_pixels(content, preprocessing).permute(1, 2, 0).numpy()
    mean, std, count = _data_statistics(training, preprocessing, config, console)
    imagenet = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    usual = normal.normalisations(pixels, mean, std, count, imagenet)
    choices, expected = normal.with_expected(usual, preprocessing.mean, preprocessing.std)
    console.say(f"{backbone} expects: {choices[expected].name}, {choices[expected].how}")
    out = normal.draw_normalisations((image.name, pixels), choices, (expected, backbone), config.out)
    return _written(out, console)


def preview_tokens(config: PreviewTokens, console: Console | None = None) -> Path:
    """Show captions as tokens and ids, in the terminal and as an image.

    Args:
        config: Which captions, and the settings of the tokenizer.
        console: Where to write them; None for the log of ``showtell``.

    Returns:
        The file that was written.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    check_figure_path(config.out)
    images = tuple(image for image in images_of(config, console) if image.captions)
    if not images:
        raise DataError(
            f"{config.data} has images but no captions, so there are no tokens to show.",
            hint="Expected a table with an image and a caption in each row; "
            "showtell preview augment and normalize take any images.",
        )
    learn, unseen, how = part_for_words(images, config.count, config.seed)
    tokenizer = train_tokenizer(
        learn, console, kind=config.tokenizer, vocab_size=config.vocab_size, min_count=config.min_count
    )
    if config.show:
        chosen = named(images, config.show)
    else:
        chosen = readable(with_unknown(unseen, config.count, tokenizer), config.count, console)
    rows = _rows(chosen, tokenizer)
    for line in tokens.token_lines(rows, shutil.get_terminal_size().columns, colour=_takes_colour()):
        console.say(line)
    console.say()
    captions = [caption for image in learn for caption in image.captions]
    source = f"learnt from {len(captions):,} captions of {how}"
    if tokenizer.kind == "word":
        note = (
            f"A vocabulary of {tokenizer.vocab_size:,} words, {source}, knows "
            f"{tokenizer.coverage(captions):.1%} of their words. Signs and capitals drop out."
        )
    else:
        note = f"A vocabulary of {tokenizer.vocab_size:,} pieces of words, {source}; no word is ever unknown."
    return _written(tokens.draw_tokens(rows, note, config.out), console)


def _rows(photos: Sequence[Photo], tokenizer: CaptionTokenizer) -> list[tokens.Row]:
    """Return a batch of the photos' first captions, the longest first as in training."""
    framed = [(photo, tokens.tokens_of(tokenizer, photo.image.captions[0], _TOKENS)) for photo in photos]
    framed.sort(key=lambda pair: -len(pair[1]))
    padded = tokens.pad([row for _, row in framed], tokenizer.pad_id)
    return [
        tokens.Row(image.name, open_image(content), image.captions[0], row)
        for ((image, content), _), row in zip(framed, padded)
    ]


def _data_statistics(
    images: Sequence[AnnotatedImage], preprocessing: Preprocessing, config: PreviewNormalize, console: Console
) -> tuple[list[float], list[float], int]:
    """Return mean and standard deviation per channel, of pixels in [0, 1], and of how many images.

    Raises:
        DataError: None of the sample can be read.
    """
    sample = shuffled(images, config.seed)[: config.sample]
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    with console.bar(len(sample), "sampling", "images") as bar:
        for image in sample:
            bar.update(1)
            try:
                values = load_pixels(image.path, preprocessing).numpy().reshape(3, -1) / 255
            except ImageError:
                continue
            sums += values.mean(1)
            squares += np.square(values).mean(1)
            count += 1
    if not count:
        raise DataError(
            f"None of a sample of {len(sample)} images can be read.", hint="Give a larger --sample."
        )
    mean = sums / count
    std = np.sqrt(np.maximum(0, squares / count - np.square(mean)))
    return mean.tolist(), std.tolist(), count


def _note(image: AnnotatedImage, content: bytes) -> str:
    """Say a photo's size and its class."""
    photo = open_image(content)
    size = f"{photo.width} × {photo.height}"
    return size if image.label is None else f"{nfc(image.label)}, {size}"


def _takes_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _written(out: Path, console: Console) -> Path:
    console.say(f"The image is {out}")
    return out
