"""The mean features of several crops of an image: test-time augmentation, cell by cell.

Letters: B images, K crops, L grid cells, D channels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Crop:
    """A part of an image, scaled back to the size of the whole.

    Attributes:
        top: Where it begins, a share of the height.
        left: Where it begins, a share of the width.
        share: Of each side.
    """

    top: float
    left: float
    share: float


_CUT = 0.85
"""Share of each side that a crop keeps: as much as the views that captioners learn from keep at least."""
CROPS = (
    Crop(0, 0, 1),
    Crop((1 - _CUT) / 2, (1 - _CUT) / 2, _CUT),
    *(Crop(top, left, _CUT) for top, left in ((0, 0), (1 - _CUT, 1 - _CUT), (0, 1 - _CUT), (1 - _CUT, 0))),
)
"""The whole image, its centre, and its corners; of K crops the first K are taken. None is mirrored: what is
left would be right there."""


class MultiCrop(nn.Module):
    """Crop images, and average what a network sees in the crops.

    Args:
        count: K, at most as many as there are `CROPS`.
        grid_size: Rows and columns of a crop's grid.
    """

    resample: Tensor

    def __init__(self, count: int, grid_size: tuple[int, int]) -> None:
        super().__init__()
        self.crops = CROPS[:count]
        rows, columns = grid_size
        cells = [
            torch.kron(_resampling(crop.top, crop.share, rows), _resampling(crop.left, crop.share, columns))
            for crop in self.crops
        ]
        shares = torch.stack(cells)  # (K, L, L)
        # A cell that a crop does not show is the mean of the others: the first one shows all.
        self.register_buffer("resample", shares / shares.sum((0, 2)).view(1, -1, 1), persistent=False)

    def cut(self, images: Tensor) -> Tensor:
        """Return crops of images (B, C, height, width), crop by crop: (K * B, C, height, width)."""
        height, width = images.shape[-2:]
        found = [images]
        for crop in self.crops[1:]:
            top, left = round(crop.top * height), round(crop.left * width)
            rows, columns = round(crop.share * height), round(crop.share * width)
            part = images[..., top : top + rows, left : left + columns]
            found.append(F.interpolate(part, (height, width), mode="bilinear", align_corners=False))
        return torch.cat(found)

    def average(self, grid: Tensor, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Average features of crops: a cell of the image with what each crop shows in its place.

        Args:
            grid: (K * B, L, D).
            pooled: (K * B, D).

        Returns:
            (B, L, D) and (B, D).
        """
        count = len(self.crops)
        mean = (self.resample.unsqueeze(1) @ grid.float().unflatten(0, (count, -1))).sum(0)
        return mean, pooled.unflatten(0, (count, -1)).mean(0)


def _resampling(start: float, share: float, cells: int) -> Tensor:
    """Return how the cells of an image's side follow from those of a crop, linearly.

    Returns:
        (cells, cells), float32; each row sums to 1, or to 0 where the crop does not show the cell's centre.
    """
    centre = ((torch.arange(cells) + 0.5) / cells - start) / share  # a share of the crop
    place = (centre * cells - 0.5).clamp(0, cells - 1)
    weights = (1 - (place.unsqueeze(1) - torch.arange(cells)).abs()).clamp(min=0)
    return weights * ((centre >= 0) & (centre <= 1)).unsqueeze(1)
