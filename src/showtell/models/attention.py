"""A recurrent caption decoder with soft additive attention over a grid of features.

Source: Xu et al. 2015, "Show, Attend and Tell", sections 3.1 and 4; the additive score is Bahdanau et al.
2015, appendix A.1.2. Letters in comments: B pictures, K captions a picture, T words, L grid cells, D
``feature_dim``, H ``hidden_dim``, A ``attention_dim``, V ``vocab_size``.

Every caption of a picture shares the picture's projected grid: rows are kept as (B, K), never as B * K
copies of the grid.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.models.decoding import Rows, StepOutput

Cell = Literal["lstm", "gru"]


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
    """

    vocab_size: int
    feature_dim: int
    hidden_dim: int = 512
    embed_dim: int = 512
    attention_dim: int = 512
    cell: Cell = "lstm"
    dropout: float = 0.5


class Memory(NamedTuple):
    """What the decoder keeps of a picture, computed once a picture.

    Attributes:
        values: Projected grid that contexts are drawn from, (B, L, H).
        keys: The grid in attention space, (B, L, A).
    """

    values: Tensor
    keys: Tensor


class State(NamedTuple):
    """The recurrent state: ``hidden`` and ``cell`` (the LSTM's; equal to ``hidden`` for a GRU), (B, K, H)."""

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


class _AdditiveScore(torch.autograd.Function):
    """``tanh(keys + query) @ weight`` over every cell, with a backward pass that reads the energy twice.

    Autograd's own derivative writes four arrays of (B, K, L, A) a word, which is most of a training step;
    this one writes one. Equal to autograd's (a test compares them).
    """

    @staticmethod
    def forward(ctx: Any, keys: Tensor, query: Tensor, weight: Tensor) -> Tensor:
        """Score cells: keys (B, L, A), query (B, K, A), weight (A,) to (B, K, L)."""
        energy = (keys.unsqueeze(1) + query.unsqueeze(2)).tanh_()  # (B, K, L, A)
        ctx.save_for_backward(energy, weight)
        return energy @ weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of keys, query and weight."""
        energy, weight = ctx.saved_tensors
        grad_weight = grad.flatten() @ energy.flatten(0, 2)
        slope = (1 - energy * energy).mul_(grad.unsqueeze(-1))  # (B, K, L, A), still without weight
        return slope.sum(1) * weight, slope.sum(2) * weight, grad_weight


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
        scaled = (grid.to(self.feature_mean.dtype) - self.feature_mean) / self.feature_scale
        values = self.value_norm(torch.relu(self.value(self._drop(scaled, 0.4))))  # (B, L, H)
        return Memory(values, self.key(values))

    def initial_state(self, memory: Memory, captions: int = 1) -> State:
        """Start from the mean of the grid (Xu et al. 2015, section 3.1.2).

        Args:
            memory: The pictures' memory.
            captions: K, how many captions of each picture are decoded side by side.

        Returns:
            State of shape (B, K, H), equal along K.
        """
        start = torch.tanh(self.initial(memory.values.mean(1)))  # (B, 2H)
        hidden, cell = start.unsqueeze(1).expand(-1, captions, -1).chunk(2, dim=-1)
        return State(hidden, cell if self.config.cell == "lstm" else hidden)

    def attend(self, memory: Memory, query: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the grid by additive scores.

        Args:
            memory: The pictures' memory.
            query: (B, K, A).

        Returns:
            The context (B, K, H) and the weights (B, K, L), which sum to 1 over L.
        """
        scores = _AdditiveScore.apply(memory.keys, query, self.score.weight.squeeze(0).to(query.dtype))
        weights = F.softmax(scores.float(), dim=-1)  # (B, K, L)
        return weights.to(memory.values.dtype) @ memory.values, weights

    def advance(self, memory: Memory, state: State, words: Tensor) -> tuple[State, Tensor, Tensor]:
        """Look, then move the state by one word.

        Args:
            memory: The pictures' memory.
            state: State before the word.
            words: Vectors of the words just read, (B, K, embed_dim).

        Returns:
            The next state, the gated context (B, K, H) and the attention weights (B, K, L).
        """
        query, gate, hidden_gates = self.from_hidden(state.hidden).split(self._hidden_parts, dim=-1)
        context, weights = self.attend(memory, query)
        context = torch.sigmoid(gate) * context
        inputs = self.from_input(torch.cat([words.to(context.dtype), context], dim=-1))
        return self._move(inputs, hidden_gates, state), context, weights

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

        Nothing is computed for padding where rows come sorted: pictures by their longest caption, each
        picture's captions by length, both descending. Then the rows still alive at a word are a corner of
        (B, K), taken as views.

        Args:
            grid: Frozen features, (B, L, D).
            token_ids: Words to read, ``bos`` first, (B, K, T), int64.
            lengths: Words to read of each caption, (B, K), 0 where a picture has fewer captions.

        Returns:
            One entry a real word, N in all, ordered by time.
        """
        memory = self.remember(grid)
        state = self.initial_state(memory, token_ids.shape[1])
        parts: list[tuple[Tensor, ...]] = []
        for time in range(int(lengths.max())):
            alive = lengths > time
            pictures = int(alive.any(1).nonzero()[-1]) + 1
            captions = int(alive.any(0).nonzero()[-1]) + 1
            state = State(*(part[:pictures, :captions] for part in state))
            memory = Memory(memory.values[:pictures], memory.keys[:pictures])
            alive = alive[:pictures, :captions]
            words = self._drop(self.embed(token_ids[:pictures, :captions, time]), 0.6)
            state, context, weights = self.advance(memory, state, words)
            picture, caption = alive.nonzero(as_tuple=True)
            place = torch.stack([picture, caption, torch.full_like(picture, time)], dim=-1)
            parts.append((words[alive], state.hidden[alive], context[alive], weights[alive], place))
        words, hidden, context, weights, place = (torch.cat(part) for part in zip(*parts))
        return Packed(self.deep_output(words, hidden, context), weights, place.to(weights.device))

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
        moved, context, weights = self.advance(memory, State(*state), words)
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
        return F.dropout(x, self.config.dropout * share, self.training)
