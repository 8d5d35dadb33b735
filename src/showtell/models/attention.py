"""A recurrent caption decoder with soft additive attention over a grid of features.

Source: Xu et al. 2015, "Show, Attend and Tell", sections 3.1 and 4; the additive score is Bahdanau et al.
2015, appendix A.1.2. Letters in comments: B pictures, K captions a picture, T words, L grid cells, D
``feature_dim``, H ``hidden_dim``, A ``attention_dim``, V ``vocab_size``.

Every caption of a picture shares the picture's projected grid: captions attend as (B, K), never to B * K
copies of the grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.models.decoding import Rows, StepOutput
from showtell.models.dropout import drop
from showtell.models.gradients import AdditiveScore, Repeated, SharedLinear, Taken
from showtell.models.packing import Moment, pack
from showtell.text.words import USUAL_LENGTH

Cell = Literal["lstm", "gru"]
Group = TypeVar("Group", "Memory", "State")
Look = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class AttentionConfig:
    """The sizes of an :class:`AttentionDecoder`.

    Attributes:
        vocab_size: Number of tokens, special ones included.
        feature_dim: Channels of one grid cell.
        hidden_dim: Width of the recurrent state and of the projected grid.
        embed_dim: Width of a word vector; the output layer shares the word vectors.
        attention_dim: Width of the space in which words and cells are compared.
        cell: The recurrent cell.
        dropout: Share of units dropped in the output, in [0, 1); in the word vectors 0.6 of it, in the grid
            0.4. The recurrent state stays whole (docs/log.md).
        max_length: Most tokens of a caption, in training and in the search.
    """

    vocab_size: int
    feature_dim: int
    hidden_dim: int = 512
    embed_dim: int = 512
    attention_dim: int = 512
    cell: Cell = "lstm"
    dropout: float = 0.5
    max_length: int = USUAL_LENGTH


class Memory(NamedTuple):
    """What the decoder keeps of a picture, computed once a picture.

    Attributes:
        values: Projected grid that contexts are drawn from, (B, L, H).
        keys: The grid in attention space, (B, L, A).
    """

    values: Tensor
    keys: Tensor


class State(NamedTuple):
    """The recurrent state: ``hidden`` and ``cell`` (the LSTM's; equal to ``hidden`` for a GRU), (..., H)."""

    hidden: Tensor
    cell: Tensor


class Packed(NamedTuple):
    """Real words only, without padding.

    Attributes:
        deep: Input of :meth:`AttentionDecoder.logits`, (N, embed_dim).
        attention: Weights over cells behind each word, (N, L), float32, which sum to 1 over L.
        place: Picture, caption and time of each word, (N, 3), int64.
    """

    deep: Tensor
    attention: Tensor
    place: Tensor


class Maps(NamedTuple):
    """What is applied at every word.

    Attributes:
        from_hidden: The state, to the attention query, the context's gate and the cell's gates.
        from_context: The context, to the cell's gates.
    """

    from_hidden: Callable[[Tensor], Tensor]
    from_context: Callable[[Tensor], Tensor]


class AttentionDecoder(nn.Module):
    """Predict a caption word by word, looking at the grid before each word.

    Source: Xu et al. 2015, eq. 1-7 (state, initial state, deep output), 13-14 (soft attention, gate).
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        hidden, embed = config.hidden_dim, config.embed_dim
        gates = (4 if config.cell == "lstm" else 3) * hidden
        self.register_buffer("feature_mean", torch.zeros(config.feature_dim))
        self.register_buffer("feature_scale", torch.ones(()))
        self.value = nn.Linear(config.feature_dim, hidden)
        self.value_norm = nn.LayerNorm(hidden)
        self.key = nn.Linear(hidden, config.attention_dim)
        self.score = nn.Linear(config.attention_dim, 1, bias=False)
        self.initial = nn.Linear(hidden, 2 * hidden)
        self.embed = nn.Embedding(config.vocab_size, embed)
        self.from_input = nn.Linear(embed + hidden, gates)
        # One matrix turns the state into the attention query, the gate of the context and the cell's gates.
        self._hidden_parts = (config.attention_dim, hidden, gates)
        self.from_hidden = nn.Linear(hidden, sum(self._hidden_parts))
        self.output_hidden = nn.Linear(hidden, embed)
        self.output_context = nn.Linear(hidden, embed, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(config.vocab_size))
        nn.init.normal_(self.embed.weight, std=embed**-0.5)

    def fit_feature_scale(self, grid: Tensor) -> None:
        """Centre and scale features by statistics of the training split.

        Args:
            grid: A sample of training grids, (B, L, D).
        """
        flat = grid.float().flatten(0, 1)
        self.feature_mean.copy_(flat.mean(0))
        self.feature_scale.copy_(flat.std().clamp_min(1e-6))

    def fit_word_bias(self, counts: Tensor) -> None:
        """Start from how often each token occurs, so that training begins with the picture, not with that.

        Args:
            counts: Occurrences of each token in the training captions, (V,).
        """
        share = (counts.float() + 1) / (counts.sum() + len(counts))
        with torch.no_grad():
            self.output_bias.copy_(share.log())

    def remember(self, grid: Tensor) -> Memory:
        """Project a grid once for all captions and words.

        Args:
            grid: Frozen features, (B, L, D), any float dtype.

        Returns:
            The picture's memory.
        """
        scaled = (grid.to(self.feature_mean.dtype) - self.feature_mean).div_(self.feature_scale)
        values = self.value_norm(torch.relu(self.value(self._drop(scaled, 0.4))))  # (B, L, H)
        keys = self.key(values)
        return Memory(values.to(keys.dtype), keys)  # under autocast a norm is float32: converted once, here

    def initial_state(self, memory: Memory) -> State:
        """Start from the mean of the grid (Xu et al. 2015, section 3.1.2).

        Args:
            memory: The pictures' memory.

        Returns:
            State of one caption a picture, (B, 1, H).
        """
        hidden, cell = torch.tanh(self.initial(memory.values.mean(1, keepdim=True))).chunk(2, dim=-1)
        return State(hidden, cell if self.config.cell == "lstm" else hidden)

    def attend(self, memory: Memory, query: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the grid by additive scores.

        Args:
            memory: The pictures' memory.
            query: (B, K, A).

        Returns:
            The context (B, K, H) and the weights (B, K, L), which sum to 1 over L.
        """
        scores = AdditiveScore.apply(memory.keys, query, self.score.weight.squeeze(0).to(query.dtype))
        weights = F.softmax(scores.float(), dim=-1)  # (B, K, L)
        return weights.to(memory.values.dtype) @ memory.values, weights

    def read(self, words: Tensor) -> Tensor:
        """Turn word vectors (..., embed_dim) into what they say to the cell's gates (..., gates)."""
        return F.linear(words, self.from_input.weight[:, : words.shape[-1]], self.from_input.bias)

    def advance(
        self, look: Look, state: State, said: Tensor, maps: Maps | None = None
    ) -> tuple[State, Tensor, Tensor]:
        """Look, then move the state by one word. Rows (..., width) are of any shape that ``look`` takes.

        Args:
            look: From the query (..., A) to the context (..., H) and the weights behind it, such as
                :meth:`attend` with a memory.
            state: State before the word.
            said: What :meth:`read` makes of the words just read, (..., gates).
            maps: To share between words that are learnt from together; None for this one's own.

        Returns:
            The next state, the gated context (..., H) and the attention weights.
        """
        maps = maps or self._maps(_plain)
        query, gate, hidden_gates = maps.from_hidden(state.hidden).split(self._hidden_parts, dim=-1)
        context, weights = look(query)
        context = torch.sigmoid(gate) * context
        return self._move(said + maps.from_context(context), hidden_gates, state), context, weights

    def _maps(self, linear: Callable[[Tensor, Tensor | None], Callable[[Tensor], Tensor]]) -> Maps:
        on_context = self.from_input.weight[:, -self.config.hidden_dim :]
        return Maps(linear(self.from_hidden.weight, self.from_hidden.bias), linear(on_context, None))

    def _move(self, inputs: Tensor, hidden_gates: Tensor, state: State) -> State:
        if self.config.cell == "lstm":
            i, f, o, g = (inputs + hidden_gates).chunk(4, dim=-1)
            cell = torch.sigmoid(f + 1.0) * state.cell + torch.sigmoid(i) * torch.tanh(g)
            return State(torch.sigmoid(o) * torch.tanh(cell), cell)
        input_r, input_z, input_n = inputs.chunk(3, dim=-1)
        hidden_r, hidden_z, hidden_n = hidden_gates.chunk(3, dim=-1)
        update = torch.sigmoid(input_z + hidden_z)
        new = torch.tanh(input_n + torch.sigmoid(input_r + hidden_r) * hidden_n)
        hidden = new + update * (state.hidden - new)
        return State(hidden, hidden)

    def forward(self, grid: Tensor, token_ids: Tensor, lengths: Tensor) -> Packed:
        """Read whole captions with teacher forcing.

        Only the attention computes anything for padding, and little where captions come sorted: see
        :func:`showtell.models.packing.pack`. Words that occur more than once are read once, and the units
        dropped from a word are the same wherever it occurs in the batch.

        Args:
            grid: Frozen features, (B, L, D).
            token_ids: Words to read, ``bos`` first, (B, K, T), int64.
            lengths: Words to read of each caption, (B, K), 0 where a picture has fewer captions.

        Returns:
            One entry a real word, N in all, ordered by time.
        """
        packing = pack(lengths, token_ids.device)
        distinct, occurrences = token_ids[packing.place.unbind(1)].unique(return_inverse=True)
        vectors, repeated = self._drop(self.embed(distinct), 0.6), Repeated(occurrences)
        said = repeated(self.read(vectors)).split([moment.rows for moment in packing.moments])
        memory, maps = self.remember(grid), self._maps(SharedLinear)
        # A picture's captions begin alike: the first word is read once, (B, 1), and then theirs, (R,).
        begun = self.advance(partial(self.attend, memory), self.initial_state(memory), said[0][:1], maps)
        hidden, cell, context, weights = (
            part.squeeze(1).index_select(0, packing.picture) for part in (*begun[0], *begun[1:])
        )
        state, parts = State(hidden, cell), [(hidden, context, weights)]
        for moment, gates in zip(packing.moments[1:], said[1:]):
            memory, state = _first(memory, moment.pictures), _first(state, moment.rows)
            state, context, weights = self.advance(partial(self._look, memory, moment), state, gates, maps)
            parts.append((state.hidden, context, weights))
        hidden, context, weights = (torch.cat(part) for part in zip(*parts))
        return Packed(self.deep_output(repeated(vectors), hidden, context), weights, packing.place)

    def _look(self, memory: Memory, moment: Moment, query: Tensor) -> tuple[Tensor, Tensor]:
        """Attend for rows: query (rows, A) to context (rows, H) and weights (rows, L)."""
        seats = query.new_zeros(moment.pictures * moment.captions, query.shape[1])
        seated = seats.index_copy(0, moment.seats, query).unflatten(0, (moment.pictures, moment.captions))
        context, weights = (part.flatten(0, 1) for part in self.attend(memory, seated))
        return Taken.apply(context, moment.seats), Taken.apply(weights, moment.seats)

    def step(self, memory: Memory, state: Rows, token_ids: Tensor) -> StepOutput:
        """Read one word of each row and score the next.

        Args:
            memory: The pictures' memory.
            state: A :class:`State` of (B, K, H).
            token_ids: The words just read, (B, K).

        Returns:
            Log-probabilities of the next word (B, K, V), float32, the next state and the attention.
        """
        words = self.embed(token_ids)  # (B, K, E)
        look = partial(self.attend, memory)
        moved, context, weights = self.advance(look, State(*state), self.read(words))
        scores = self.logits(self.deep_output(words, moved.hidden, context))
        return StepOutput(F.log_softmax(scores.float(), dim=-1), moved, weights)

    def deep_output(self, words: Tensor, hidden: Tensor, context: Tensor) -> Tensor:
        """Join word, state and context (Xu et al. 2015, eq. 7), each (..., width), into (..., embed_dim)."""
        joined = words + self.output_hidden(hidden) + self.output_context(context)
        return self._drop(torch.tanh(joined))

    def logits(self, deep: Tensor) -> Tensor:
        """Score the vocabulary by weights tied to the word vectors: (..., embed_dim) to (..., V)."""
        return F.linear(deep, self.embed.weight, self.output_bias)

    def _drop(self, x: Tensor, share: float = 1.0) -> Tensor:
        return drop(x, self.config.dropout * share) if self.training else x


def _plain(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    return partial(F.linear, weight=weight, bias=bias)


def _first(parts: Group, count: int) -> Group:
    """Keep the first rows of each part; whole parts stay as they are, which spares their gradient a copy."""
    return type(parts)(*(part if len(part) == count else part[:count] for part in parts))
