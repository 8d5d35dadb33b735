"""Teacher forcing without padding: :meth:`AttentionDecoder.teacher_forced`, faster.

Captions are rows, longest first (see :mod:`showtell.models.kernels.packing`). Only the attention computes
anything for padding, and little where captions come sorted. A word that occurs more than once is read once,
and the units dropped from it are the same wherever it occurs in the batch.

Letters: B images, K captions an image, R captions with a word, N words in all, U distinct words, L grid
cells, E ``embed_dim``, H ``hidden_dim``, A ``attention_dim``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from showtell.models.batch import Whole
from showtell.models.config import DecoderConfig
from showtell.models.decoder import Packed
from showtell.models.decoding import head_rows
from showtell.models.dropout import Part
from showtell.models.kernels.operations import FusedLinear, drop, gather_repeated, index_select_unique
from showtell.models.kernels.packing import TimeStep, pack


class Equations(Protocol):
    """What the packed pass takes of a decoder; shapes are those of ``AttentionDecoder``, which has them.

    Memory and state are its own named tuples of tensors, whose first axis is that of the rows.
    """

    config: DecoderConfig
    training: bool
    embed: nn.Embedding

    def standardise(self, grid: Tensor) -> Tensor:
        """Centre and scale a grid."""

    def project(self, features: Tensor) -> Any:
        """Turn a grid into a memory."""

    def start(self, memory: Any) -> Any:
        """Return the first state."""

    def input_gates(self, words: Tensor) -> Tensor:
        """Turn word vectors into gates."""

    def projections(self, linear: Callable[[Tensor, Tensor | None], Callable[[Tensor], Tensor]]) -> Any:
        """Return the linear maps of the recurrence."""

    def attend(self, memory: Any, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return context and weights."""

    def cell_step(
        self, attend: Callable[[Tensor], tuple[Tensor, Tensor]], state: Any, gates: Tensor, projections: Any
    ) -> tuple[Any, Tensor, Tensor]:
        """Return the next state, the context and the weights."""

    def deep_output(self, words: Tensor, hidden: Tensor, context: Tensor) -> Tensor:
        """Join word, state and context."""

    def logits(self, deep: Tensor) -> Tensor:
        """Score the vocabulary."""


def are_faster_on(device: torch.device) -> bool:
    """Return whether the kernels are to be taken: on CPUs, unless a graph is being exported or compiled."""
    return device.type == "cpu" and not torch.compiler.is_compiling()


def packed_forward(
    decoder: Equations, grid: Tensor, token_ids: Tensor, lengths: Tensor, whole: Whole | None = None
) -> Packed:
    """Read whole captions with teacher forcing.

    Args:
        decoder: Whose parameters and equations to use.
        grid: Frozen features, (B, L, D).
        token_ids: Words to read, ``bos`` first, (B, K, T), int64.
        lengths: Words to read of each caption, (B, K), 0 where an image has fewer captions.
        whole: The batch that these images are a part of; None for all of it.

    Returns:
        One entry for each real word, ordered by time.
    """
    config = decoder.config
    word_dropout, grid_dropout, dropout = (
        share if decoder.training else 0.0
        for share in (config.word_dropout, config.grid_dropout, config.dropout)
    )
    packing = pack(lengths, token_ids.device)
    distinct, occurrences = token_ids[packing.position.unbind(1)].unique(return_inverse=True)  # (U,), (N,)
    of_words, of_vectors = (None, None) if whole is None else _parts_of(whole, distinct)
    vectors = drop(decoder.embed(distinct), word_dropout, of_vectors)  # (U, E)
    gates = gather_repeated(decoder.input_gates(vectors), occurrences)  # (N, G)
    first_gates, *later_gates = gates.split([step.rows for step in packing.time_steps])  # (rows, G) each
    memory = decoder.project(drop(decoder.standardise(grid), grid_dropout, whole.images if whole else None))
    projections = decoder.projections(FusedLinear)

    # All captions of an image begin with bos: it is read once an image, (B, 1), then copied to the rows.
    state, context, weights = decoder.cell_step(
        partial(decoder.attend, memory), decoder.start(memory), first_gates[:1], projections
    )
    state = type(state)(*(part.squeeze(1).index_select(0, packing.image) for part in state))  # (R, H)
    context = context.squeeze(1).index_select(0, packing.image)  # (R, H)
    weights = weights.squeeze(1).index_select(0, packing.image)  # (R, L)
    found = [(state.hidden, context, weights)]
    for step, step_gates in zip(packing.time_steps[1:], later_gates):
        memory, state = head_rows(memory, step.images), head_rows(state, step.rows)
        state, context, weights = decoder.cell_step(
            partial(_attend_rows, decoder, memory, step), state, step_gates, projections
        )
        found.append((state.hidden, context, weights))
    hidden, context, weights = (torch.cat(part) for part in zip(*found))  # (N, H), (N, H), (N, L)
    words = gather_repeated(vectors, occurrences)  # (N, E)
    deep = drop(decoder.deep_output(words, hidden, context), dropout, of_words)  # (N, E)
    return Packed(decoder.logits(deep), weights, packing.position)


def _parts_of(whole: Whole, distinct: Tensor) -> tuple[Part, Part]:
    """Return which words, and which distinct ones, of a whole batch are ours, given ours (U,), ascending."""
    position = pack(whole.lengths, distinct.device).position
    words = whole.token_ids[position.unbind(1)].unique()
    return whole.words(position[:, 0]), Part(torch.searchsorted(words, distinct).cpu(), len(words))


def _attend_rows(decoder: Equations, memory: Any, step: TimeStep, query: Tensor) -> tuple[Tensor, Tensor]:
    """Attend for rows: query (rows, A) to context (rows, H) and weights (rows, L)."""
    padded = query.new_zeros(step.images * step.captions, query.shape[1])
    padded = padded.index_copy(0, step.flat_index, query)
    context, weights = decoder.attend(memory, padded.unflatten(0, (step.images, step.captions)))
    return (
        index_select_unique(context.flatten(0, 1), step.flat_index),
        index_select_unique(weights.flatten(0, 1), step.flat_index),
    )
