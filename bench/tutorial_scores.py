"""How well the tutorials' own training captions photos, epoch by epoch, for ``time_to_quality.py``.

    python bench/tutorial_scores.py RUN [--only torch tensorflow] [--epochs 12]

RUN is a finished captioner: its photos, captions, words and plain grids are what both learn from, each
caption once an epoch, by their published settings. How well a training captions does not depend on what runs
it: TensorFlow's way is written here in torch, products are bfloat16 and keys are projected once, for speed.
After each epoch its captions of the validation split are scored, the PyTorch tutorial's by a beam of 3 as its
own search finds them (no length penalty), the TensorFlow tutorial's greedily: it samples, which scores lower.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tutorial_torch
from memory import opened
from record import add_results, record
from showtell.evaluation.cider import CiderD
from showtell.kinds.captioner.data import CaptionData, read_grids
from showtell.models.captioner import Captioner
from showtell.models.decoding import Beam, StepOutput, beam_search

HIDDEN, DECODED = 512, 100


class State(NamedTuple):
    """What a row of a search carries: both parts of an LSTM's state, or a GRU's twice; (B, K, H)."""

    hidden: Tensor
    cell: Tensor


class TensorFlowWay(nn.Module):
    """The TensorFlow tutorial's encoder and decoder: see ``tutorial_tensorflow.py``."""

    batch, rate, beam = 64, 1e-3, 1

    def __init__(self, vocabulary: int, feature_dim: int) -> None:
        super().__init__()
        embed = HIDDEN // 2
        self.project = nn.Linear(feature_dim, embed)
        self.to_key, self.to_query = nn.Linear(embed, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.to_score = nn.Linear(HIDDEN, 1)
        self.embed = nn.Embedding(vocabulary, embed)
        self.cell = nn.GRUCell(2 * embed, HIDDEN)
        self.deep, self.to_words = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, vocabulary)
        nn.init.uniform_(self.embed.weight, -0.05, 0.05)  # as Keras begins

    def look(self, grid: Tensor) -> tuple[Tensor, Tensor, State]:
        """Return values, keys and the first state of rows (N, L, D)."""
        values = torch.relu(self.project(grid))
        start = values.new_zeros(len(grid), HIDDEN)
        return values, self.to_key(values), State(start, start)

    def read(self, values: Tensor, keys: Tensor, words: Tensor, state: State) -> tuple[State, Tensor]:
        """Read words (N,): the next state, and what is scored."""
        score = self.to_score(torch.tanh(keys + self.to_query(state.hidden).unsqueeze(1)))
        context = (score.softmax(1) * values).sum(1)
        hidden = self.cell(torch.cat([context, self.embed(words)], 1), state.hidden)
        return State(hidden, hidden), self.deep(hidden)

    def loss(self, grid: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean cross-entropy a word."""
        values, keys, state = self.look(grid)
        found = []
        for moment in range(int(lengths.max())):
            state, out = self.read(values, keys, ids[:, moment], state)
            found.append(out)
        real = torch.arange(len(found)) < lengths.unsqueeze(1)  # (N, T)
        logits = self.to_words(torch.stack(found, 1)[real])
        return F.cross_entropy(logits.float(), ids[:, 1 : 1 + len(found)][real])

    def clip(self) -> None:
        """Leave gradients as they are."""


class TorchWay(tutorial_torch.Captioner):
    """The PyTorch tutorial's captioner with what its training sets."""

    batch, rate, beam = tutorial_torch.BATCH, tutorial_torch.RATE, 3

    def __init__(self, vocabulary: int, feature_dim: int) -> None:
        super().__init__(vocabulary, feature_dim, HIDDEN, keys_once=True)

    def look(self, grid: Tensor) -> tuple[Tensor, Tensor, State]:
        """Return values, keys and the first state of rows (N, L, D)."""
        return grid, self.to_key(grid), State(*self.begin(grid))

    def read(self, values: Tensor, keys: Tensor, words: Tensor, state: State) -> tuple[State, Tensor]:
        """Read words (N,): the next state, and what is scored."""
        moved, _ = self.step(values, keys, words, tuple(state))
        return State(*moved), moved[0]

    def loss(self, grid: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean cross-entropy a word and the doubly stochastic term."""
        order = lengths.argsort(descending=True, stable=True)
        scores, targets, looks = self(grid[order], ids[order], lengths[order])
        return (
            F.cross_entropy(scores.float(), targets)
            + tutorial_torch.COVER * (1 - looks.sum(1)).square().mean()
        )

    def clip(self) -> None:
        """Cut every gradient to the tutorial's largest."""
        nn.utils.clip_grad_value_(self.parameters(), tutorial_torch.CLIP)


WAYS: dict[str, type[TorchWay] | type[TensorFlowWay]] = {"torch": TorchWay, "tensorflow": TensorFlowWay}


def captions_of(way: TorchWay | TensorFlowWay, captioner: Captioner, grid: Tensor) -> list[str]:
    """Caption images (B, L, D) by showtell's search, with the tutorial's model in it."""
    values, keys, state = way.look(grid)
    images, rows = len(grid), lambda part: part.flatten(0, 1)

    def step(state: tuple[Tensor, ...], words: Tensor) -> StepOutput:
        count = words.shape[1]
        spread = [part.repeat_interleave(count, 0) for part in (values, keys)]
        moved, out = way.read(*spread, words.flatten(), State(*map(rows, state)))
        scores = way.to_words(out).float().log_softmax(-1).unflatten(0, (images, count))
        kept = State(*(part.unflatten(0, (images, count)) for part in moved))
        return StepOutput(scores, kept, scores.new_zeros(images, count, 1))

    first = State(*(part.unsqueeze(1) for part in state))
    found = beam_search(step, first, captioner.special, Beam(way.beam, 40, 0.0))
    return [captioner.tokenizer.decode(each[0].token_ids) for each in found]


def train(
    kind: str, captioner: Captioner, data: CaptionData, epochs: int, say: Callable[[str], None]
) -> list[dict[str, float]]:
    """Train a tutorial's captioner; return what each epoch scored."""
    torch.manual_seed(0)
    way = WAYS[kind](captioner.tokenizer.vocab_size, data.features.grids[0].channels)
    optimizer = torch.optim.Adam(way.parameters(), way.rate)
    texts = [(i, ids) for i, image in enumerate(data.train) for ids in captioner.encode(image.captions)]
    references = CiderD({image.name: image.captions for image in data.validation})
    found = []
    for epoch in range(1, epochs + 1):
        started, losses = time.perf_counter(), []
        order = np.random.default_rng(epoch).permutation(len(texts))
        for rows in np.split(order, range(way.batch, len(order), way.batch)):
            chosen = [texts[row] for row in rows]
            lengths = torch.tensor([len(ids) - 1 for _, ids in chosen])
            ids = torch.full((len(chosen), int(lengths.max()) + 1), captioner.tokenizer.pad_id)
            for row, (_, one) in enumerate(chosen):
                ids[row, : len(one)] = torch.tensor(one)
            grid = torch.from_numpy(data.features.grid([data.train[i] for i, _ in chosen])).float()
            with torch.autocast("cpu", torch.bfloat16):
                loss = way.loss(grid, ids, lengths)
            optimizer.zero_grad()
            loss.backward()
            way.clip()
            optimizer.step()
            losses.append(loss.item())
        seconds = time.perf_counter() - started
        way.eval()
        said: dict[str, str] = {}
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(data.validation), DECODED):
                part = data.validation[start : start + DECODED]
                captions = captions_of(way, captioner, read_grids(captioner, data.features, part).float())
                said |= {image.name: text for image, text in zip(part, captions)}
        way.train()
        score = float(np.mean(references.score(said)))
        found.append({"epoch": epoch, "loss": float(np.mean(losses)), "cider_d": score, "seconds": seconds})
        say(f"{kind} epoch {epoch}: loss {found[-1]['loss']:.3f}, CIDEr-D {score:.3f}, {seconds:.0f} s")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    add_results(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, data = opened(options.run)
    say = lambda text: print(text, flush=True)  # noqa: E731
    figures = {kind: train(kind, model.captioner, data, options.epochs, say) for kind in options.only}
    record("tutorial_scores", figures, options)


if __name__ == "__main__":
    main()
