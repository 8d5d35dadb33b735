"""What may come next in a caption by what people wrote of images alike: words that need no trained model.

An n-gram model of all captions so far, in which those of the nearest images count the most. It knows a style
after a handful of captions, and goes on helping beside a captioner that is trained.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from showtell.text.hangul import keystrokes
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.typed import Typed
from showtell.text.words import words

_CONTEXT = 3
"""Most words before the next one that are looked at."""
_TEMPERATURE = 10.0
"""Sharpness of the weights by cosine: a difference of 0.1 is a factor of e (docs/log.md)."""
_FLOOR = 0.1
"""Weight of a caption of an image that is nothing alike, the nearest one's being 1."""
_LONGEST = 30
"""Words of a sentence that is offered."""
END = ""
"""Stands for the end of a caption."""


@dataclass(frozen=True)
class Said:
    """Captions of an image, and the cosine of its features with those of the one that is asked about."""

    captions: Sequence[str]
    cosine: float


class NearWords:
    """What people wrote of other images, weighed by how much these are like one image.

    Args:
        said: Of each image with captions.
    """

    def __init__(self, said: Sequence[Said]) -> None:
        best = max((one.cosine for one in said), default=0.0)
        self._counts: defaultdict[tuple[str, ...], defaultdict[str, float]]
        self._counts = defaultdict(lambda: defaultdict(float))
        self._times: Counter[tuple[str, ...]] = Counter()
        self._captions: list[tuple[float, list[str]]] = []
        for one in said:
            alike = max(_FLOOR, math.exp(_TEMPERATURE * (one.cosine - best)))
            weight = alike / max(1, len(one.captions))
            for caption in one.captions:
                self._add(words(caption), weight)
        self._captions.sort(key=lambda pair: -pair[0])

    def _add(self, said: list[str], weight: float) -> None:
        self._captions.append((weight, said))
        framed = [*said, END]
        for place, word in enumerate(framed):
            for length in range(min(place, _CONTEXT) + 1):
                context = tuple(framed[place - length : place])
                self._counts[context][word] += weight
                self._times[context] += 1

    def following(self, before: Sequence[str]) -> dict[str, float]:
        """Return the probability of each next word, and of `END`, after some words.

        A longer context counts for as much as it was seen, against how many words followed it.

        Source: Witten and Bell 1991, method C.
        """
        found: dict[str, float] = {}
        for length in range(min(_CONTEXT, len(before)) + 1):
            context = tuple(before[len(before) - length :])
            seen, times = self._counts.get(context), self._times[context]
            if not seen:
                break
            share = times / (times + len(seen)) if found else 1.0
            total = sum(seen.values())
            found = {word: (1 - share) * chance for word, chance in found.items()}
            for word, weight in seen.items():
                found[word] = found.get(word, 0.0) + share * weight / total
        return found

    def sentence(self, before: Sequence[str], typed: str = "") -> list[str]:
        """Return words that end a caption: of the nearest image whose caption begins so, or likely ones.

        Args:
            before: Its finished words.
            typed: Beginning of the next one; empty for any.
        """
        begun, keys = list(before), keystrokes(typed)
        for _, said in self._captions:
            if (
                said[: len(begun)] == begun
                and said[len(begun) :]
                and keystrokes(said[len(begun)]).startswith(keys)
            ):
                return said[len(begun) :]
        rest = list[str]()
        while len(rest) < _LONGEST:
            chances = self.following([*begun, *rest])
            fitting = {word: p for word, p in chances.items() if rest or keystrokes(word).startswith(keys)}
            best = max(fitting, key=lambda word: (fitting[word], word), default=END)
            if best == END:
                break
            rest.append(best)
        return rest


def next_words(near: NearWords, text: str) -> tuple[Typed, dict[str, float]]:
    """Return a caption under way, and each text that it may be after the next word, with its probability.

    A last word that is whole, and more likely so than as the beginning of another, is finished.
    """
    begun = Typed.of(_words(), text)
    keys, chances = keystrokes(begun.unfinished), near.following(words(begun.head))
    fitting = {word: chance for word, chance in chances.items() if word and keystrokes(word).startswith(keys)}
    best = max(fitting, key=lambda word: (fitting[word], word), default=END)
    if begun.unfinished and (not fitting or keystrokes(best) == keys):
        begun = begun.finished()
        fitting = {word: chance for word, chance in near.following(words(text)).items() if word}
    return begun, {begun.joined(word): chance for word, chance in fitting.items()}


@cache
def _words() -> CaptionTokenizer:
    """Return a tokenizer that parts texts into words; its vocabulary is not asked."""
    return CaptionTokenizer.train(["a"], min_count=1)
