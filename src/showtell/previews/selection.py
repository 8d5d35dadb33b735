"""Which pictures a preview shows: those that are named, or some that chance picks."""

import difflib
import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from showtell.console import Console
from showtell.data.images import open_image, read_content
from showtell.data.names import nfc
from showtell.data.records import Picture
from showtell.errors import DataError, ImageError
from showtell.text.tokenizer import CaptionTokenizer

_HELD_OUT = 10
"""One in so many pictures is kept from the vocabulary where the data brings no split."""
_SEARCHED = 500
"""Pictures among which a caption with an unknown word is looked for."""


class Photo(NamedTuple):
    """A picture that can be read, and the content of its file."""

    picture: Picture
    content: bytes


def part_for_words(
    pictures: Sequence[Picture], count: int, seed: int
) -> tuple[list[Picture], list[Picture], str]:
    """Part captioned pictures into those to learn words from and those to show; say which the first are.

    The test split is left alone. Where the data brings no validation split, a tenth stands in for it.
    """
    train, val = (
        shuffled([picture for picture in pictures if picture.split in splits], seed)
        for splits in (("train", None), ("val",))
    )
    if train and val:
        return train, val, "the training split"
    train = train or val or list(pictures)
    held = min(max(count, len(train) // _HELD_OUT), len(train) - 1)
    return train[held:], train[:held] or train, "all photos but a tenth, since the data brings no split"


def with_unknown(pictures: Sequence[Picture], count: int, tokenizer: CaptionTokenizer) -> list[Picture]:
    """Bring a picture whose caption has an unknown word among the first ones, if there is one."""
    order = list(pictures)
    unknown = (
        at for at, picture in enumerate(order[:_SEARCHED]) if tokenizer.coverage(picture.captions[:1]) < 1
    )
    at = next(unknown, 0)
    if at >= count:
        order.insert(count - 1, order.pop(at))
    return order


def of_training(pictures: Sequence[Picture]) -> list[Picture]:
    """Return the pictures that training may see; all of them where the data has none."""
    return [picture for picture in pictures if picture.split in ("train", None)] or list(pictures)


def shuffled(pictures: Sequence[Picture], seed: int) -> list[Picture]:
    """Return pictures in an order of chance, each class once before any class comes again."""
    order = list(pictures)
    random.Random(seed).shuffle(order)
    seen: Counter[str | None] = Counter()
    turns = []
    for place, picture in enumerate(order):
        seen[picture.label] += 1
        turns.append((seen[picture.label] if picture.label else place, place))
    return [order[place] for _, place in sorted(turns)]


def readable(pictures: Sequence[Picture], count: int, console: Console) -> list[Photo]:
    """Return the first pictures that can be read, and say which ones before them cannot.

    Raises:
        DataError: None can be read.
    """
    found: list[Photo] = []
    for picture in pictures:
        if len(found) == count:
            break
        try:
            content = read_content(picture.path)
            open_image(content)
        except ImageError as error:
            console.say(f"  left out: {picture.name}: {error.what}")
        else:
            found.append(Photo(picture, content))
    if not found:
        raise DataError(f"None of the {len(pictures)} pictures can be read.")
    return found


def named(pictures: Sequence[Picture], names: Sequence[str]) -> list[Photo]:
    """Return the pictures of these names, with or without their folders.

    Raises:
        DataError: There is none of a name, or there are several.
        ImageError: One cannot be read.
    """
    found = []
    for name in map(nfc, names):
        alike = [picture for picture in pictures if picture.name == name]
        alike = alike or [picture for picture in pictures if picture.name.endswith(f"/{name}")]
        if len(alike) != 1:
            known = [picture.name for picture in alike or pictures]
            near = known[:3] if alike else difflib.get_close_matches(name, known, 3)
            raise DataError(
                f"{len(alike) or 'No'} pictures are called {name}.",
                hint=f"The data has {', '.join(near or known[:3])}.",
            )
        found.append(Photo(alike[0], read_content(alike[0].path)))
    return found
