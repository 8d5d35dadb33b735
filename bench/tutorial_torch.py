"""The widely used PyTorch tutorial's way to caption with attention, written anew from its description.

Every caption is a row of its own with its own copy of the image's grid; rows are sorted by length and the
batch shrinks as captions end; keys are projected again at every word; float32; Adam at 4e-4, gradients
clipped to 5 by value. Its search describes one image at a time, with the beam as the batch. The
convolutional network is left out: grids are given, as they are to everybody compared here.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH, RATE, CLIP, COVER = 32, 4e-4, 5.0, 1.0
"""Captions a step, learning rate, largest gradient of one weight, weight of the doubly stochastic term."""


class Captioner(nn.Module):
    """An LSTM cell with additive attention.

    Args:
        vocabulary: Number of tokens.
        feature_dim: Channels of a cell of the grid.
        hidden: Width of the state, of word vectors and of the attention space.
        keys_once: Project a grid once a caption instead of once a word: what the tutorial could have done.
    """

    def __init__(self, vocabulary: int, feature_dim: int, hidden: int, keys_once: bool = False) -> None:
        super().__init__()
        self.keys_once = keys_once
        self.to_key = nn.Linear(feature_dim, hidden)
        self.to_query = nn.Linear(hidden, hidden)
        self.to_score = nn.Linear(hidden, 1)
        self.to_gate = nn.Linear(hidden, feature_dim)
        self.start_hidden = nn.Linear(feature_dim, hidden)
        self.start_cell = nn.Linear(feature_dim, hidden)
        self.embed = nn.Embedding(vocabulary, hidden)
        self.cell = nn.LSTMCell(hidden + feature_dim, hidden)
        self.to_words = nn.Linear(hidden, vocabulary)
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)
        nn.init.uniform_(self.to_words.weight, -0.1, 0.1)
        nn.init.zeros_(self.to_words.bias)

    def begin(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first state for grids (N, L, D), two of (N, H)."""
        mean = grid.mean(1)
        return self.start_hidden(mean), self.start_cell(mean)

    def step(
        self, grid: Tensor, keys: Tensor | None, words: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Look and read words (N,): the next state, and the weights of the cells (N, L)."""
        if keys is None:
            keys = self.to_key(grid)
        energy = torch.relu(keys + self.to_query(state[0]).unsqueeze(1))  # (N, L, H)
        weights = self.to_score(energy).squeeze(2).softmax(1)
        context = (grid * weights.unsqueeze(2)).sum(1)
        context = torch.sigmoid(self.to_gate(state[0])) * context
        return self.cell(torch.cat([self.embed(words), context], dim=1), state), weights

    def forward(self, grid: Tensor, token_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read captions sorted by length, longest first.

        Returns:
            Scores of real words (W, V), what they should be (W,), and weights of the cells (N, T, L).
        """
        keys = self.to_key(grid) if self.keys_once else None
        state = self.begin(grid)
        scores, targets, looks = [], [], []
        for time in range(int(lengths[0])):
            alive = int((lengths > time).sum())
            state, weights = self.step(
                grid[:alive],
                None if keys is None else keys[:alive],
                token_ids[:alive, time],
                (state[0][:alive], state[1][:alive]),
            )
            scores.append(self.to_words(F.dropout(state[0], 0.5, self.training)))
            targets.append(token_ids[:alive, time + 1])
            looks.append(F.pad(weights, (0, 0, 0, len(lengths) - alive)))
        return torch.cat(scores), torch.cat(targets), torch.stack(looks, dim=1)


def sorted_rows(
    data: dict[str, np.ndarray], rows: np.ndarray, captions: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return grid, token ids and lengths of captions, numbered image by image, longest first."""
    rows = rows[np.argsort(-data["lengths"].reshape(-1)[rows], kind="stable")]
    grid = torch.from_numpy(data["grid"][rows // captions]).float()
    token_ids = torch.from_numpy(data["token_ids"].reshape(-1, data["token_ids"].shape[-1])[rows])
    return grid, token_ids, torch.from_numpy(data["lengths"].reshape(-1)[rows])


def optimise(
    model: Captioner, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    """Make one step."""
    scores, targets, looks = model(*batch)
    loss = F.cross_entropy(scores, targets) + COVER * (1 - looks.sum(1)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), CLIP)
    optimizer.step()


@torch.no_grad()
def held_out_loss(model: Captioner, data: dict[str, np.ndarray]) -> float:
    """Return the mean cross-entropy a word, dropout off."""
    model.eval()
    captions = data["lengths"].shape[1]
    parts = np.array_split(np.arange(data["lengths"].size), max(1, data["lengths"].size // BATCH))
    total, words = 0.0, 0
    for rows in parts:
        scores, targets, _ = model(*sorted_rows(data, rows, captions))
        total += F.cross_entropy(scores, targets, reduction="sum").item()
        words += len(targets)
    model.train()
    return total / words


@torch.no_grad()
def search(
    model: Captioner, grid: Tensor, *, bos: int, eos: int, beam: int, longest: int
) -> tuple[list[int], list[Tensor]]:
    """Describe one image (L, D) by beam search, its beam as the batch.

    Returns:
        The token ids of the likeliest caption, and the weights of the cells behind each.
    """
    left = beam
    grid = grid.unsqueeze(0).expand(beam, *grid.shape)
    state = model.begin(grid)
    words = torch.full((beam,), bos)
    captions, looks = words.unsqueeze(1), torch.ones(beam, 1, grid.shape[1])
    total = torch.zeros(beam, 1)
    ended: list[tuple[float, list[int], list[Tensor]]] = []
    for time in range(longest + 1):
        state, weights = model.step(grid, model.to_key(grid) if model.keys_once else None, words, state)
        scores = total + F.log_softmax(model.to_words(state[0]), dim=1)  # (left, V)
        if time == 0:  # all rows are still alike
            best, places = scores[0].topk(left)
        else:
            best, places = scores.view(-1).topk(left)
        rows, chosen = places // scores.shape[1], places % scores.shape[1]
        captions = torch.cat([captions[rows], chosen.unsqueeze(1)], dim=1)
        looks = torch.cat([looks[rows], weights[rows].unsqueeze(1)], dim=1)
        going = [i for i, word in enumerate(chosen.tolist()) if word != eos and time < longest]
        gone = set(range(len(chosen))) - set(going)
        ended += [(best[i].item(), captions[i].tolist(), list(looks[i])) for i in gone]
        left = len(going)
        if left == 0:
            break
        captions, looks, total = captions[going], looks[going], best[going].unsqueeze(1)
        state, words, grid = (state[0][rows[going]], state[1][rows[going]]), chosen[going], grid[rows[going]]
    _, ids, weights_of_best = max(ended, key=lambda end: end[0])
    return ids, weights_of_best
