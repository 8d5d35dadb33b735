"""A decoder with its words: from grids to captions that people read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

from showtell.backbones.grids import Grid, as_map
from showtell.models.attention import AttentionDecoder
from showtell.models.batch import assemble
from showtell.models.config import DecoderConfig, DecoderKind
from showtell.models.decoder import Decoder
from showtell.models.decoding import Beam, Hypothesis, SpecialTokens, beam_search
from showtell.models.memory import CaptionMemory, Neighbour, Recollection
from showtell.models.transformer import TransformerDecoder
from showtell.text.tokenizer import CaptionTokenizer

_DECODERS: dict[DecoderKind, type[Decoder[Any, Any]]] = {
    "lstm": AttentionDecoder,
    "gru": AttentionDecoder,
    "transformer": TransformerDecoder,
}
"""Which class is which decoder: a new one is a line here, and a name in :mod:`showtell.models.config`."""
LENGTH_PENALTY = 0.7
"""Power of the length that scores are divided by; with 1, captions outgrow those of people (docs/log.md)."""


@dataclass(frozen=True)
class Word:
    """One word of a caption.

    Attributes:
        text: As it stands in the caption.
        probability: Of the word given the image and the words before, in [0, 1]; a product over its
            tokens.
        attention: Where the model looked, (rows, columns), float32, sums to 1; a mean over its tokens. Of
            networks with grids of different sizes, the sum of their parts on the finest of them.
    """

    text: str
    probability: float
    attention: Tensor


@dataclass(frozen=True)
class Caption:
    """What a captioner says of an image.

    Attributes:
        text: The caption.
        words: Its words in order.
        log_probability: Natural logarithm, summed over all tokens and the end.
        neighbours: Training images that spoke for it, the one that did most first; empty without a memory.
        token_ids: What the search found, without the end: the text may be read as other tokens again.
    """

    text: str
    words: tuple[Word, ...]
    log_probability: float
    neighbours: tuple[Neighbour, ...] = ()
    token_ids: tuple[int, ...] = field(default=(), repr=False)

    @property
    def attention(self) -> Tensor:
        """Return where the model looked at each word, (T, rows, columns), each summing to 1."""
        return torch.stack([word.attention for word in self.words]) if self.words else torch.zeros(0, 0, 0)


class Captioner(nn.Module):
    """Describe images from their grids.

    Args:
        config: Sizes of the decoder.
        tokenizer: Its words.
        grid_size: Rows and columns of the grid, or of a map of several.
    """

    def __init__(
        self, config: DecoderConfig, tokenizer: CaptionTokenizer, grid_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.decoder = _DECODERS[config.kind](config)
        self.tokenizer = tokenizer
        self.grid_size = grid_size
        self.memory: CaptionMemory | None = None
        self.grids = config.grids or (Grid(*grid_size, config.feature_dim),)
        self.special = SpecialTokens(
            tokenizer.bos_id, tokenizer.eos_id, (tokenizer.pad_id, tokenizer.bos_id, tokenizer.unk_id)
        )

    @torch.no_grad()
    def grown(self, tokenizer: CaptionTokenizer) -> "Captioner":
        """Return a captioner with the same weights and further words, which begin as of an untrained one.

        Args:
            tokenizer: Its own, or one that has grown from it.
        """
        config = replace(self.decoder.config, vocab_size=tokenizer.vocab_size)
        grown = Captioner(config, tokenizer, self.grid_size)
        known = self.decoder.state_dict()
        for name, value in grown.decoder.state_dict().items():
            old = known[name]
            value[: len(old)].copy_(old) if value.dim() else value.copy_(old)
        if more := tokenizer.vocab_size - len(self.decoder.output_bias):
            # As rare as the rarest that is known.
            grown.decoder.output_bias[-more:] = self.decoder.output_bias.min()
        return grown

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of captions, each with its beginning and, unless it is cut, its end."""
        tokenizer, most = self.tokenizer, self.decoder.config.max_length
        return [
            [tokenizer.bos_id, *ids[:most], *([tokenizer.eos_id] if len(ids) <= most else [])]
            for ids in tokenizer.encode_batch(texts)
        ]

    @torch.inference_mode()
    def search(
        self,
        grid: Tensor,
        recalled: Sequence[Recollection] | None = None,
        *,
        beam_size: int = 3,
        max_length: int | None = None,
        length_penalty: float = LENGTH_PENALTY,
    ) -> list[list[Hypothesis]]:
        """Find the best token sequences for each image.

        Args:
            grid: (B, L, D), any float dtype.
            recalled: What the memory holds of each image, B, by which the captions found are ranked anew.
            beam_size: Captions kept an image.
            max_length: Most tokens; the decoder's own by default.
            length_penalty: Exponent of the length that scores are divided by.

        Returns:
            Hypotheses of each image, best first.
        """
        memory = self.decoder.encode_grid(grid)
        found = beam_search(
            lambda state, token_ids: self.decoder.step(memory, state, token_ids),
            self.decoder.start(memory),
            self.special,
            Beam(beam_size, max_length or self.decoder.config.max_length, length_penalty),
        )
        if recalled is None:
            return found
        return [self.rank(each, what, length_penalty) for each, what in zip(found, recalled)]

    def rank(
        self, found: Sequence[Hypothesis], recalled: Recollection, length_penalty: float = LENGTH_PENALTY
    ) -> list[Hypothesis]:
        """Rank an image's captions by log-probability and by agreement with its remembered neighbours.

        Those that were cut at the longest length stay behind the others.
        """

        def worth(one: Hypothesis) -> tuple[bool, float]:
            length = len(one.token_log_probabilities)
            likely = one.log_probability / max(1, length) ** length_penalty
            agreed = recalled.agreement(self.tokenizer.decode(one.token_ids))
            return length > len(one.token_ids), likely + recalled.memory.config.weight * agreed

        return sorted(found, key=worth, reverse=True)

    def caption(self, hypothesis: Hypothesis, recalled: Recollection | None = None) -> Caption:
        """Turn token ids, probabilities and attention into words; name the neighbours that spoke for it."""
        spans = self.tokenizer.word_spans(hypothesis.token_ids)
        tokens = [token for _, start, end in spans for token in range(start, end)]
        counts = torch.tensor([end - start for _, start, end in spans], dtype=torch.long)
        word_of = torch.arange(len(spans)).repeat_interleave(counts)
        log_probabilities = torch.tensor(hypothesis.token_log_probabilities)[tokens]
        probabilities = torch.zeros(len(spans)).index_add(0, word_of, log_probabilities).exp()
        looks = hypothesis.attention[tokens]  # (T, L)
        looks = looks.new_zeros(len(spans), looks.shape[1]).index_add(0, word_of, looks)
        maps = as_map(looks / counts.unsqueeze(1), self.grids)  # (words, rows, columns)
        words = tuple(
            Word(text, probability, attention)
            for (text, _, _), probability, attention in zip(spans, probabilities.tolist(), maps)
        )
        text = self.tokenizer.decode(hypothesis.token_ids)
        spoke = recalled.speakers(text) if recalled else ()
        return Caption(text, words, hypothesis.log_probability, spoke, tuple(hypothesis.token_ids))

    def describe(
        self, grid: Tensor, recalled: Sequence[Recollection] | None = None, *, beam_size: int = 3
    ) -> list[list[Caption]]:
        """Describe images: for each, up to ``beam_size`` captions, best first; see :meth:`search`."""
        return [
            [self.caption(hypothesis, what) for hypothesis in found]
            for found, what in self._searched(grid, recalled, beam_size)
        ]

    def best(
        self, grid: Tensor, recalled: Sequence[Recollection] | None = None, *, beam_size: int = 3
    ) -> list[Caption]:
        """Return the best caption of each image; see :meth:`search`."""
        return [self.caption(found[0], what) for found, what in self._searched(grid, recalled, beam_size)]

    def _searched(
        self, grid: Tensor, recalled: Sequence[Recollection] | None, beam_size: int
    ) -> Iterable[tuple[list[Hypothesis], Recollection | None]]:
        """Search; return what was found for each image beside what the memory holds of it."""
        asked: Iterable[Recollection | None] = repeat(None) if recalled is None else recalled
        return zip(self.search(grid, recalled, beam_size=beam_size), asked)

    @torch.inference_mode()
    def log_probabilities(self, grid: Tensor, texts: Sequence[str]) -> Tensor:
        """Return how likely each text is of each image: natural logarithm, summed over its known words.

        Args:
            grid: (B, L, D), any float dtype.
            texts: K of them, each with a word that is in the vocabulary.

        Returns:
            (B, K), float32.
        """
        tokenizer = self.tokenizer
        batch = assemble(grid, [self.encode(texts)] * len(grid), tokenizer.pad_id)
        packed = self.decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
        targets = batch.targets(packed.position)
        chosen = packed.logits.float().log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1)  # (N,)
        chosen = chosen.masked_fill(targets == tokenizer.unk_id, 0)
        image, caption, _ = packed.position.unbind(1)
        rows, columns = (order.to(image.device)[image, caption] for order in batch.order)
        return chosen.new_zeros(len(grid), len(texts)).index_put((rows, columns), chosen, accumulate=True)

    def texts(self, grid: Tensor, *, beam_size: int = 3) -> Sequence[str]:
        """Return the best caption of each image as text."""
        return [self.tokenizer.decode(found[0].token_ids) for found in self.search(grid, beam_size=beam_size)]
