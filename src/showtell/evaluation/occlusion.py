"""What a word rests on: how much less likely it becomes without one part of the image.

Attention says where a decoder looked; on photographs it is nearly even, and what it marks explains little.
This asks the model itself.

Letters: B images, T words of the longest caption, N words of all, L grid cells.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from showtell.backbones.grids import as_map
from showtell.data.records import AnnotatedImage
from showtell.models.captioner import Caption, Captioner
from showtell.models.decoder import Decoder

_BATCH = 8
"""Images read side by side."""


class Words(NamedTuple):
    """The words of a batch of captions, the last ones first, so that unfinished rows are a head of all rows.

    Attributes:
        read: What is read before each word, ``bos`` first, (B, T), int64.
        image: Of each word, (N,), int64.
        time: Of each word, (N,), int64.
        token: The word itself, (N,), int64.
    """

    read: Tensor
    image: Tensor
    time: Tensor
    token: Tensor

    @classmethod
    def of(cls, captions: Sequence[Sequence[int]], bos_id: int, device: torch.device) -> "Words":
        """Lay out captions as token ids, B of them, without ``bos`` and ``eos``."""
        read = torch.full((len(captions), max(map(len, captions))), bos_id)
        for row, ids in enumerate(captions):
            read[row, 1 : len(ids)] = torch.tensor(ids[:-1])
        positions = [(row, time, token) for row, ids in enumerate(captions) for time, token in enumerate(ids)]
        positions.sort(key=lambda position: -position[1])
        return cls(read.to(device), *torch.tensor(positions).to(device).unbind(1))


def read_words(decoder: Decoder[Any, Any], grid: Tensor, words: Words) -> tuple[Tensor, Tensor]:
    """Return the log-probability (N,) and the attention (N, L) of each word."""
    memory = decoder.encode_grid(grid)
    state = decoder.start(memory)
    log_probs, attention = [], []
    for token_ids in words.read.unbind(1):
        output = decoder.step(memory, state, token_ids.unsqueeze(1))
        state = output.state
        log_probs.append(output.log_probs.squeeze(1))  # (B, V)
        attention.append(output.attention.squeeze(1))  # (B, L)
    chosen = words.time, words.image
    return torch.stack(log_probs)[(*chosen, words.token)], torch.stack(attention)[chosen]


def empty_cells(decoder: Decoder[Any, Any], grid: Tensor) -> Tensor:
    """Return what stands in the cells of a grid (B, L, D) that say nothing, (L, D): the means of training.

    Each cell has its own where several networks make the grid.
    """
    return decoder.feature_mean.expand(grid.shape[1:])


def occlusion(decoder: Decoder[Any, Any], grid: Tensor, words: Words, whole: Tensor) -> Tensor:
    """Return by how much the log-probability of each word falls without each cell alone, (N, L).

    A cell is taken away by the mean feature of training in its place; the caption is read from its start.

    Args:
        decoder: In evaluation mode.
        grid: (B, L, D).
        words: Of the captions of these images.
        whole: Log-probabilities with the whole grid, (N,).

    Source: Zeiler & Fergus 2014, section 4.2, on the cells of the grid.
    """
    grid, nothing = grid.to(decoder.feature_mean.dtype), empty_cells(decoder, grid)
    falls = []
    for cell in range(grid.shape[1]):
        without = grid.clone()
        without[:, cell] = nothing[cell]
        falls.append(whole - read_words(decoder, without, words)[0])
    return torch.stack(falls, 1)


@torch.inference_mode()
def dependence(
    captioner: Captioner,
    grids: Callable[[Sequence[AnnotatedImage]], Tensor],
    images: Sequence[AnnotatedImage],
    captions: Mapping[str, Caption],
) -> dict[str, Caption]:
    """Return captions by name whose maps show what each word depends on, in place of where the model looked.

    A map holds the fall of the word's log-probability without each cell, 0 where there is none: (rows,
    columns), in nats. It does not sum to 1.

    Args:
        captioner: In evaluation mode.
        grids: Reads the grids (B, L, D) of images to where the captioner is.
        images: Which images.
        captions: What the captioner said of each, by name.
    """
    tokenizer, found = captioner.tokenizer, dict(captions)
    spoken = [image for image in images if captions[image.name].words]
    for start in range(0, len(spoken), _BATCH):
        part = spoken[start : start + _BATCH]
        encoded = [captions[image.name].token_ids for image in part]
        grid = grids(part)
        words = Words.of(encoded, tokenizer.bos_id, grid.device)
        falls = occlusion(captioner.decoder, grid, words, read_words(captioner.decoder, grid, words)[0])
        for row, (image, ids) in enumerate(zip(part, encoded)):
            own = words.image == row
            of_token = torch.zeros(len(ids), falls.shape[1]).index_copy(
                0, words.time[own].cpu(), falls[own].float().cpu()
            )
            falls_of = [
                of_token[first:end].sum(0).clamp_min(0) for _, first, end in tokenizer.word_spans(ids)
            ]
            maps = as_map(torch.stack(falls_of), captioner.grids)  # (words, rows, columns)
            caption = captions[image.name]
            words_said = zip(caption.words, maps, strict=True)
            found[image.name] = replace(
                caption, words=tuple(replace(word, attention=each) for word, each in words_said)
            )
    return found
