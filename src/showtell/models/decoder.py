"""What every caption decoder offers: training, search, export and evaluation ask for nothing else.

Letters: B images, K captions an image, T words, L grid cells, D ``feature_dim``, V ``vocab_size``, N words
of a whole batch.
"""

from abc import ABC, abstractmethod
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from showtell.backbones.grids import blocks, joint_shape
from showtell.models.batch import Whole
from showtell.models.config import DecoderConfig
from showtell.models.decoding import StepOutput

Memory = TypeVar("Memory", bound=tuple[Tensor, ...])
State = TypeVar("State", bound=tuple[Tensor, ...])


class Packed(NamedTuple):
    """Scores of the real words of a batch, without padding, ordered by time.

    Attributes:
        logits: Of the word that comes next, (N, V).
        attention: Weights over cells behind each word, (N, L), float32, which sum to 1 over L.
        position: Image, caption and time of each word, (N, 3), int64.
    """

    logits: Tensor
    attention: Tensor
    position: Tensor


class Decoder(nn.Module, ABC, Generic[Memory, State]):
    """Predict captions word by word from grids.

    A class and not a bare protocol, since a decoder is also a network with parameters, and all of them
    standardise their features and begin with the words' frequencies in the same way.

    ``Memory`` and ``State`` are named tuples of tensors, (B, ...) and (B, K, ...). Their fields are the names
    that an export gives its inputs and outputs.

    Args:
        config: Its sizes.
    """

    feature_mean: Tensor
    feature_scale: Tensor
    output_bias: nn.Parameter
    """Added to the logits, (V,); a subclass makes it."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        # Of several networks, what a cell's other channels hold is nothing: a mean for each cell and channel.
        several = bool(config.grids)
        mean = joint_shape(config.grids) if several else (config.feature_dim,)
        self.register_buffer("feature_mean", torch.zeros(mean))
        self.register_buffer("feature_scale", torch.ones(config.feature_dim if several else ()))

    @abstractmethod
    def encode_grid(self, grid: Tensor) -> Memory:
        """Compute what is kept of an image for all its captions and words.

        Args:
            grid: Frozen features, (B, L, D), any float dtype. A cell of ``feature_mean`` says nothing.
        """

    @abstractmethod
    def start(self, memory: Memory) -> State:
        """Return the state before the first word, of one caption an image: (B, 1, ...)."""

    @abstractmethod
    def step(self, memory: Memory, state: State, token_ids: Tensor) -> StepOutput:
        """Read one word of each caption and score the next, without dropout.

        Args:
            memory: The images' memory.
            state: Before the word, (B, K, ...).
            token_ids: The words just read, (B, K), int64.

        Returns:
            Log-probabilities of the next word (B, K, V), float32, the next state and the attention (B, K, L).
        """

    @abstractmethod
    def teacher_forced(
        self, grid: Tensor, token_ids: Tensor, lengths: Tensor, whole: Whole | None = None
    ) -> Packed:
        """Read whole captions, each word given the true ones before it; with dropout while training.

        Args:
            grid: Frozen features, (B, L, D).
            token_ids: Words to read, ``bos`` first, (B, K, T), int64.
            lengths: Words to read of each caption, (B, K), int64, on the CPU; 0 where an image has fewer
                captions.
            whole: The batch that these images are a part of, for which dropout is drawn; None for all of it.

        Returns:
            One entry for each real word.
        """

    def fit_feature_scale(self, grid: Tensor) -> None:
        """Centre each channel and scale each network's features by statistics of the training split.

        Args:
            grid: A sample of training grids, (B, L, D).
        """
        if not self.config.grids:
            flat = grid.float().flatten(0, 1)  # (B * L, D)
            self.feature_mean.copy_(flat.mean(0))
            self.feature_scale.copy_(flat.std().clamp_min(1e-6))
        for cells, channels in blocks(self.config.grids):
            flat = grid[:, cells, channels].float().flatten(0, 1)  # (B * cells, channels)
            self.feature_mean[cells, channels] = flat.mean(0)
            self.feature_scale[channels] = flat.std().clamp_min(1e-6)

    def fit_word_bias(self, counts: Tensor) -> None:
        """Start from how often each token occurs, so that training begins with the image, not with that.

        Args:
            counts: Occurrences of each token in the training captions, (V,).
        """
        share = (counts.float() + 1) / (counts.sum() + len(counts))
        with torch.no_grad():
            self.output_bias.copy_(share.log())

    def standardise(self, grid: Tensor) -> Tensor:
        """Centre and scale a grid (B, L, D), any float dtype."""
        return (grid.to(self.feature_mean.dtype) - self.feature_mean).div_(self.feature_scale)


def words_by_time(lengths: Tensor) -> Tensor:
    """Return time, image and caption of each word, in this order, by the lengths (B, K): (N, 3)."""
    times = torch.arange(int(lengths.max())).view(-1, 1, 1)
    return (times < lengths).nonzero()  # of (T, B, K)
