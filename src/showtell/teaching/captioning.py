"""What the page of captions is told and asks for: images, their captions, and what may come next in one."""

import threading
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from showtell.console import Console
from showtell.data.answers import MACHINE, PERSON, Answer, AnswerTable
from showtell.data.names import nfc
from showtell.data.neighbours import Nearest
from showtell.errors import ConfigError, ShowtellError
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.models.captioner import Captioner
from showtell.models.continuing import continue_caption
from showtell.runs.records import JsonObject
from showtell.runtime import limit_threads
from showtell.teaching.caption_learner import FIRST, CaptionLearner
from showtell.teaching.near_words import NearWords, Said, next_words
from showtell.teaching.order import random_place
from showtell.teaching.pool import Pool
from showtell.text.spelling import find_slips
from showtell.text.words import join_words, words

if TYPE_CHECKING:  # of the extra vlm
    from showtell.teaching.vlm import ImageToText

TABLE = "captions.csv"
AHEAD = 8
"""Images that a page is told to show next."""
OFFERED = 5
"""Next words that are offered."""
_NEIGHBOURS = 1000
"""Images whose captions are weighed for the words of another."""
_LEARNT_SHARE = 0.5
"""Share of the captioner in what is offered beside the neighbours' words."""
LONGEST = 1000
"""Characters of a caption."""


