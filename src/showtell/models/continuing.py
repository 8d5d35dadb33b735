"""Go on with a caption that a person has begun: the next words, and whole sentences, from where it stands.

The decoder reads the finished words; the search then starts from its state. A word under way limits what may
follow to tokens that spell it, one after the other, so subwords need no special care.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from showtell.models.captioner import LENGTH_PENALTY, Captioner
from showtell.models.decoding import Beam, Hypothesis, Rows, Step, StepOutput, beam_search
from showtell.text.typed import FREE, Speller, Typed, word_beginnings
from showtell.text.words import unspaced

_WORD_TOKENS = 8
"""Most tokens of a word that is offered."""
_UNREAD = -2
"""The place of a caption of which nothing is searched yet."""
_BEAM = Beam(3, length_penalty=LENGTH_PENALTY)


class _Placed(tuple[Tensor, ...]):
    """A decoder's state behind the place of each caption in the spelling, (B, K)."""

    def __new__(cls, *parts: Tensor) -> "_Placed":
        """Take the parts as a named tuple does."""
        return super().__new__(cls, parts)


@dataclass(frozen=True)
class NextWord:
    """A word that may come next.

    Attributes:
        text: What was typed, with the word.
        word: The word alone.
        probability: Of the word, given the image and the finished words, in [0, 1].
    """

    text: str
    word: str
    probability: float


@dataclass(frozen=True)
class Continuation:
    """How a caption goes on.

    Attributes:
        words: Words that may come next, the likeliest first.
        sentences: Whole captions, the best first; each begins with what was typed.
        ends: Probability that the caption ends here, in [0, 1]; 0 within a word.
    """

    words: tuple[NextWord, ...]
    sentences: tuple[str, ...]
    ends: float


@torch.inference_mode()
def continue_caption(
    captioner: Captioner, grid: Tensor, text: str, *, beam: Beam = _BEAM, words: int = 5
) -> Continuation:
    """Go on with what was typed of an image's caption.

    A word that the captioner does not know is read as unknown, and stands as it was typed; so is the last
    one, if it begins no known word.

    Args:
        captioner: In evaluation mode.
        grid: Of the image, (L, D), any float dtype.
        text: What was typed; empty for nothing.
        beam: How sentences are searched; the longest is the decoder's own.
        words: Next words to return, at least 1.
    """
    begun = _Begun(captioner, grid, Typed.of(captioner.tokenizer, text))
    if not begun.room:
        return Continuation((), (), 0.0)
    found = begun.words(words)
    if begun.typed.unfinished and (not found or found[0].text == begun.typed.text):
        # The word stands as it is: what is asked for is the next one.
        begun = _Begun(captioner, grid, begun.typed.finished())
        found = begun.words(words) if begun.room else ()
    return Continuation(found, begun.sentences(beam) if begun.room else (), begun.ends())


class _Begun:
    """A captioner that has read the finished words of a caption.

    Attributes:
        typed: The caption.
        room: Tokens that may follow; none where the caption is as long as the captioner's longest.
    """

    def __init__(self, captioner: Captioner, grid: Tensor, typed: Typed) -> None:
        decoder, tokenizer = captioner.decoder, captioner.tokenizer
        self.captioner, self.typed, self.speller = captioner, typed, Speller(typed)
        grid = grid.to(decoder.output_bias.device)
        memory = decoder.encode_grid(grid.unsqueeze(0))
        ids = tokenizer.encode(typed.head)
        self.room = max(0, decoder.config.max_length - len(ids))
        self.state: Rows = decoder.start(memory)
        *read, self.last = (tokenizer.bos_id, *ids)
        self.begins, self.inside = word_beginnings(tokenizer)
        head = typed.head.rstrip()
        self.goes_on = not head or unspaced(head[-1])  # without a blank between words
        self._step: Step = lambda state, tokens: decoder.step(memory, state, tokens)
        for token in read if self.room else ():
            self.state = self._step(self.state, torch.full((1, 1), token, device=grid.device)).state

    def sentences(self, beam: Beam) -> tuple[str, ...]:
        """Return whole captions, best first."""
        found = self._search(replace(beam, max_length=self.room), one_word=False)
        return tuple(dict.fromkeys(self.typed.followed_by(one.token_ids) for one in found))

    def words(self, count: int) -> tuple[NextWord, ...]:
        """Return the likeliest next words."""
        beam = Beam(count, min(_WORD_TOKENS, self.room), length_penalty=0)
        found = (one for one in self._search(beam, one_word=True) if one.token_ids)
        decode = self.captioner.tokenizer.decode
        words: dict[str, NextWord] = {}
        for one in found:
            text = self.typed.followed_by(one.token_ids)
            words.setdefault(text, NextWord(text, decode(one.token_ids), math.exp(one.log_probability)))
        return tuple(words.values())

    def ends(self) -> float:
        """Return how likely the caption ends here."""
        if self.typed.unfinished or not self.room:
            return 0.0
        token = torch.full((1, 1), self.last, device=self.state[0].device)
        return float(self._step(self.state, token).log_probs[0, 0, self.captioner.tokenizer.eos_id].exp())

    def _search(self, beam: Beam, *, one_word: bool) -> list[Hypothesis]:
        """Search for what follows: the rest of the caption, or one word, which ends where the next begins."""
        unread = torch.full((1, 1), _UNREAD)
        special = replace(self.captioner.special, bos_id=self.last)

        def step(state: Rows, tokens: Tensor) -> StepOutput:
            inner = type(self.state)(*state[1:])
            out = self._step(inner, tokens)
            log_probs = out.log_probs.clone()
            places = state[0].tolist()[0]
            after = [self._place(place, token) for place, token in zip(places, tokens.tolist()[0])]
            for row, place in enumerate(after):
                self._limit(log_probs[0, row], place, first=places[row] == _UNREAD, one_word=one_word)
            return StepOutput(log_probs, _Placed(torch.tensor([after]), *out.state), out.attention)

        return beam_search(step, _Placed(unread, *self.state), special, beam)[0]

    def _place(self, place: int, token: int) -> int:
        """Return where a caption stands in the spelling once it has read a token."""
        if place == _UNREAD:
            return self.speller.start
        return FREE if place == FREE else self.speller.follow(place).get(token, FREE)

    def _limit(self, log_probs: Tensor, place: int, *, first: bool, one_word: bool) -> None:
        """Take away, in place, what may not follow at a place of the spelling, (V,)."""
        eos = self.captioner.tokenizer.eos_id
        if place != FREE:
            allowed = list(self.speller.follow(place))
            kept = log_probs[allowed]
            log_probs.fill_(-torch.inf)[allowed] = kept
        elif first:
            if not self.goes_on:
                log_probs[self.inside] = -torch.inf
            if one_word:
                log_probs[eos] = -torch.inf
        elif one_word:
            ends = torch.logsumexp(log_probs[[eos, *self.begins]], 0)
            log_probs[self.begins] = -torch.inf
            log_probs[eos] = ends
