"""What a page is told and asks for: images, labels and the model that learns, held together."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch.nn.functional as F

from showtell.data.answers import ACCEPTED, PERSON, Answer
from showtell.data.images import open_image
from showtell.data.names import few
from showtell.errors import ConfigError, ShowtellError
from showtell.kinds.classifier.model import ClassifierModel, ClassResult
from showtell.runtime import limit_threads
from showtell.teaching.labels import Labels, check_class
from showtell.teaching.learner import Fitted, Learner, Lesson, Scored
from showtell.teaching.order import EVERY, Floats, choose_next, margins, random_place
from showtell.teaching.pool import Pool

AHEAD = 12
"""Images that a page is told to show next."""
_LENT = 60.0
"""Seconds for which an image that one tab shows is not asked in another."""


@dataclass(frozen=True)
class Snapshot:
    """What is known at one moment of learning; replaced as a whole, never changed.

    Attributes:
        lesson: What was learnt from.
        place: Row of each image of the lesson.
        random_order: All rows, in the random order.
        directions: Features of length 1, (N, D).
        fitted: The head that was fitted to it; None before there are two classes.
        scored: What cross-validation says; of an earlier snapshot while the newest is being scored.
        curve: Labels, share that is right, and its interval, at each one so far.
        stable: Whether more labels have stopped changing what is said.
    """

    lesson: Lesson
    place: Mapping[str, int]
    random_order: Sequence[int]
    directions: Floats
    fitted: Fitted | None = None
    scored: Scored | None = None
    curve: tuple[tuple[int, float, float, float], ...] = ()
    stable: bool = False

    def guess(self, name: str) -> tuple[str, float] | None:
        """Return the likeliest class of an image, and its probability."""
        if self.fitted is None or name not in self.place:
            return None
        shares = self.fitted.probabilities[self.place[name]]
        return self.fitted.classes[shares.argmax()], float(shares.max())


class Teaching:
    """One folder that is taught, by any number of tabs.

    Args:
        pool: The images.
        labels: Their labels.
        classes: Names of classes that may not have images yet.
        every: One image in so many is asked at random.
    """

    def __init__(self, pool: Pool, labels: Labels, classes: Sequence[str], every: int = EVERY) -> None:
        self.pool, self.labels, self._every = pool, labels, every
        self._trouble = ""
        self._skipped: frozenset[str] = frozenset()
        self.snapshot = self._snapshot()
        self._named = dict.fromkeys(map(check_class, classes))
        self._lent: dict[str, tuple[str, float]] = {}
        self._wake, self._closed = threading.Event(), False
        self._learner = Learner()

    def start(self) -> None:
        """Begin to encode and to learn."""
        self.pool.start(self.wake)
        threading.Thread(target=self._learn, name="showtell-learn", daemon=True).start()

    def close(self) -> None:
        """End after what is being fitted."""
        self.pool.close()
        self._closed = True
        self._wake.set()

    def wake(self) -> None:
        """Learn anew: there are more features, or other labels."""
        self._wake.set()

    # What a page asks for

    @property
    def classes(self) -> list[str]:
        """Return all classes, in the order in which they were named."""
        for answer in self.labels.read().values():
            self._named.setdefault(answer.text)
        return list(self._named)

    def record(self, tab: str) -> dict[str, object]:
        """Return what the page shows, for one of its tabs."""
        snapshot, known = self.snapshot, self.labels.read()
        counts = Counter(answer.text for name, answer in known.items() if name in self.pool.images)
        scored = snapshot.scored
        return {
            "folder": self.pool.root.name or str(self.pool.root),
            "images": len(self.pool.images),
            "encoded": len(self.pool.encoded()[0]),
            "unreadable": len(self.pool.unreadable),
            "trouble": self._trouble or self.pool.trouble,
            "labelled": counts.total(),
            "classes": [{"name": name, "count": counts[name]} for name in self.classes],
            "next": self.next(tab),
            "taken": [one for one, lent in self._lent.items() if lent[0] == tab and one in known],
            "learnt": len(snapshot.lesson.labels) if snapshot.fitted else 0,
            "sample": scored.sample if scored else 0,
            "right": scored.right if scored else 0,
            "interval": scored.interval if scored else None,
            "confused": scored.confused if scored else (),
            "doubted": sum(known[name].text != said for name, said in self._doubted(known)),
            "curve": snapshot.curve,
            "stable": snapshot.stable,
        }

    def next(self, tab: str, count: int = AHEAD) -> list[dict[str, object]]:
        """Choose what a tab shows next, with what the model would say of it."""
        snapshot, known, now = self.snapshot, self.labels.read(), time.monotonic()
        self._lent = {name: lent for name, lent in self._lent.items() if lent[1] > now - _LENT}
        others = {name for name, (whose, _) in self._lent.items() if whose != tab}
        names = snapshot.lesson.names
        free = [row for row in snapshot.random_order if names[row] not in known]
        free = [row for row in free if names[row] not in self._skipped] or free
        chosen = choose_next(
            free,
            [snapshot.place[name] for name in known if name in snapshot.place],
            snapshot.directions,
            margins(snapshot.fitted.probabilities) if snapshot.fitted else None,
            count=count,
            answered=len(known),
            every=self._every,
            lent={snapshot.place[name] for name in others if name in snapshot.place},
        )
        self._lent = self._lent | {names[row]: (tab, now) for row, _ in chosen[:2]}
        return [self._shown(snapshot, names[row]) | {"random": at_random} for row, at_random in chosen]

    def alike(self, what: str, of: str, count: int) -> list[dict[str, object]]:
        """Return images without a label: those that are surest a class, or the most like an image.

        Raises:
            ConfigError: ``what`` is unknown.
        """
        snapshot, known = self.snapshot, self.labels.read()
        names = snapshot.lesson.names
        free = np.array([row for row, name in enumerate(names) if name not in known], np.int64)
        if what == "sure" and snapshot.fitted is not None and of in snapshot.fitted.classes:
            shares = snapshot.fitted.probabilities[free]
            number = snapshot.fitted.classes.index(of)
            free, score = free[shares.argmax(1) == number], shares[shares.argmax(1) == number, number]
        elif what == "like" and of in snapshot.place:
            score = snapshot.directions[free] @ snapshot.directions[snapshot.place[of]]
        elif what in ("sure", "like"):
            return []
        else:
            raise ConfigError(f"{what!r} is no order of images.", hint="Expected sure or like.")
        return [self._shown(snapshot, names[row]) for row in free[np.argsort(-score)[:count]].tolist()]

    def doubted(self, count: int) -> list[dict[str, object]]:
        """Return the images whose label is doubted most, each with what is said instead."""
        known = self.labels.read()
        doubts = [(name, said) for name, said in self._doubted(known) if known[name].text != said]
        return [{"image": name, "label": known[name].text, "instead": said} for name, said in doubts[:count]]

    def classify(self, content: bytes, max_pixels: int | None = None) -> ClassResult | None:
        """Say what an image shows that is not of the folder, such as a frame; None before that is learnt.

        Args:
            content: Of the image's file.
            max_pixels: Most pixels it may claim; None for what the memory allows.

        Raises:
            ImageError: It cannot be read.
        """
        fitted = self.snapshot.fitted
        if fitted is None:
            return None
        model = ClassifierModel.of(
            self.pool.backbone, fitted.head, fitted.classes, temperature=fitted.temperature
        )
        return model.from_pixels(model.pixels(open_image(content, max_pixels=max_pixels))[None])[0]

    # What a page says

    def name(self, new: str, old: str | None = None) -> None:
        """Name a class, or give it another name.

        Raises:
            ConfigError: It cannot be a name, or there is no class to be renamed.
            DataError: It cannot be kept.
        """
        new = check_class(new)
        if old is not None:
            if old not in self.classes:
                raise ConfigError(f"There is no class {old!r}.")
            self.labels.rename(old, new)
            self._named = dict.fromkeys(new if name == old else name for name in self._named)
            self.wake()
        self._named.setdefault(new)

    def answer(self, labels: Mapping[str, str], tab: str, *, accepted: bool = False) -> None:
        """Label images.

        Args:
            labels: By image; an empty one puts the image off.
            tab: Whose undo takes it back.
            accepted: The model has said so, and a person let it stand.

        Raises:
            ConfigError: There is no such image or class.
            DataError: It cannot be kept.
        """
        for name, label in labels.items():
            if name not in self.pool.images:
                raise ConfigError(f"There is no image {name[:200]!r}.")
            if label and label not in self.classes:
                raise ConfigError(f"There is no class {label[:100]!r}.", hint=few(self.classes, 20))
        given = {name: label for name, label in labels.items() if label}
        if given:
            self.labels.give(given, ACCEPTED if accepted else PERSON, tab)
        self._skipped = (self._skipped | labels.keys()) - given.keys()
        self.wake()

    def undo(self, tab: str) -> list[dict[str, object]]:
        """Take back the last answer of a tab; return its images, to be shown again.

        Raises:
            DataError: It cannot be kept.
        """
        found = self.labels.undo(tab)
        self.wake()
        return [self._shown(self.snapshot, name) for name in found if name in self.pool.images]

    def add(self, content: bytes, name: str, folder: str, label: str, tab: str, max_pixels: int) -> str:
        """Keep an image that was dropped in or filmed, with its label where it has one; return its name.

        Raises:
            ImageError: It cannot be read as an image.
            ConfigError: There is no such class.
            DataError: It cannot be kept.
        """
        if label and label not in self.classes:
            raise ConfigError(f"There is no class {label[:100]!r}.")
        image = self.pool.add(content, name, folder, max_pixels)
        if label:
            self.labels.give({image.name: label}, PERSON, tab)
            self.wake()
        return image.name

    # What is learnt

    def _shown(self, snapshot: Snapshot, name: str) -> dict[str, object]:
        guess = snapshot.guess(name)
        return {"image": name, "guess": guess and guess[0], "sure": guess and round(guess[1], 4)}

    def _doubted(self, known: Mapping[str, Answer]) -> list[tuple[str, str]]:
        scored = self.snapshot.scored
        return [pair for pair in scored.doubted if pair[0] in known] if scored else []

    def _snapshot(self) -> Snapshot:
        names, pooled = self.pool.encoded()
        known = {name: answer.text for name, answer in self.labels.read().items()}
        there = set(names)
        waiting = [one for one in self.pool.images if one not in there and one not in self.pool.unreadable]
        lesson = Lesson(names, pooled, known, self._skipped, waiting)
        return Snapshot(
            lesson,
            {name: row for row, name in enumerate(names)},
            sorted(range(len(names)), key=lambda row: random_place(names[row])),
            F.normalize(pooled, dim=1).numpy() if len(names) else pooled.numpy(),
        )

    def _learn(self) -> None:
        limit_threads(1)  # the others answer clicks and encode
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            try:
                self._learn_once()
                self._trouble = ""
            except ShowtellError as error:  # the table was made unreadable by somebody, or the store is full
                self._trouble = str(error)

    def _learn_once(self) -> None:
        before, snapshot = self.snapshot, self._snapshot()
        if len(snapshot.lesson.names):
            scored = before.scored
            fitted = self._learner.fit(snapshot.lesson, scored.temperature if scored else 1.0)
            snapshot = replace(
                snapshot, fitted=fitted, scored=scored, curve=before.curve, stable=before.stable
            )
            self.snapshot = snapshot
            scored = self._learner.score(snapshot.lesson) if fitted else None
            curve = before.curve
            if scored and scored.interval and (not curve or curve[-1][0] != scored.labelled):
                curve += ((scored.labelled, scored.right / scored.sample, *scored.interval),)
            snapshot = replace(snapshot, scored=scored, curve=curve, stable=self._learner.is_stable())
        self.snapshot = snapshot
