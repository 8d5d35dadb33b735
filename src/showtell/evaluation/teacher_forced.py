"""How well the next word is guessed where all words before it are given: what training itself looks at.

A captioner that guesses well so, and still writes poor captions, loses its way in its own words.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from showtell.data.records import AnnotatedImage
from showtell.models.batch import assemble
from showtell.models.captioner import Captioner

MOST = 300
"""Images that are asked about; of more, as many are taken at equal distances."""
_BATCH = 50
"""Images read side by side, each with all its captions."""


@dataclass(frozen=True)
class TeacherForced:
    """The next word, given the true words before it. Words that are not in the vocabulary are not asked for.

    Attributes:
        images: How many images the captions are of.
        words: How many words and ends of captions were asked for.
        word_accuracy: Share of them that the model found the likeliest, in [0, 1].
        perplexity: Among how many equally likely words the true one hides, 1 or more: exp of the mean
            negative log-probability.
        unknown_words: Share of the captions' words that are not in the vocabulary, in [0, 1].
    """

    images: int
    words: int
    word_accuracy: float
    perplexity: float
    unknown_words: float


@torch.inference_mode()
def teacher_forced(
    captioner: Captioner,
    grids: Callable[[Sequence[AnnotatedImage]], Tensor],
    images: Sequence[AnnotatedImage],
    captions: Mapping[str, Sequence[str]],
) -> TeacherForced:
    """Read captions word by word and ask for the next.

    Args:
        captioner: In evaluation mode.
        grids: Reads the grids (B, L, D) of images to where the captioner is.
        images: Which images; at most ``MOST`` of them are asked about.
        captions: What is read of each, by name; at least one caption an image.
    """
    tokenizer = captioner.tokenizer
    images = images[:: max(1, -(-len(images) // MOST))]
    asked = right = unknown = words = 0
    log_likelihood = 0.0
    for start in range(0, len(images), _BATCH):
        part = images[start : start + _BATCH]
        encoded = [captioner.encode(captions[image.name]) for image in part]
        batch = assemble(grids(part), encoded, tokenizer.pad_id)
        packed = captioner.decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
        targets = batch.targets(packed.position)
        log_probs = packed.logits.float().log_softmax(-1)  # (N, V)
        known = targets != tokenizer.unk_id
        words += int((targets != tokenizer.eos_id).sum())
        unknown += int((~known).sum())
        asked += int(known.sum())
        right += int((log_probs.argmax(-1) == targets)[known].sum())
        log_likelihood += float(log_probs[known, targets[known]].double().sum())
    return TeacherForced(
        images=len(images),
        words=asked,
        word_accuracy=right / asked if asked else 0.0,
        perplexity=math.exp(-log_likelihood / asked) if asked else math.inf,
        unknown_words=unknown / words if words else 0.0,
    )
