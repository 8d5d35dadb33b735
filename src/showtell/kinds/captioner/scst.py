"""Self-critical sequence training: a captioner learns from its own captions, rewarded by their CIDEr-D.

Source: Rennie et al. 2017, "Self-critical sequence training", eq. 7-8; the baseline is the mean of the other
samples of the same image (Luo 2020, "A better variant of self-critical sequence training", eq. 5).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.evaluation.cider import CiderD
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.models.batch import Batch
from showtell.models.captioner import Captioner
from showtell.models.decoding import Sampling, sample
from showtell.models.dropout import Part
from showtell.text.lengths import USUAL_LENGTH
from showtell.text.words import metric_tokens

USUAL_SAMPLING = Sampling(
    TrainCaptioner.scst_samples, TrainCaptioner.scst_temperature, TrainCaptioner.scst_max_tokens
)
"""Sharper than the model, near the captions that a search finds (docs/log.md)."""


def draw_captions(
    captioner: Captioner,
    grid: Tensor,
    sampling: Sampling = USUAL_SAMPLING,
    part: Part | None = None,
    everywhere: Callable[[bool], bool] = bool,
) -> list[list[list[int]]]:
    """Draw captions from the model as it stands, without dropout.

    Args:
        captioner: The captioner.
        grid: (B, L, D).
        sampling: How many captions, each the others' baseline, and from what; where people's captions are
            longer than usual, those drawn may be as long.
        part: Which images of a batch that processes share these are; see :func:`sample`.
        everywhere: Says whether the captions of all processes have ended.

    Returns:
        For each image ``sampling.samples`` captions as token ids, ``bos`` first and ``eos`` last where it
        was drawn.
    """
    decoder, eos_id = captioner.decoder, captioner.tokenizer.eos_id
    most = decoder.config.max_length
    decoder.eval()
    with torch.no_grad():
        memory = decoder.encode_grid(grid)
        drawn = sample(
            lambda state, token_ids: decoder.step(memory, state, token_ids),
            decoder.start(memory),
            captioner.special,
            sampling if most <= USUAL_LENGTH else replace(sampling, max_tokens=most),
            part=part,
            everywhere=everywhere,
        )
    decoder.train()
    return [[_framed(ids, captioner.tokenizer.bos_id, eos_id) for ids in rows] for rows in drawn.tolist()]


def advantages(
    captioner: Captioner, references: CiderD, names: Sequence[str], drawn: Sequence[Sequence[Sequence[int]]]
) -> np.ndarray:
    """Return by how much each drawn caption beats the others of its image in CIDEr-D.

    Args:
        captioner: For its words.
        references: Of the training images.
        names: Of the B images.
        drawn: Token ids of K captions each, framed.

    Returns:
        (B, K), float64; each row sums to 0.
    """
    decode = captioner.tokenizer.decode
    scores = np.array(
        [
            [references.score_words(name, metric_tokens(decode(ids))) for ids in rows]
            for name, rows in zip(names, drawn)
        ]
    )
    others = (scores.sum(1, keepdims=True) - scores) / (scores.shape[1] - 1)
    better: np.ndarray = scores - others
    return better


def scst_loss(
    captioner: Captioner, batch: Batch, advantage: Tensor, temperature: float = USUAL_SAMPLING.temperature
) -> Tensor:
    """Return minus the mean log-probability of drawn words, each weighed by its caption's advantage.

    Of a part of a batch it is the part's share of the mean, so that those of all parts add up to it.

    Args:
        captioner: The captioner.
        batch: The drawn captions.
        advantage: (B, K), in the order of the batch.
        temperature: Of the sampling.
    """
    packed = captioner.decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths, batch.whole)
    image, caption, _ = packed.position.unbind(1)
    targets = batch.targets(packed.position)
    surprise = F.cross_entropy(packed.logits.float() / temperature, targets, reduction="none")
    return (surprise * advantage.to(surprise)[image, caption]).mean() * batch.word_share


def _framed(ids: list[int], bos_id: int, eos_id: int) -> list[int]:
    return [bos_id, *ids[: ids.index(eos_id) + 1]] if eos_id in ids else [bos_id, *ids]
