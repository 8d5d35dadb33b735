"""What a decoder is made of, without torch: settings and records of runs read it, too."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from showtell.backbones.grids import Grid
from showtell.text.lengths import LONGEST, USUAL_LENGTH

DecoderKind = Literal["lstm", "gru", "transformer"]
"""Which decoders there are: an LSTM or a GRU, each with additive attention, and a transformer."""


@dataclass(frozen=True)
class DecoderConfig:
    """The sizes of a decoder.

    Attributes:
        vocab_size: Number of tokens, special ones included.
        feature_dim: Channels of one grid cell.
        hidden_dim: Width of the recurrent state or of the transformer, and of the projected grid.
        embed_dim: Width of a word vector, not of the transformer's; the output layer shares word vectors.
        attention_dim: Width of the space of additive attention.
        kind: Which decoder.
        dropout: Share of units dropped in the output, in [0, 1); see also ``grid_dropout``, ``word_dropout``.
            A recurrent state stays whole (docs/log.md).
        max_length: Most tokens of a caption, in training and in the search.
        grids: Of each network, where the features are those of several; empty for one.
    """

    vocab_size: int
    feature_dim: int
    hidden_dim: int = 512
    embed_dim: int = 512
    attention_dim: int = 512
    kind: DecoderKind = "lstm"
    dropout: float = 0.5
    max_length: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] = USUAL_LENGTH
    grids: tuple[Grid, ...] = ()

    @property
    def grid_dropout(self) -> float:
        """Return the share of units dropped in the grid, in [0, 1)."""
        return 0.4 * self.dropout

    @property
    def word_dropout(self) -> float:
        """Return the share of units dropped in the word vectors, in [0, 1)."""
        return 0.6 * self.dropout
