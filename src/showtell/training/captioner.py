"""Batches and losses of the captioner: a picture with all its captions at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.data.records import Picture
from showtell.errors import DataError
from showtell.features.extract import Extraction
from showtell.models.captioner import Captioner
from showtell.text.cider import CiderD
from showtell.text.tokenizer import CaptionTokenizer

LABEL_SMOOTHING = 0.1
ATTENTION_REGULARISATION = 1.0
"""Weight of the doubly stochastic term, lambda of Xu et al. 2015, eq. 14."""
MAX_CAPTION_TOKENS = 60
"""Longer training captions are cut here, without their end."""


DECODING_BATCH = 100
"""Pictures decoded side by side."""


@dataclass(frozen=True)
class Batch:
    """Pictures with their captions, sorted as ``AttentionDecoder.forward`` wants them.

    Attributes:
        grid: (B, L, D), as stored.
        token_ids: ``bos``, words, ``eos``, padding: (B, K, T + 1), int64.
        lengths: Words to predict of each caption, ``eos`` included, (B, K); 0 for no caption.
    """

    grid: Tensor
    token_ids: Tensor
    lengths: Tensor


class CaptionTrainee:
    """What the loop needs to train a captioner on cached grids.

    Args:
        captioner: The captioner.
        extraction: Where the grids are.
        train: Training pictures with captions.
        validation: Pictures that score an epoch.
        batch_size: Pictures a step.
        seed: Of the order of pictures.
        beam_size: Of validation.
    """

    unit = "captions"

    def __init__(
        self,
        captioner: Captioner,
        extraction: Extraction,
        train: Sequence[Picture],
        validation: Sequence[Picture],
        *,
        batch_size: int,
        seed: int,
        beam_size: int,
    ) -> None:
        if not train or not validation:
            raise DataError(
                f"There are {len(train)} pictures to train on and {len(validation)} to validate on.",
                would_do="Both splits need pictures with captions.",
            )
        self.network = captioner.decoder
        self.captioner, self.extraction = captioner, extraction
        self.train, self.validation = train, validation
        self.batch_size, self.seed, self.beam_size = batch_size, seed, beam_size
        self.steps_per_epoch = -(-len(train) // batch_size)
        tokenizer = captioner.tokenizer
        self._encoded = [
            sorted((_framed(ids, tokenizer) for ids in encoded), key=len, reverse=True)
            for encoded in (tokenizer.encode_batch(list(picture.captions)) for picture in train)
        ]
        words = np.array([word for captions in self._encoded for ids in captions for word in ids[1:]])
        captioner.decoder.fit_word_bias(torch.from_numpy(np.bincount(words, minlength=tokenizer.vocab_size)))
        self._references = CiderD({picture.name: picture.captions for picture in validation})
        self._order = (-1, np.empty(0, np.int64))
        self.device = next(self.network.parameters()).device

    def batch(self, epoch: int, index: int) -> Batch:
        """Return a batch as a pure function of (seed, epoch, index)."""
        if self._order[0] != epoch:
            self._order = epoch, np.random.default_rng((self.seed, epoch)).permutation(len(self.train))
        chosen = self._order[1][index * self.batch_size : (index + 1) * self.batch_size].tolist()
        chosen.sort(key=lambda i: (-len(self._encoded[i][0]), i))
        captions = max(len(self._encoded[i]) for i in chosen)
        longest = max(len(self._encoded[i][0]) for i in chosen)
        token_ids = np.full((len(chosen), captions, longest), self.captioner.tokenizer.pad_id)
        lengths = np.zeros((len(chosen), captions), np.int64)
        for row, i in enumerate(chosen):
            for column, ids in enumerate(self._encoded[i]):
                token_ids[row, column, : len(ids)] = ids
                lengths[row, column] = len(ids) - 1
        grid = read_grids(self.captioner, self.extraction, [self.train[i] for i in chosen])
        return Batch(grid, torch.from_numpy(token_ids).to(self.device), torch.from_numpy(lengths))

    def loss(self, epoch: int, index: int) -> tuple[Tensor, int]:
        """Return :func:`caption_loss` of a batch and how many captions it holds."""
        batch = self.batch(epoch, index)
        return caption_loss(self.captioner, batch), int((batch.lengths > 0).sum())

    def validate(self) -> dict[str, float]:
        """Score free-running captions of the validation split by CIDEr-D."""
        texts = describe_pictures(self.captioner, self.extraction, self.validation, beam_size=self.beam_size)
        score = float(np.mean(self._references.score(texts)))
        return {"score": score, "cider_d": score}


def describe_pictures(
    captioner: Captioner, extraction: Extraction, pictures: Sequence[Picture], *, beam_size: int
) -> dict[str, str]:
    """Caption pictures from their cached grids, by name."""
    found: dict[str, str] = {}
    for start in range(0, len(pictures), DECODING_BATCH):
        part = pictures[start : start + DECODING_BATCH]
        grid = read_grids(captioner, extraction, part)
        texts = captioner.texts(grid, beam_size=beam_size)
        found |= {picture.name: text for picture, text in zip(part, texts)}
    return found


def read_grids(captioner: Captioner, extraction: Extraction, pictures: Sequence[Picture]) -> Tensor:
    """Read cached grids (B, L, D) to where the captioner is."""
    grid, _ = extraction.space.get([extraction.key(picture.name) for picture in pictures])
    return torch.from_numpy(grid).to(next(captioner.parameters()).device)


def caption_loss(captioner: Captioner, batch: Batch) -> Tensor:
    """Return label-smoothed cross-entropy a word plus the doubly stochastic term, a scalar.

    Source: Xu et al. 2015, eq. 14; Szegedy et al. 2016, section 7, for the smoothing.
    """
    packed = captioner.decoder(batch.grid, batch.token_ids, batch.lengths)
    picture, caption, time = packed.place.unbind(1)
    targets = batch.token_ids[picture, caption, time + 1]
    logits = captioner.decoder.logits(packed.deep).float()
    likelihood = F.cross_entropy(logits, targets, label_smoothing=LABEL_SMOOTHING)
    # How much each cell was looked at over a whole caption should be near 1.
    captions = batch.lengths.shape[1]
    looked = torch.zeros(batch.lengths.numel(), packed.attention.shape[1], device=packed.attention.device)
    looked = looked.index_add(0, picture * captions + caption, packed.attention)
    real = (batch.lengths.flatten() > 0).to(looked.device)
    return likelihood + ATTENTION_REGULARISATION * (1 - looked[real]).square().mean()


def _framed(ids: list[int], tokenizer: CaptionTokenizer) -> list[int]:
    if len(ids) > MAX_CAPTION_TOKENS:
        return [tokenizer.bos_id, *ids[:MAX_CAPTION_TOKENS]]
    return [tokenizer.bos_id, *ids, tokenizer.eos_id]
