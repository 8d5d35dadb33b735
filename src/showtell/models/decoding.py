"""Turn next-word scores into captions: beam search (greedy is a beam of one) and sampling.

Knows no model: a decoder is anything with ``step`` (see :mod:`showtell.models.decoder`). Letters: B images,
K rows (beams or samples) an image, V vocabulary, L grid cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from showtell.models.dropout import Part
from showtell.models.likeliest import likeliest

Rows = tuple[Tensor, ...]
"""A decoder's state: a named tuple of tensors, each (B, K, ...)."""

Parts = TypeVar("Parts", bound=tuple[Tensor, ...])


class StepOutput(NamedTuple):
    """What one step returns: log-probabilities (B, K, V), the next state, attention weights (B, K, L)."""

    log_probs: Tensor
    state: Rows
    attention: Tensor


Step = Callable[[Rows, Tensor], StepOutput]
"""``step(state, token_ids)`` with token_ids (B, K), the words just read."""


@dataclass(frozen=True)
class SpecialTokens:
    """The tokens that a search knows by their ids.

    Attributes:
        bos_id: Read first.
        eos_id: Ends a caption.
        never: Ids that are never generated (padding, ``bos``, the unknown word).
    """

    bos_id: int
    eos_id: int
    never: tuple[int, ...] = ()


@dataclass(frozen=True)
class Hypothesis:
    """One finished caption.

    Attributes:
        token_ids: Words without ``bos`` and ``eos``.
        log_probability: Sum over words and ``eos``, natural logarithm.
        token_log_probabilities: One a word, then ``eos`` where it was reached.
        attention: Weights behind each word, (T, L), float32; rows sum to 1.
    """

    token_ids: list[int]
    log_probability: float
    token_log_probabilities: list[float]
    attention: Tensor


class _Trace:
    """Back-pointers of a search: enough to read any row's words, scores and attention at the end.

    Kept as plain lists and arrays: tensors read number by number take three times as long.
    """

    def __init__(self) -> None:
        self.parents: list[list[list[int]]] = []
        self.tokens: list[list[list[int]]] = []
        self.scores: list[list[list[float]]] = []
        self.attention: list[npt.NDArray[np.float32]] = []

    def append(self, parents: Tensor, tokens: Tensor, scores: Tensor, attention: Tensor) -> None:
        self.parents.append(parents.tolist())
        self.tokens.append(tokens.tolist())
        self.scores.append(scores.tolist())
        self.attention.append(attention.float().cpu().numpy())

    def read(self, image: int, row: int, length: int, last: tuple[int, float, int] | None) -> Hypothesis:
        """Follow back-pointers from ``row`` after ``length`` words; ``last`` is (row, log p, time) of eos."""
        tokens: list[int] = []
        scores: list[float] = []
        looks: list[npt.NDArray[np.float32]] = []
        for time in range(length - 1, -1, -1):
            parent = self.parents[time][image][row]
            tokens.append(self.tokens[time][image][row])
            scores.append(self.scores[time][image][row])
            looks.append(self.attention[time][image, parent])
            row = parent
        tokens.reverse()
        scores.reverse()
        if last is not None:
            scores.append(last[1])
        cells = self.attention[0].shape[-1] if self.attention else 0
        attention = torch.from_numpy(np.stack(looks[::-1])) if looks else torch.zeros(0, cells)
        return Hypothesis(tokens, sum(scores), scores, attention)


AHEAD = 2
"""Certain words that a growing caption is trusted with."""


@dataclass(frozen=True)
class Beam:
    """How the likeliest captions are searched.

    Attributes:
        size: K, captions kept per image, at least 1.
        max_length: Most words in a caption, at least 1. One with as many is cut: its end is not looked for.
        length_penalty: 0 compares sums, 1 means; at least 0.
        ahead: A growing caption is given up where it would not be among the best even if its next so many
            words were certain, and it ended then; at least 0. With `max_length` nothing is given up that
            could still be: half as many steps again, for the same captions (docs/log.md, "When a search
            gives up").
    """

    size: int = 3
    max_length: int = 40
    length_penalty: float = 1.0
    ahead: int = AHEAD