class Captioning:
    """One folder that is captioned, by any number of tabs.

    Args:
        pool: The images, with their features as far as they are there.
        table: Where captions are kept.
        start: A captioner to begin from, of the same network's features; None to begin from nothing.
        writer: Writes a caption of an image on show that has none, as a machine's; None for nobody.
    """

    def __init__(
        self,
        pool: Pool,
        table: AnswerTable,
        start: Captioner | None = None,
        writer: "ImageToText | None" = None,
    ) -> None:
        self.pool, self.table, self._writer = pool, table, writer
        self._shown: deque[str] = deque(maxlen=1)
        self.learner = CaptionLearner(start)
        self._troubles: dict[str, str] = {}  # what keeps the machine from learning, and from writing
        self._known: list[Answer] = []
        self._state: tuple[int, int] | None = None
        self._lock = threading.RLock()
        self._wake, self._asked, self._closed = threading.Event(), threading.Event(), False
        self._done: list[tuple[str, Answer | None, Answer | None]] = []
        self._grid = lru_cache(16)(self._read_grid)
        self._near = lru_cache(4)(self._weigh)

    def start(self) -> None:
        """Begin to learn, and to write, in the background."""
        if self._writer is not None:
            threading.Thread(target=self._write, name="showtell-write", daemon=True).start()
        threading.Thread(target=self._learn, name="showtell-learn-captions", daemon=True).start()

    def close(self) -> None:
        """End after the step under way."""
        self._closed = True
        self._wake.set()
        self._asked.set()

    # What a page says

    def answer(
        self, image: str, text: str, tab: str, *, old: Answer | None = None, who: str = PERSON
    ) -> Answer:
        """Keep a caption, on the disk when this returns: one more, or in the place of another.

        Raises:
            ConfigError: There is no such image, the caption has no words or too many, or the other one has
                been changed.
            DataError: It cannot be kept.
        """
        text = nfc(" ".join(text.split()))
        if image not in self.pool.images:
            raise ConfigError(f"There is no image {image[:200]!r}.")
        if not words(text) or len(text) > LONGEST:
            raise ConfigError(f"The caption {text[:50]!r} has no words, or more than {LONGEST} characters.")
        new = Answer(image, text, who)
        with self._lock:
            if old is None:
                self.table.add([new])
            elif not self.table.change(old, new):
                raise ConfigError("Somebody else has changed this caption meanwhile.")
            self._done.append((tab, old, new))
        self._wake.set()
        return new

    def remove(self, old: Answer, tab: str) -> None:
        """Take a caption out of the table.

        Raises:
            DataError: That cannot be kept.
        """
        with self._lock:
            if self.table.change(old, None):
                self._done.append((tab, old, None))

    def undo(self, tab: str) -> str | None:
        """Take back what a tab did last; return its image, None where there is nothing."""
        with self._lock:
            mine = [number for number, (whose, _, _) in enumerate(self._done) if whose == tab]
            if not mine:
                return None
            _, old, new = self._done[mine[-1]]
            if new is not None:
                self.table.change(new, old)
            elif old is not None:
                self.table.add([old])
            del self._done[mine[-1]]  # where it cannot be kept, it stays to be undone
            return (new or old).image  # type: ignore[union-attr]  # one of them is there

    # What a page asks for

    def read(self) -> Sequence[Answer]:
        """Return all captions as they stand on the disk now.

        Raises:
            DataError: The table cannot be read.
        """
        with self._lock:
            state = self.table.state()
            if state != self._state:
                self._known, self._state = self.table.read(), state
            return self._known

    def record(self, shown: str = "") -> JsonObject:
        """Return how far it is, and what to show next: images without a person's caption, in random order.

        Args:
            shown: The image on show, which is not among the next.
        """
        if shown in self.pool.images and shown not in self._shown:
            self._shown.append(shown)
            self._asked.set()
        known = self.read()
        written = {one.image for one in known if one.who != MACHINE}
        waiting = sorted(
            (name for name in self.pool.images if name not in written and name != shown), key=random_place
        )
        slips = find_slips(one.text for one in known if one.who != MACHINE)
        return {
            "folder": self.pool.root.name or str(self.pool.root),
            "images": len(self.pool.images),
            "written": sum(one.who != MACHINE for one in known),
            "captioned": len(written & self.pool.images.keys()),
            "machine": sum(one.who == MACHINE for one in known),
            "learnt": self.learner.learnt,
            "first": FIRST,
            "trouble": " ".join(self._troubles.values()) or self.pool.trouble,
            "slips": [
                {**slip._asdict(), "image": next(o.image for o in known if slip.word in words(o.text))}
                for slip in slips
            ],
            "next": waiting[:AHEAD],
        }

    def of(self, image: str) -> list[JsonObject]:
        """Return the captions of an image, each with its row."""
        return [
            {"text": one.text, "who": one.who, "time": one.time} for one in self.read() if one.image == image
        ]

    def suggest(self, image: str, typed: str) -> JsonObject:
        """Return what may come next in a caption: words, each with the whole text, and a sentence.

        Raises:
            ConfigError: There is no such image.
        """
        if image not in self.pool.images:
            raise ConfigError(f"There is no image {image[:200]!r}.")
        typed = typed[:LONGEST]
        captioner = self.learner.captioner
        there = image in self.pool.encoded()[0]
        near = self._near(image, self._read_state(), there)
        begun, offered = next_words(near, typed)
        sentence = begun.joined(join_words(near.sentence(words(begun.head), begun.unfinished)))
        if captioner is not None and there:
            found = continue_caption(captioner, self._grid(image), typed)
            offered = {text: (1 - _LEARNT_SHARE) * chance for text, chance in offered.items()}
            for one in found.words:
                offered[one.text] = offered.get(one.text, 0.0) + _LEARNT_SHARE * one.probability
            sentence = next(iter(found.sentences), sentence)
        best = sorted(offered, key=lambda text: (-offered[text], text))[:OFFERED]
        return {
            "words": [{"text": text, "probability": round(offered[text], 4)} for text in best],
            "sentence": sentence if sentence != typed else "",
        }

    def _read_state(self) -> tuple[int, int]:
        self.read()
        assert self._state is not None
        return self._state

    def _weigh(self, image: str, state: tuple[int, int], there: bool) -> NearWords:
        """Return the words of the captioned images nearest to another; of all of them before it is encoded.

        Args:
            image: The other one.
            state: Of the table, by which an earlier answer is told from one that still holds.
            there: Whether the image is encoded.
        """
        names, pooled = self.pool.encoded()
        said = self._said(image)
        rows = [row for row, name in enumerate(names) if name in said]
        if not there or not rows:
            return NearWords([Said(captions, 0.0) for captions in said.values()])
        features, own = pooled.numpy(), names.index(image)
        places, cosines = Nearest(features[rows]).search(features[own : own + 1], _NEIGHBOURS)
        near = zip(places[0].tolist(), cosines[0].tolist())
        return NearWords([Said(said[names[rows[place]]], cosine) for place, cosine in near])

    def _said(self, but: str = "") -> dict[str, list[str]]:
        """Return what people wrote or accepted, by image."""
        said: dict[str, list[str]] = {}
        for one in self.read():
            if one.who != MACHINE and one.image != but:
                said.setdefault(one.image, []).append(one.text)
        return said

    def _read_grid(self, image: str) -> Tensor:
        """Return the features of an image that is encoded, (L, D)."""
        return torch.from_numpy(self._features([image]).grid()[0])

    def _features(self, names: Sequence[str]) -> Features:
        images = [self.pool.images[name] for name in names]
        return extract_features(images, self.pool.backbone, self.pool.store, console=Console(quiet=True))

    # What is learnt

    def _learn(self) -> None:
        limit_threads(1)  # the others answer keys and encode
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            try:
                while not self._closed and self._learn_once():
                    pass  # more was written meanwhile, perhaps enough
                self._troubles.pop("learning", None)
            except ShowtellError as error:  # the table was made unreadable by somebody, or the store is full
                self._troubles["learning"] = str(error)

    def _write(self) -> None:
        """Write a machine's caption of each image on show that nothing is written of."""
        limit_threads(1)
        while not self._closed:
            self._asked.wait()
            self._asked.clear()
            try:
                for image in list(self._shown):
                    self.write(image)
                self._troubles.pop("writing", None)
            except ShowtellError as error:
                self._troubles["writing"] = str(error)

    def write(self, image: str) -> None:
        """Have the machine write of an image, unless somebody has written of it.

        Raises:
            ImageError: It cannot be read.
            DataError: The caption cannot be kept.
        """
        if self._writer is None or any(one.image == image for one in self.read()):
            return
        text = self._writer.caption(self.pool.images[image].path)
        with self._lock:
            if words(text) and all(one.image != image for one in self.read()):
                self.table.add([Answer(image, text, MACHINE)])

    def _learn_once(self) -> bool:
        """Train where there is enough to learn; return whether that was done."""
        there = set(self.pool.encoded()[0])
        said = {name: captions for name, captions in self._said().items() if name in there}
        if not self.learner.is_due(sum(map(len, said.values()))):
            return False
        return self.learner.learn(self._features(list(said)), said, lambda: not self._closed)
