"""The largest numbers of long rows, of which a search needs few."""

import math

import torch
from torch import Tensor


def likeliest(log_probs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the largest of each row and where they are, as ``topk`` does, which looks at each number alone.

    The largest ones are in those columns of a row, laid out as a matrix, that have the largest maxima; maxima
    are found many at once.

    Args:
        log_probs: (..., V).
        count: How many, N; all where there are fewer.

    Returns:
        Values and indices, (..., N) each, largest first.
    """
    size = log_probs.shape[-1]
    count = min(count, size)
    rows = math.isqrt(size // count)
    columns = size // rows
    if rows < 4:
        return log_probs.topk(count, dim=-1)
    matrix = log_probs[..., : rows * columns].unflatten(-1, (rows, columns))
    chosen = matrix.amax(-2).topk(count, dim=-1)[1].unsqueeze(-2)  # (..., 1, N)
    values = matrix.gather(-1, chosen.expand(*matrix.shape[:-1], count)).flatten(-2)  # (..., rows * N)
    index = (chosen + columns * torch.arange(rows, device=chosen.device).unsqueeze(-1)).flatten(-2)
    rest = torch.arange(rows * columns, size, device=index.device).expand(*index.shape[:-1], -1)
    values = torch.cat([values, log_probs[..., rows * columns :]], dim=-1)
    values, places = values.topk(count, dim=-1)
    return values, torch.cat([index, rest], dim=-1).gather(-1, places)
