"""Which images a preview shows: those that are named, or some that chance picks."""

import difflib
import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from showtell.console import Console
from showtell.data.images import open_image, read_content
from showtell.data.names import few, nfc
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError, ImageError
from showtell.text.tokenizer import CaptionTokenizer

_HELD_OUT = 10
"""One in so many images is kept from the vocabulary where the data brings no split."""
_SEARCHED = 500
"""Images among which a caption with an unknown word is looked for."""


class Photo(NamedTuple):
    """An image that can be read, and the content of its file."""

    image: AnnotatedImage
    content: bytes


def part_for_words(
    images: Sequence[AnnotatedImage], count: int, seed: int
) -> tuple[list[AnnotatedImage], list[AnnotatedImage], str]:
    """Part captioned images into those to learn words from and those to show; say which the first are.

    The test split is left alone. Where the data brings no validation split, a tenth stands in for it.
    """
    train, val = (
        shuffled([image for image in images if image.split in splits], seed)
        for splits in (("train", None), ("val",))
    )
    if train and val:
        return train, val, "the training split"
    train = train or val or list(images)
    held = min(max(count, len(train) // _HELD_OUT), len(train) - 1)
    return train[held:], train[:held] or train, "all photos but a tenth, since the data brings no split"


def with_unknown(
    images: Sequence[AnnotatedImage], count: int, tokenizer: CaptionTokenizer
) -> list[AnnotatedImage]:
    """Bring an image whose caption has an unknown word among the first ones, if there is one."""
    order = list(images)
    unknown = (at for at, image in enumerate(order[:_SEARCHED]) if tokenizer.coverage(image.captions[:1]) < 1)
    at = next(unknown, 0)
    if at >= count:
        order.insert(count - 1, order.pop(at))
    return order


def of_training(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """Return the images that training may see; all of them where the data has none."""
    return [image for image in images if image.split in ("train", None)] or list(images)


def shuffled(images: Sequence[AnnotatedImage], seed: int) -> list[AnnotatedImage]:
    """Return images in an order of chance, each class once before any class comes again."""
    order = list(images)
    random.Random(seed).shuffle(order)
    seen: Counter[str | None] = Counter()
    turns = []
    for place, image in enumerate(order):
        seen[image.label] += 1
        turns.append((seen[image.label] if image.label else place, place))
    return [order[place] for _, place in sorted(turns)]


def readable(images: Sequence[AnnotatedImage], count: int, console: Console) -> list[Photo]:
    """Return the first images that can be read, and say which ones before them cannot.

    Raises:
        DataError: None can be read.
    """
    found: list[Photo] = []
    for image in images:
        if len(found) == count:
            break
        try:
            content = read_content(image.path)
            open_image(content)
        except ImageError as error:
            console.say(f"  left out: {image.name}: {error.what}")
        else:
            found.append(Photo(image, content))
    if not found:
        raise DataError(f"None of the {len(images)} images can be read.")
    return found


def named(images: Sequence[AnnotatedImage], names: Sequence[str]) -> list[Photo]:
    """Return the images of these names, with or without their folders.

    Raises:
        DataError: There is none of a name, or there are several.
        ImageError: One cannot be read.
    """
    found = []
    for name in map(nfc, names):
        alike = [image for image in images if image.name == name]
        alike = alike or [image for image in images if image.name.endswith(f"/{name}")]
        if len(alike) != 1:
            known = [image.name for image in alike or images]
            near = [] if alike else difflib.get_close_matches(name, known, 3)
            raise DataError(
                f"{len(alike) or 'No'} images are called {name}.",
                hint=f"The data has {few(near or known, 3)}.",
            )
        found.append(Photo(alike[0], read_content(alike[0].path)))
    return found
