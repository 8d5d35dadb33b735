"""What an inspection found, as typed records: what the text, the page and ``--json`` show."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from showtell.data.image_info import ImageInfo
from showtell.inspection.check import Finding
from showtell.inspection.word_counts import WordCounts

_MIN_COUNTS = (1, 2, 3, 5, 10)


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, median and largest of some numbers, at least one."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """Return the spread of numbers; None where there are none."""
        return cls(min(values), statistics.median(values), max(values)) if values else None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often each whole number occurs, in their order, and their spread."""

    counts: dict[int, int]
    spread: Spread | None

    @classmethod
    def of(cls, counts: Counter[int]) -> "Histogram":
        """Sort counts."""
        return cls(dict(sorted(counts.items())), Spread.of(list(counts.elements())))


@dataclass(frozen=True)
class Files:
    """The readable files of a data set."""

    count: int  # how many there are
    bytes: int  # of all of them
    formats: dict[str, int]  # their number by format, like `modes` by Pillow's mode; the most frequent first
    modes: dict[str, int]  # see `formats`
    rotations: dict[int, int]  # their number by EXIF orientation, without upright ones
    width: Spread | None  # upright, pixels
    height: Spread | None  # upright, pixels
    aspect: Spread | None  # width over height
    shapes: dict[str, int]  # how many are landscape, square and portrait
    sizes: dict[str, int]  # the five most frequent sizes

    @classmethod
    def of(cls, readable: Sequence[ImageInfo]) -> "Files":
        """Count what was found of images."""
        aspects = [round(info.width / info.height, 3) for info in readable]
        shapes = Counter(
            "square" if i.width == i.height else "landscape" if i.width > i.height else "portrait"
            for i in readable
        )
        return cls(
            count=len(readable),
            bytes=sum(info.length for info in readable),
            formats=dict(Counter(info.format for info in readable).most_common()),
            modes=dict(Counter(info.mode for info in readable).most_common()),
            rotations=dict(Counter(i.orientation for i in readable if i.orientation != 1).most_common()),
            width=Spread.of([info.width for info in readable]),
            height=Spread.of([info.height for info in readable]),
            aspect=Spread.of(aspects),
            shapes={name: shapes[name] for name in ("landscape", "square", "portrait") if shapes[name]},
            sizes=dict(Counter(f"{info.width}x{info.height}" for info in readable).most_common(5)),
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a word-level tokenizer of the captions would know."""

    min_count: int  # how often a word must be seen to be learnt
    words: int  # how many words are
    fraction: float  # of all words of the captions, in [0, 1]


@dataclass(frozen=True)
class Captions:
    """The captions of a data set."""

    count: int  # how many there are
    words_per_caption: Histogram  # how many have so many words
    per_image: Histogram  # how many images have so many captions
    words: int  # in all
    distinct_words: int  # how many of them are different
    seen_once: int  # how many of those occur once
    vocab_size: int  # most tokens of the tokenizers in `coverage`
    coverage: tuple[Coverage, ...]  # by how often a word must be seen
    frequent: tuple[tuple[str, int], ...]  # the 20 most frequent words with their counts
    rare: tuple[tuple[str, int], ...]  # 20 of the rarest words with their counts

    @classmethod
    def of(cls, words: WordCounts, per_image: Counter[int], vocab_size: int) -> "Captions":
        """Sum up the words of captions."""
        known = [(count, *words.known(min_count=count, vocab_size=vocab_size)) for count in _MIN_COUNTS]
        return cls(
            count=words.lengths.total(),
            words_per_caption=Histogram.of(words.lengths),
            per_image=Histogram.of(per_image),
            words=words.counts.total(),
            distinct_words=len(words.counts),
            seen_once=sum(count == 1 for count in words.counts.values()),
            vocab_size=vocab_size,
            coverage=tuple(Coverage(*step) for step in known),
            frequent=tuple(words.frequent(20)),
            rare=tuple(words.rare(20)),
        )


@dataclass(frozen=True, slots=True)
class ClassCount:
    """The images of a class, in all and by split."""

    name: str
    count: int
    train: int
    val: int
    test: int


@dataclass(frozen=True, slots=True)
class Example:
    """An image with its words."""

    name: str
    label: str | None
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What is in a data set, and what is wrong with it."""

    data: str  # the data as the user named it
    format: str  # as which it was read
    notes: tuple[str, ...]  # what was guessed in reading
    images: int  # how many there are, readable or not
    files: Files  # what the readable ones are like
    splits: dict[str, int]  # images by split; empty where the data brings none
    classes: tuple[ClassCount, ...]  # the largest first; empty for captions
    captions: Captions | None  # None where there are none
    near_duplicates_by: str  # what tells near-duplicates, in words
    map: str  # what the map of all images is made by, in words; empty where there is none
    findings: tuple[Finding, ...]  # errors first, then warnings, then what is handled
    examples: tuple[Example, ...]  # images from everywhere in the data
    page: str  # the HTML file that shows all of it
    seconds: float  # that the inspection took

    def record(self) -> dict[str, object]:
        """Return it as JSON values."""
        return asdict(self)

    @property
    def unreadable(self) -> int:
        """How many images cannot be read."""
        return self.images - self.files.count
