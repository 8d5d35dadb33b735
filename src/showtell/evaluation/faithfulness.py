"""Whether attention can be trusted: what a word loses when the cells that it looked at are taken away.

Letters: B images, T words of the longest caption, N words of all, L grid cells, K cells taken away.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from showtell.backbones.grids import joint_shape
from showtell.data.records import AnnotatedImage
from showtell.evaluation.caption_scores import Interval
from showtell.evaluation.intervals import bootstrap_interval
from showtell.evaluation.occlusion import Words, empty_cells, occlusion, read_words
from showtell.models.captioner import Captioner
from showtell.models.decoder import Decoder
from showtell.models.decoding import head_rows

CHOICES = ("depends", "most", "random", "least")
"""Cells that are taken away: those that a word depends on most by itself (occlusion), those that it looked at
most, any, and those it looked at least."""
SHARE = 0.1
"""Of the cells that are taken away."""
_BATCH = 8
"""Images altered side by side: each has as many altered copies of its grid as its caption has words."""
_SEED = 0
"""Of the random cells and of the bootstrap."""
_SEEN_OFTEN = 8
"""A word is listed by itself if it was said as often."""


@dataclass(frozen=True)
class WordDrop:
    """How much one word depends on where the model looked.

    Attributes:
        word: The word.
        count: How often it was said.
        most: Mean drop of its log-probability without the cells that it looked at most.
        random: The same without random cells.
    """

    word: str
    count: int
    most: float
    random: float


@dataclass(frozen=True)
class Faithfulness:
    """Mean drops of a word's log-probability (natural logarithm) when some cells are taken away.

    Attributes:
        images: How many were altered.
        words: How many words their captions have.
        cells: K.
        of_cells: L.
        drops: By which cells were taken away, as in ``CHOICES``, and ``difference``: most less random.
        intervals: 95% bootstrap intervals over images of the same.
        by_word: Words said often, those first for which most and random differ most.
    """

    images: int
    words: int
    cells: int
    of_cells: int
    drops: dict[str, float]
    intervals: dict[str, Interval]
    by_word: tuple[WordDrop, ...]


@torch.inference_mode()
def measure_faithfulness(
    captioner: Captioner,
    grids: Callable[[Sequence[AnnotatedImage]], Tensor],
    images: Sequence[AnnotatedImage],
    captions: Mapping[str, str],
    *,
    share: float = SHARE,
) -> Faithfulness | None:
    """Take cells away from images and see how much less likely each word becomes.

    Each word of a caption gets a copy of the image in which the cells that it looked at most are replaced
    by the mean feature of training. The caption is then read from its start, so that the state before the
    word has not seen those cells either. The same is done with random cells, with those it looked at
    least, and with those whose absence, one at a time, costs the word most.

    Args:
        captioner: In evaluation mode.
        grids: Reads the grids (B, L, D) of images to where the captioner is.
        images: Which images.
        captions: What the captioner said of each, by name.
        share: Of the cells that are taken away, in (0, 1); at least one is.

    Returns:
        The drops; None where no caption has a word.

    Source: the deletion test of Petsiuk et al. 2018, section 3.4, with attention as the saliency.
    """
    tokenizer, decoder = captioner.tokenizer, captioner.decoder
    encoded = {image.name: tokenizer.encode(captions[image.name]) for image in images}
    spoken = [image for image in images if encoded[image.name]]
    if not spoken:
        return None
    generator = torch.Generator().manual_seed(_SEED)
    of_cells, _ = joint_shape(captioner.grids)
    cells = max(1, round(share * of_cells))
    images_of, tokens, drops = [], [], []
    for start in range(0, len(spoken), _BATCH):
        part = spoken[start : start + _BATCH]
        grid = grids(part)
        words = Words.of([encoded[image.name] for image in part], tokenizer.bos_id, grid.device)
        whole, attention = read_words(decoder, grid, words)  # (N,), (N, L)
        noise = torch.rand(attention.shape, generator=generator).to(grid.device)
        occluded = occlusion(decoder, grid, words, whole)
        orders = {"depends": occluded, "most": attention, "random": noise, "least": -attention}
        without = [
            _read_without(decoder, grid, words, orders[which].topk(cells).indices) for which in CHOICES
        ]
        images_of.append(words.image + start)
        tokens.append(words.token)
        drops.append(whole.unsqueeze(1) - torch.stack(without, dim=1))  # (N, 4)
    table = torch.cat(drops).double().cpu().numpy()
    means, intervals = _summary(torch.cat(images_of).cpu().numpy(), table)
    texts = [tokenizer.decode([token]) for token in torch.cat(tokens).tolist()]
    return Faithfulness(
        len(spoken), len(table), cells, of_cells, means, intervals, _by_word(texts, table[:, 1:3].tolist())
    )


def _read_without(decoder: Decoder[Any, Any], grid: Tensor, words: Words, cells: Tensor) -> Tensor:
    """Return the log-probability (N,) of each word when its own copy of the grid lacks cells (N, K)."""
    copies = grid[words.image].to(decoder.feature_mean.dtype)  # (N, L, D)
    copies[torch.arange(len(copies)).unsqueeze(1), cells] = empty_cells(decoder, grid)[cells]
    memory = decoder.encode_grid(copies)
    state = decoder.start(memory)
    found = []
    for time in range(words.read.shape[1]):
        unfinished, later = int((words.time >= time).sum()), int((words.time > time).sum())
        memory, state = head_rows(memory, unfinished), head_rows(state, unfinished)
        token_ids = words.read[words.image[:unfinished], time].unsqueeze(1)  # (unfinished, 1)
        log_probs, state, _ = decoder.step(memory, state, token_ids)
        last = log_probs[later:].squeeze(1)  # of the words that are asked for now, (now, V)
        found.append(last.gather(1, words.token[later:unfinished].unsqueeze(1)).squeeze(1))
    return torch.cat(found[::-1])


def _summary(
    images: npt.NDArray[np.int64], drops: npt.NDArray[np.float64]
) -> tuple[dict[str, float], dict[str, Interval]]:
    """Return mean drops and their intervals, from drops (N, 4) of words of images (N,)."""
    sums = np.zeros((int(images.max()) + 1, len(CHOICES) + 1))
    np.add.at(sums, images, np.column_stack([drops, np.ones(len(drops))]))

    def means(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        mean = sums[..., : len(CHOICES)] / sums[..., len(CHOICES) :]
        return np.concatenate([mean, mean[..., 1:2] - mean[..., 2:3]], axis=-1)

    names = (*CHOICES, "difference")
    bounds = bootstrap_interval(sums, means, seed=_SEED).tolist()
    return (
        dict(zip(names, means(sums.sum(0)).tolist())),
        {name: (low, high) for name, (low, high) in zip(names, bounds)},
    )


def _by_word(words: Sequence[str], drops: Sequence[Sequence[float]]) -> tuple[WordDrop, ...]:
    found: defaultdict[str, list[Sequence[float]]] = defaultdict(list)
    for word, drop in zip(words, drops):
        found[word].append(drop)
    often = [
        WordDrop(word, len(rows), *np.mean(rows, axis=0).tolist())
        for word, rows in found.items()
        if len(rows) >= _SEEN_OFTEN
    ]
    return tuple(sorted(often, key=lambda drop: (drop.random - drop.most, drop.word)))
