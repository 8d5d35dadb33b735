"""A transformer caption decoder over a grid of features, in plain torch.

Source: Vaswani et al. 2017, "Attention Is All You Need", sections 3.1-3.5; norms stand before each sublayer
(Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture"). The heads of the attention to
earlier words share one key and one value a word (Shazeer 2019, "Fast Transformer Decoding", section 3), so
that what a search keeps of a caption, and copies at every word, is small.

Letters in comments: B images, K captions an image, T words of the longest, N words of a whole batch, Q
queries an image, S whatever is attended to, L grid cells, D ``feature_dim``, H ``hidden_dim``, M layers, A
heads, E = H / A width of a head, C places of the cache, V ``vocab_size``.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.models.batch import Whole
from showtell.models.config import DecoderConfig
from showtell.models.decoder import Decoder, Packed, words_by_time
from showtell.models.decoding import StepOutput
from showtell.models.kernels.operations import drop, index_select_unique
from showtell.models.norm import LayerNorm

LAYERS = 2
"""Layers of the decoder, M."""
HEAD_WIDTH = 64
"""Width of a head, E, where the decoder's width is a multiple of it (Vaswani et al. 2017, section 3.2.2)."""

Recall = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From queries (..., H), keys and values (..., E) of words to what each finds in those up to it, (..., H)."""
Dropped = Callable[[Tensor], Tensor]
"""From values to values of which some are left out."""


class Look(Protocol):
    """Attend to cells: from queries (..., H) to contexts (..., H) and weights over cells."""

    def __call__(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """``keys`` and ``values`` are (B, A, L, E)."""


class Memory(NamedTuple):
    """What the decoder keeps of an image.

    Attributes:
        grid_keys: Keys of the cells for each layer and head, (B, M, A, L, E).
        grid_values: Their values, (B, M, A, L, E).
    """

    grid_keys: Tensor
    grid_values: Tensor


class State(NamedTuple):
    """What the decoder keeps of a caption: a cache of constant size, as an exported graph needs it.

    Attributes:
        word_keys: Keys of the words read so far for each layer, (B, K, M, C, E); zeros where there is none.
        word_values: Their values, (B, K, M, C, E).
        time: How many words were read, (B, K), int64.
    """

    word_keys: Tensor
    word_values: Tensor
    time: Tensor


class TransformerDecoder(Decoder[Memory, State]):
    """Predict a caption word by word, attending to the words so far and to the grid.

    ``attention`` is that of the last layer to the cells, the mean over its heads. Word vectors are as wide as
    the decoder, H; ``embed_dim`` and ``attention_dim`` are not used. A word sees itself and ``max_length``
    words before it: all there are in a caption of a usual length, the latest ones in a longer one.
    """

    frequency: Tensor
    phase: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        width = config.hidden_dim
        heads = next(count for count in range(max(1, width // HEAD_WIDTH), 0, -1) if width % count == 0)
        self.heads = heads
        self.value = nn.Linear(config.feature_dim, width)
        self.value_norm = LayerNorm(width)
        self.of_cell = nn.Linear(width, LAYERS * 2 * width)
        self.embed = nn.Embedding(config.vocab_size, width)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(LAYERS))
        self.output_norm = LayerNorm(width)
        # Without a map between them, tied word vectors would at first foretell the very word just read.
        self.output = nn.Linear(width, width)
        self.output_bias = nn.Parameter(torch.zeros(config.vocab_size))
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        unit = torch.arange(width)
        self.register_buffer("frequency", 10_000.0 ** (-(unit // 2 * 2) / width), persistent=False)
        self.register_buffer("phase", (unit % 2) * (torch.pi / 2), persistent=False)

    @property
    def places(self) -> int:
        """Return C: ``bos`` and as many words as a caption has at most."""
        return self.config.max_length + 1

    def encode_grid(self, grid: Tensor) -> Memory:
        """Compute keys and values of grids (B, L, D) for all layers; see :meth:`Decoder.encode_grid`."""
        return self._project(self.standardise(grid))

    def start(self, memory: Memory) -> State:
        """Return an empty cache; see :meth:`Decoder.start`."""
        images, width = memory.grid_keys.shape[0], memory.grid_keys.shape[-1]
        empty = memory.grid_keys.new_zeros(images, 1, LAYERS, self.places, width)
        time = torch.zeros(images, 1, dtype=torch.long, device=empty.device)
        return State(empty, empty.clone(), time)

    def step(self, memory: Memory, state: State, token_ids: Tensor) -> StepOutput:
        """Read one word of each caption, (B, K), and score the next; see :meth:`Decoder.step`."""
        words = self._place(F.embedding(token_ids, self.embed.weight), state.time)  # (B, K, H)
        place = torch.arange(self.places, device=token_ids.device)
        # A caption longer than the cache writes over its first words.
        here = (place == (state.time % self.places).unsqueeze(-1)).unsqueeze(-1)  # (B, K, C, 1)
        seen = (place <= state.time.unsqueeze(-1)).unsqueeze(-2)  # (B, K, 1, C)
        cached: list[tuple[Tensor, Tensor]] = []

        def recall(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            layer = len(cached)  # they come one after the other
            keys = torch.where(here, key.unsqueeze(2), state.word_keys[:, :, layer])  # (B, K, C, E)
            values = torch.where(here, value.unsqueeze(2), state.word_values[:, :, layer])
            cached.append((keys, values))
            return attend(query.unflatten(-1, (self.heads, -1)), keys, values, seen)[0].flatten(-2)

        words, weights = self._through_layers(words, memory, recall, self._look, _keep)
        scores = self._logits(self.output(self.output_norm(words)))  # (B, K, V)
        keys, values = (torch.stack(parts, 2) for parts in zip(*cached))
        moved = State(keys, values, state.time + 1)
        return StepOutput(F.log_softmax(scores.float(), dim=-1), moved, weights.mean(1))

    def teacher_forced(
        self, grid: Tensor, token_ids: Tensor, lengths: Tensor, whole: Whole | None = None
    ) -> Packed:
        """Read whole captions; see :meth:`Decoder.teacher_forced`.

        Only attention computes anything for padding: the rest has a row for each real word.
        """
        share = self.config.grid_dropout if self.training else 0.0
        images, captions = lengths.shape
        steps = int(lengths.max())  # T
        time, image, caption = words_by_time(lengths).to(grid.device).unbind(1)  # (N,) each
        part = whole.words(words_by_time(whole.lengths)[:, 1]) if whole else None
        flat = (image * captions + caption) * steps + time  # of each word in (B, K, T), (N,)
        memory = self._project(drop(self.standardise(grid), share, whole.images if whole else None))
        # Units are dropped from a word, not from its occurrences: they are the same wherever it stands.
        vectors = drop(self.embed.weight, self.config.word_dropout if self.training else 0.0)  # (V, H)
        words = self._place(F.embedding(token_ids[image, caption, time], vectors), time)  # (N, H)
        at = torch.arange(steps, device=grid.device)
        before = at.unsqueeze(1) - at  # (T, T)
        seen = (before >= 0) & (before < self.places)

        def padded(rows: Tensor) -> Tensor:
            return rows.new_zeros(images * captions * steps, rows.shape[-1]).index_copy(0, flat, rows)

        def recall(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            queries, keys, values = (
                padded(part).view(images * captions, steps, -1) for part in (query, key, value)
            )
            # To keys that heads share, the queries of several heads are several queries: (B * K, T * A, E).
            queries = queries.unflatten(-1, (self.heads, -1)).flatten(1, 2)
            found, _ = attend(queries, keys, values, seen.repeat_interleave(self.heads, 0))
            return index_select_unique(found.reshape(images * captions * steps, -1), flat)

        def look(query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
            context, weights = self._look(padded(query).view(images, captions * steps, -1), keys, values)
            return index_select_unique(context.flatten(0, 1), flat), weights

        dropped = partial(drop, share=share, part=part)
        words, weights = self._through_layers(words, memory, recall, look, dropped)
        attention = index_select_unique(weights.mean(1).flatten(0, 1), flat)  # (N, L)
        deep = self.output(self.output_norm(words))  # (N, H)
        deep = drop(deep, self.config.dropout if self.training else 0.0, part)
        return Packed(self._logits(deep), attention, torch.stack([image, caption, time], dim=1))

    def _project(self, features: Tensor) -> Memory:
        """Turn standardised features (B, L, D) into keys and values of each layer."""
        cells = self.value_norm(torch.relu(self.value(features)))  # (B, L, H)
        parts = self.of_cell(cells).unflatten(-1, (LAYERS, 2, self.heads, -1))  # (B, L, M, 2, A, E)
        keys, values = parts.movedim(1, 4).unbind(2)  # (B, M, A, L, E) each
        return Memory(keys.contiguous(), values.contiguous())  # a graph of a step knows no other strides

    def _through_layers(
        self, words: Tensor, memory: Memory, recall: Recall, look: Look, dropped: Dropped
    ) -> tuple[Tensor, Tensor]:
        """Move words (..., H) through all layers; return them and the weights of the last ``look``."""
        for layer, keys, values in zip(self.layers, memory.grid_keys.unbind(1), memory.grid_values.unbind(1)):
            words, weights = layer(words, recall, partial(look, keys=keys, values=values), dropped)
        return words, weights

    def _place(self, vectors: Tensor, time: Tensor) -> Tensor:
        """Add a word's place to its vector (..., H), scaled to the same size (section 3.4 and 3.5)."""
        angle = time.unsqueeze(-1).to(self.frequency.dtype) * self.frequency + self.phase
        return vectors * math.sqrt(self.config.hidden_dim) + torch.sin(angle)

    def _look(self, query: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to cells: (B, Q, H) to contexts (B, Q, H) and weights (B, A, Q, L)."""
        context, weights = attend(query.unflatten(-1, (self.heads, -1)).transpose(1, 2), keys, values)
        return context.transpose(1, 2).flatten(-2), weights

    def _logits(self, deep: Tensor) -> Tensor:
        """Score the vocabulary by weights tied to the word vectors: (..., H) to (..., V)."""
        return F.linear(deep, self.embed.weight, self.output_bias)


class _Layer(nn.Module):
    """Attention to words, attention to cells and a feed-forward network, each added to what it reads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._word_parts = (width, width // heads, width // heads)
        self.recall_norm = LayerNorm(width)
        self.of_word = nn.Linear(width, sum(self._word_parts))
        self.recall_output = nn.Linear(width, width)
        self.look_norm = LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.look_output = nn.Linear(width, width)
        self.feed_norm = LayerNorm(width)
        self.inner = nn.Linear(width, 2 * width)
        self.outer = nn.Linear(2 * width, width)

    def forward(
        self,
        words: Tensor,
        recall: Recall,
        look: Callable[[Tensor], tuple[Tensor, Tensor]],
        dropped: Dropped,
    ) -> tuple[Tensor, Tensor]:
        """Move words (..., H) on by a layer.

        Args:
            words: Of any shape that ``recall`` and ``look`` take.
            recall: Attends to words.
            look: Attends to cells: from queries (..., H) to contexts (..., H) and weights.
            dropped: Leaves units out of what each sublayer adds (section 5.4).

        Returns:
            The same shape, and the weights of ``look``.
        """
        query, key, value = self.of_word(self.recall_norm(words)).split(self._word_parts, dim=-1)
        words = words + dropped(self.recall_output(recall(query, key, value)))
        context, weights = look(self.query(self.look_norm(words)))
        words = words + dropped(self.look_output(context))
        inner = torch.relu(self.inner(self.feed_norm(words)))
        return words + dropped(self.outer(inner)), weights


def _keep(values: Tensor) -> Tensor:
    return values


def attend(query: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Attend by scaled products (section 3.2.1).

    Args:
        query: (..., Q, E).
        keys: (..., S, E).
        values: (..., S, E).
        seen: Which may be attended to, (..., Q, S), bool; None for all.

    Returns:
        Contexts (..., Q, E) and weights (..., Q, S), float32, which sum to 1 over S.
    """
    scores = query @ (keys * keys.shape[-1] ** -0.5).mT  # (..., Q, S)
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    weights = F.softmax(scores.float(), dim=-1)
    return weights.to(values.dtype) @ values, weights
