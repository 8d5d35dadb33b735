"""What captions are made of: their words, how often and how many, and which of them repeat each other."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from showtell.console import many
from showtell.data.records import AnnotatedImage
from showtell.inspection.check import Finding
from showtell.text.lengths import USUAL_LENGTH
from showtell.text.tokenizer import SPECIAL_TOKENS
from showtell.text.words import words

_REPEATED, _MANY_REPEATED = 3, 0.05
"""Images from which a caption counts as repeated, and share of such captions that is worth a thought."""
_POOR_COVERAGE = 0.9
"""Share of words seen at least twice below which whole words are too many."""


@dataclass(frozen=True)
class WordCounts:
    """The words of captions, counted."""

    counts: Counter[str] = field(default_factory=Counter)  # how often each word occurs
    lengths: Counter[int] = field(default_factory=Counter)  # how many captions have so many words

    @classmethod
    def of(cls, captions: Iterable[str]) -> "WordCounts":
        """Count the words of captions."""
        vocabulary = cls()
        for caption in captions:
            found = words(caption)
            vocabulary.counts.update(found)
            vocabulary.lengths[len(found)] += 1
        return vocabulary

    def known(self, *, min_count: int, vocab_size: int) -> tuple[int, float]:
        """Say what a word-level tokenizer of these captions would know.

        Args:
            min_count: How often a word must be seen to be learnt.
            vocab_size: Most tokens, special ones included.

        Returns:
            How many words, and which share of all words of the captions they make up, in [0, 1].
        """
        kept = sorted((n for n in self.counts.values() if n >= min_count), reverse=True)
        kept = kept[: max(0, vocab_size - len(SPECIAL_TOKENS))]
        return len(kept), sum(kept) / self.counts.total() if self.counts else 1.0

    def frequent(self, count: int) -> list[tuple[str, int]]:
        """Return the most frequent words with their counts; ties in order of the alphabet."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:count]

    def rare(self, count: int) -> list[tuple[str, int]]:
        """Return some of the rarest words with their counts, spread over the alphabet."""
        by_count: defaultdict[int, list[str]] = defaultdict(list)
        for word, seen in self.counts.items():
            by_count[seen].append(word)
        found: list[tuple[str, int]] = []
        for seen in sorted(by_count):
            alike = sorted(by_count[seen])
            step = max(1, len(alike) // max(1, count - len(found)))
            found += [(word, seen) for word in alike[::step]]
            if len(found) >= count:
                break
        return found[:count]


def check_captions(images: Sequence[AnnotatedImage], vocabulary: WordCounts) -> list[Finding]:
    """Find captions that repeat each other or say nothing, and words that whole words cannot cover."""
    repeated = _repeated(images)
    count = sum(len(image.captions) for image in images)
    fraction = sum(map(len, repeated.values())) / max(1, count)
    often = fraction >= _MANY_REPEATED
    wordless = [f"{p.name}: {caption}" for p in images for caption in p.captions if not words(caption)]
    _, twice = vocabulary.known(min_count=2, vocab_size=len(vocabulary.counts) + len(SPECIAL_TOKENS))
    found = [
        Finding(
            "captions repeated across images",
            "warning" if often else "info",
            len(repeated),
            f"{many(len(repeated), 'caption stands', 'captions stand')} at {_REPEATED} images or more "
            f"({fraction:.1%} of all captions)",
            "Write what is particular to each image: a captioner learns to say what stands everywhere."
            if often
            else "Nothing: so few do no harm.",
            tuple(f"{len(names):,} images: {text}" for text, names in repeated.items()),
            tuple(tuple(names) for names in repeated.values())[:_REPEATED],
        ),
        Finding(
            "captions without words",
            "warning",
            len(wordless),
            f"{many(len(wordless), 'caption has', 'captions have')} no word in it",
            "Write one, or remove the row.",
            tuple(wordless),
        ),
        Finding(
            "long captions",
            "info",
            sum(count for length, count in vocabulary.lengths.items() if length > USUAL_LENGTH),
            f"Captions have up to {max(vocabulary.lengths, default=0)} words, more than {USUAL_LENGTH}",
            "Nothing: the limit follows the data, to 250 tokens. max_length of train-captioner sets it.",
            (),
        ),
        Finding(
            "rare words",
            "warning",
            int(twice < _POOR_COVERAGE),
            f"Words that are seen twice or more make up only {twice:.0%} of the captions",
            "Train with --tokenizer bpe: it learns pieces of words, and none is unknown.",
            (),
        ),
    ]
    return [finding for finding in found if finding.count]


def _repeated(images: Iterable[AnnotatedImage]) -> dict[str, list[str]]:
    """Return the images of captions whose words stand at many, the most repeated first."""
    written: dict[tuple[str, ...], str] = {}
    where: defaultdict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
    for image in images:
        for caption in image.captions:
            key = tuple(words(caption))
            written.setdefault(key, caption)
            where[key][image.name] = None
    keys = [key for key in where if key and len(where[key]) >= _REPEATED]
    return {written[key]: list(where[key]) for key in sorted(keys, key=lambda key: -len(where[key]))}