USUAL_BEAM = Beam()


class _Finished:
    """Captions of one image that have ended, best first, as (score, time, row, log p of ``eos``)."""

    def __init__(self, beam: Beam) -> None:
        self.beam = beam
        self.captions: list[tuple[float, int, int, float]] = []

    def add(self, caption: tuple[float, int, int, float]) -> None:
        """Put a caption among them, where it is one of the best."""
        self.captions.append(caption)
        self.captions.sort(reverse=True)
        del self.captions[self.beam.size :]

    def is_done(self, bound: float) -> bool:
        """Say whether no growing caption, at best worth ``bound``, can enter."""
        if len(self.captions) < self.beam.size:
            return bound == -torch.inf
        return self.beam.size == 1 or self.captions[-1][0] >= bound


def beam_search(
    step: Step, state: Rows, special: SpecialTokens, beam: Beam = USUAL_BEAM
) -> list[list[Hypothesis]]:
    """Find the likeliest captions of a batch of images.

    Finished captions compete by log-probability divided by their length (``eos`` counted) to the power of
    ``beam.length_penalty`` (Wu et al. 2016, eq. 14, without its offset); growing ones by plain
    log-probability.
    An image is done when no growing caption is promising enough to enter its finished ones (``beam.ahead``).
    A beam of one is greedy: it ends where ``eos`` is the likeliest word, and no longer caption competes.

    Args:
        step: The decoder.
        state: Its first state; every tensor (B, 1, ...).
        special: Special ids.
        beam: Its width, the longest caption, and how captions of different lengths compete.

    Returns:
        For each image up to ``beam.size`` hypotheses of more than no probability, best first. Captions cut
        at ``beam.max_length`` are used only where too few ended by themselves.
    """
    images, device = state[0].shape[0], state[0].device
    tokens = torch.full((images, 1), special.bos_id, device=device)
    total = torch.zeros(images, 1, device=device)
    others = torch.tensor((special.eos_id, *special.never), device=device)
    trace = _Trace()
    finished = [_Finished(beam) for _ in range(images)]
    open_images = set(range(images))
    for time in range(beam.max_length):
        log_probs, state, attention = step(state, tokens)
        ending_step = log_probs[..., special.eos_id]  # (B, K)
        ending = total + ending_step
        # A beam's words are among the likeliest of each row, with as many more as are not words.
        values, words = likeliest(log_probs, beam.size + len(others))  # (B, K, N) each
        values = values.masked_fill(torch.isin(words, others), -torch.inf)
        candidates = (total.unsqueeze(-1) + values).flatten(1)  # (B, K * N)
        best, flat = candidates.topk(min(beam.size, candidates.shape[1]), dim=-1)  # (B, beam)
        parents, chosen = flat // words.shape[-1], words.flatten(1).gather(1, flat)
        # An ending enters the finished captions where it ranks among the best continuations. A small
        # vocabulary has fewer continuations than the beam; impossible ones then fill it up.
        enters = (ending >= best[:, -1:]) & ending.isfinite()
        places = [(image, row) for image, row in enters.nonzero().tolist() if image in open_images]
        if places:
            scores = (ending / (time + 1) ** beam.length_penalty).tolist()
            steps = ending_step.tolist()
            for image, row in places:
                finished[image].add((scores[image][row], time, row, steps[image][row]))
        chosen_step = values.flatten(1).gather(1, flat)
        trace.append(parents, chosen, chosen_step.float(), attention)
        # Log-probabilities only fall, and the largest divisor is that of the longest caption hoped for.
        longest = min(beam.max_length, time + 2 + beam.ahead)
        bound = (best[:, 0] / longest**beam.length_penalty).tolist()
        open_images -= {i for i in open_images if finished[i].is_done(bound[i])}
        tokens, total = chosen, best
        if not open_images:
            break
        state = select_rows(state, parents)
    return [_results(trace, image, finished[image], total[image]) for image in range(images)]


