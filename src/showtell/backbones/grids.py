"""How the grids of several networks make one: side by side where of one size, else one after another.

Letters: L cells of the joint grid, D channels of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings and records of runs read this, too
    from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """The grid of one network.

    Attributes:
        rows: Of cells.
        columns: Of cells.
        channels: Of each cell.
    """

    rows: int
    columns: int
    channels: int

    @property
    def cells(self) -> int:
        """Return how many cells it has."""
        return self.rows * self.columns


def blocks(grids: Sequence[Grid]) -> list[tuple[slice, slice]]:
    """Return which cells and which channels of the joint grid (L, D) are each network's.

    Every network has channels of its own. Grids of one size share their cells; grids of different sizes are
    one longer list, in which a cell holds zeros in the channels of the other networks.
    """
    found, cells, channels = [], 0, 0
    together = _are_of_one_size(grids)
    for grid in grids:
        start = 0 if together else cells
        found.append((slice(start, start + grid.cells), slice(channels, channels + grid.channels)))
        cells, channels = cells + grid.cells, channels + grid.channels
    return found


def joint_shape(grids: Sequence[Grid]) -> tuple[int, int]:
    """Return the shape of the joint grid, (L, D)."""
    cells, channels = blocks(grids)[-1]
    return cells.stop, channels.stop


def map_size(grids: Sequence[Grid]) -> tuple[int, int]:
    """Return the rows and columns of a map of all networks: those of the finest grid."""
    return max(grid.rows for grid in grids), max(grid.columns for grid in grids)


def as_map(weights: "Tensor", grids: Sequence[Grid]) -> "Tensor":
    """Lay weights of the cells of a joint grid on the image.

    Args:
        weights: (..., L), float32, each 0 or more.
        grids: Of the networks.

    Returns:
        (..., rows, columns) of :func:`map_size`, with the same sum.
    """
    if _are_of_one_size(grids):
        laid: Tensor = weights.unflatten(-1, map_size(grids))
        return laid
    return join_maps(
        [
            weights[..., cells].unflatten(-1, (grid.rows, grid.columns))
            for grid, (cells, _) in zip(grids, blocks(grids))
        ]
    )


def join_maps(maps: "Sequence[Tensor]") -> "Tensor":
    """Add maps (..., rows, columns) of several networks on the finest of their grids; their sum is kept.

    What lies in a cell is spread evenly over the part of the image that the cell covers.
    """
    rows, columns = (max(one.shape[axis] for one in maps) for axis in (-2, -1))
    spread = [_spread(one, rows, columns) for one in maps]
    total = spread[0]
    for one in spread[1:]:
        total = total + one
    return total


def _spread(one: "Tensor", rows: int, columns: int) -> "Tensor":
    if one.shape[-2:] == (rows, columns):
        return one
    down, across = (one.new_tensor(_shares(*each)) for each in zip(one.shape[-2:], (rows, columns)))
    return down @ one @ across.T


def _shares(source: int, target: int) -> list[list[float]]:
    """Return the share of each of ``source`` cells that lies in each of ``target`` ones, (target, source)."""
    scale = source / target
    return [
        [max(0.0, min(i + 1, (j + 1) * scale) - max(i, j * scale)) for i in range(source)]
        for j in range(target)
    ]


def _are_of_one_size(grids: Sequence[Grid]) -> bool:
    return len({(grid.rows, grid.columns) for grid in grids}) == 1
