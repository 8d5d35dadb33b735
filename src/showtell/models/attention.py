"""A recurrent caption decoder with soft additive attention over a grid of features, in plain torch.

Source: Xu et al. 2015, "Show, Attend and Tell", sections 3.1 and 4; the additive score is Bahdanau et al.
2015, appendix A.1.2. Letters in comments: B images, K captions an image, T words, L grid cells, D
``feature_dim``, H ``hidden_dim``, E ``embed_dim``, A ``attention_dim``, G widths of all gates, V
``vocab_size``, N words of a whole batch.

Every caption of an image shares the image's projected grid: captions attend as (B, K), never to B * K
copies of the grid. On CPUs :mod:`showtell.models.kernels` computes the same faster; a test holds it to this.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from showtell.models import kernels
from showtell.models.batch import Whole
from showtell.models.config import DecoderConfig
from showtell.models.decoder import Decoder, Packed, words_by_time
from showtell.models.decoding import StepOutput, select_rows
from showtell.models.dropout import Part, dropout
from showtell.models.norm import LayerNorm

Attend = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From queries (..., A) to contexts (..., H) and the weights behind them (..., L)."""
Linear = Callable[[Tensor], Tensor]
Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""A way to compute ``torch.nn.functional.linear``."""


class Memory(NamedTuple):
    """What the decoder keeps of an image.

    Attributes:
        values: Projected grid that contexts are drawn from, a of the paper, (B, L, H).
        keys: The grid in attention space, (B, L, A).
    """

    values: Tensor
    keys: Tensor


class LstmState(NamedTuple):
    """``hidden`` and ``cell``, h and c of the paper, (..., H) each."""

    hidden: Tensor
    cell: Tensor


class GruState(NamedTuple):
    """``hidden``, (..., H)."""

    hidden: Tensor


State = LstmState | GruState


class Projections(NamedTuple):
    """The two linear maps of the recurrence.

    Attributes:
        hidden: The state (..., H) to the attention query, the context's gate and the cell's gates
            (..., A + H + G).
        context: The context (..., H) to the cell's gates (..., G).
    """

    hidden: Linear
    context: Linear


class AttentionDecoder(Decoder[Memory, State]):
    """Predict a caption word by word, attending to the grid before each word.

    Source: Xu et al. 2015, eq. 1-7 (state, initial state, deep output), 13-14 (soft attention, gate).
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        hidden, embed = config.hidden_dim, config.embed_dim
        gates = (4 if config.kind == "lstm" else 3) * hidden
        self.value = nn.Linear(config.feature_dim, hidden)
        self.value_norm = LayerNorm(hidden)
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

    def encode_grid(self, grid: Tensor) -> Memory:
        """Project grids (B, L, D) once for all captions and words."""
        return self.project(self.standardise(grid))

    def project(self, features: Tensor) -> Memory:
        """Project standardised features (B, L, D)."""
        values = self.value_norm(torch.relu(self.value(features)))  # (B, L, H)
        keys = self.key(values)  # (B, L, A)
        return Memory(values.to(keys.dtype), keys)  # under autocast a norm is float32: converted once, here

    def start(self, memory: Memory) -> State:
        """Start from the mean of the grid (Xu et al. 2015, section 3.1.2): (B, 1, H)."""
        mean = memory.values.mean(1, keepdim=True)  # (B, 1, H)
        hidden, cell = torch.tanh(self.initial(mean)).chunk(2, dim=-1)  # (B, 1, H) each
        return LstmState(hidden, cell) if self.config.kind == "lstm" else GruState(hidden)

    def attend(self, memory: Memory, query: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh the grid by additive scores (eq. 4-5 and 13).

        Args:
            memory: The images' memory.
            query: (B, K, A).

        Returns:
            The context (B, K, H) and the weights (B, K, L), float32, which sum to 1 over L.
        """
        score = kernels.additive_score if kernels.are_faster_on(query.device) else additive_score
        scores = score(memory.keys, query, self.score.weight.squeeze(0).to(query.dtype))  # (B, K, L)
        weights = F.softmax(scores.float(), dim=-1)
        return weights.to(memory.values.dtype) @ memory.values, weights  # (B, K, H), (B, K, L)

    def input_gates(self, words: Tensor, product: Product = F.linear) -> Tensor:
        """Turn word vectors (..., E) into their part of the cell's gates (..., G)."""
        return product(words, self.from_input.weight[:, : self.config.embed_dim], self.from_input.bias)

    def projections(self, linear: Callable[[Tensor, Tensor | None], Linear]) -> Projections:
        """Return the maps of the recurrence.

        Args:
            linear: From a weight and a bias to the map: :func:`linear_by` or a kernel.
        """
        on_context = self.from_input.weight[:, self.config.embed_dim :]  # (G, H)
        return Projections(linear(self.from_hidden.weight, self.from_hidden.bias), linear(on_context, None))

    def cell_step(
        self, attend: Attend, state: State, gates: Tensor, projections: Projections
    ) -> tuple[State, Tensor, Tensor]:
        """Attend, then move the state by one word. Rows (..., width) are of any shape that ``attend`` takes.

        Args:
            attend: Such as :meth:`attend` with a memory.
            state: State before the word.
            gates: What :meth:`input_gates` makes of the words just read, (..., G).
            projections: Of :meth:`projections`.

        Returns:
            The next state, the gated context (..., H) and the attention weights (..., L).
        """
        projected = projections.hidden(state.hidden)  # (..., A + H + G)
        query, beta, hidden_gates = projected.split(self._hidden_parts, dim=-1)
        context, weights = attend(query)  # (..., H), (..., L)
        context = torch.sigmoid(beta) * context  # section 4.2.1
        inputs = gates + projections.context(context)  # (..., G)
        if isinstance(state, LstmState):
            return lstm_cell(inputs, hidden_gates, state), context, weights
        return gru_cell(inputs, hidden_gates, state), context, weights

    def deep_output(
        self, words: Tensor, hidden: Tensor, context: Tensor, product: Product = F.linear
    ) -> Tensor:
        """Join word (..., E), state and context (..., H) into (..., E) (eq. 7)."""
        of_hidden = product(hidden, self.output_hidden.weight, self.output_hidden.bias)
        return torch.tanh(words + of_hidden + product(context, self.output_context.weight, None))

    def logits(self, deep: Tensor, product: Product = F.linear) -> Tensor:
        """Score the vocabulary by weights tied to the word vectors: (..., E) to (..., V)."""
        return product(deep, self.embed.weight, self.output_bias)

    def step(self, memory: Memory, state: State, token_ids: Tensor) -> StepOutput:
        """Read one word of each caption, (B, K), and score the next; see :meth:`Decoder.step`."""
        if kernels.are_faster_on(token_ids.device):  # captions that are searched together share most words
            product: Product = kernels.linear
            distinct, occurrences = token_ids.unique(return_inverse=True)  # (U,), (B, K)
            vectors = self.embed(distinct)  # (U, E)
            words, gates = vectors[occurrences], self.input_gates(vectors, product)[occurrences]
        else:
            product = F.linear
            words = self.embed(token_ids)  # (B, K, E)
            gates = self.input_gates(words)  # (B, K, G)
        state, context, weights = self.cell_step(
            partial(self.attend, memory), state, gates, self.projections(linear_by(product))
        )
        deep = self.deep_output(words, state.hidden, context, product)
        scores = self.logits(deep, product)  # (B, K, V)
        return StepOutput(F.log_softmax(scores.float(), dim=-1), state, weights)

    def teacher_forced(
        self, grid: Tensor, token_ids: Tensor, lengths: Tensor, whole: Whole | None = None
    ) -> Packed:
        """Read whole captions; see :meth:`Decoder.teacher_forced`."""
        if kernels.are_faster_on(grid.device):
            return kernels.packed_forward(self, grid, token_ids, lengths, whole)
        steps = int(lengths.max())  # T
        # Units are dropped from a word, not from its occurrences: they are the same wherever it stands.
        words = F.embedding(token_ids, self._drop(self.embed.weight, self.config.word_dropout))
        gates = self.input_gates(words)  # (B, K, T, E) to (B, K, T, G)
        projections = self.projections(linear_by(F.linear))
        features = self._drop(
            self.standardise(grid), self.config.grid_dropout, whole.images if whole else None
        )
        memory = self.project(features)
        state: State = select_rows(self.start(memory), torch.zeros_like(token_ids[..., 0]))  # (B, K, H)
        outputs = []
        for t in range(steps):
            state, context, weights = self.cell_step(
                partial(self.attend, memory), state, gates[:, :, t], projections
            )
            outputs.append((state.hidden, context, weights))
        hidden, context, weights = map(torch.stack, zip(*outputs))  # (T, B, K, H) twice, (T, B, K, L)
        time, image, caption = words_by_time(lengths).to(grid.device).unbind(1)  # (N,) each
        real_words = words[image, caption, time]  # (N, E)
        hidden, context, weights = (
            part[time, image, caption] for part in (hidden, context, weights)
        )  # (N, H), (N, H), (N, L)
        part = whole.words(words_by_time(whole.lengths)[:, 1]) if whole else None
        deep = self._drop(self.deep_output(real_words, hidden, context), self.config.dropout, part)  # (N, E)
        return Packed(self.logits(deep), weights, torch.stack([image, caption, time], dim=1))

    def _drop(self, x: Tensor, share: float, part: Part | None = None) -> Tensor:
        return dropout(x, share, self.training, part)


def linear_by(product: Product) -> Callable[[Tensor, Tensor | None], Linear]:
    """Return what makes the map from (..., in) to (..., out) of a weight (out, in) and a bias (out,)."""
    return lambda weight, bias: lambda x: product(x, weight, bias)


def additive_score(keys: Tensor, query: Tensor, weight: Tensor) -> Tensor:
    """Score cells (eq. 4): keys (B, L, A), query (B, K, A), weight (A,) to (B, K, L)."""
    energy = torch.tanh(keys.unsqueeze(1) + query.unsqueeze(2))  # (B, K, L, A)
    return energy @ weight  # (B, K, L)


def lstm_cell(inputs: Tensor, hidden_gates: Tensor, state: LstmState) -> LstmState:
    """Move an LSTM by one word (eq. 1-3): gates of the input and of the state, (..., 4 H) each."""
    i, f, o, g = (inputs + hidden_gates).chunk(4, dim=-1)  # (..., H) each
    cell = torch.sigmoid(f + 1.0) * state.cell + torch.sigmoid(i) * torch.tanh(g)  # remembers at first
    return LstmState(torch.sigmoid(o) * torch.tanh(cell), cell)


def gru_cell(inputs: Tensor, hidden_gates: Tensor, state: GruState) -> GruState:
    """Move a GRU by one word (Cho et al. 2014): gates of the input and of the state, (..., 3 H) each."""
    input_r, input_z, input_n = inputs.chunk(3, dim=-1)  # (..., H) each
    hidden_r, hidden_z, hidden_n = hidden_gates.chunk(3, dim=-1)
    update = torch.sigmoid(input_z + hidden_z)
    new = torch.tanh(input_n + torch.sigmoid(input_r + hidden_r) * hidden_n)
    return GruState(new + update * (state.hidden - new))