def _results(trace: _Trace, image: int, finished: _Finished, total: Tensor) -> list[Hypothesis]:
    results = [trace.read(image, row, time, (row, log_p, time)) for _, time, row, log_p in finished.captions]
    cut = total.isfinite().nonzero().flatten().tolist()[: finished.beam.size - len(results)]
    return results + [trace.read(image, row, len(trace.tokens), None) for row in cut]


@dataclass(frozen=True)
class Sampling:
    """How captions are drawn at random.

    Attributes:
        samples: K, captions drawn per image.
        temperature: Divides the log-probabilities; above 0.
        max_tokens: Most words in a caption; one with as many is cut.
    """

    samples: int = 1
    temperature: float = 1.0
    max_tokens: int = 40


def sample(
    step: Step,
    state: Rows,
    special: SpecialTokens,
    sampling: Sampling,
    generator: torch.Generator | None = None,
    part: Part | None = None,
    everywhere: Callable[[bool], bool] = bool,
) -> Tensor:
    """Draw captions at random from the model's own distribution.

    Args:
        step: The decoder.
        state: Its first state; every tensor (B, 1, ...).
        special: Special ids.
        sampling: How many captions, how long, and how near the likeliest.
        generator: Source of randomness; None for the global one.
        part: Which images of a batch that processes share these are: words are drawn for all of it, so that
            an image's do not depend on who has it. None where they are all of it.
        everywhere: Asked at each word whether the captions of all processes have ended, given whether these
            have.

    Returns:
        Token ids (B, K, T), T at most ``sampling.max_tokens``; everything after ``eos`` is ``eos``.
    """
    images, device, count = state[0].shape[0], state[0].device, sampling.samples
    state = select_rows(state, torch.zeros(images, count, dtype=torch.long, device=device))
    tokens = torch.full((images, count), special.bos_id, device=device)
    ended = torch.zeros(images, count, dtype=torch.bool, device=device)
    drawn: list[Tensor] = []
    for _ in range(sampling.max_tokens):
        log_probs, state, _ = step(state, tokens)
        probs = torch.softmax(_forbid(log_probs, special.never).float() / sampling.temperature, dim=-1)
        if part is not None:
            probs = probs.new_ones(part.count, *probs.shape[1:]).index_copy(0, part.index.to(device), probs)
        tokens = torch.multinomial(probs.flatten(0, 1), 1, generator=generator).view(-1, count)
        tokens = tokens if part is None else part.of(tokens)
        tokens = tokens.masked_fill(ended, special.eos_id)
        drawn.append(tokens)
        ended |= tokens == special.eos_id
        if everywhere(bool(ended.all())):
            break
    return torch.stack(drawn, dim=-1)


def select_rows(state: Parts, rows: Tensor) -> Parts:
    """Pick rows of every image's state.

    Args:
        state: A named tuple of tensors (B, K, ...).
        rows: Indices along K, (B, N).

    Returns:
        The same kind of tuple with tensors (B, N, ...).
    """
    images, count = rows.shape
    places = torch.arange(images, device=rows.device).unsqueeze(1)

    def pick(tensor: Tensor) -> Tensor:
        flat = (places * tensor.shape[1] + rows).flatten()
        picked: Tensor = tensor.flatten(0, 1).index_select(0, flat).unflatten(0, (images, count))
        return picked

    return type(state)(*map(pick, state))


def head_rows(parts: Parts, count: int) -> Parts:
    """Keep the first rows of the first axis.

    A tensor that has no more of them is returned as it is: slicing it would cost its gradient a copy.

    Args:
        parts: A named tuple of tensors.
        count: How many rows.

    Returns:
        The same kind of tuple.
    """
    return type(parts)(*(part if len(part) == count else part[:count] for part in parts))


def _forbid(log_probs: Tensor, never: Sequence[int]) -> Tensor:
    if never:
        log_probs = log_probs.clone()
        log_probs[..., list(never)] = -torch.inf
    return log_probs
