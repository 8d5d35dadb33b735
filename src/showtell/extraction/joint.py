"""Features of the same images by several networks, joined as they are read; each has a space of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from showtell.backbones.grids import Grid, blocks, joint_shape
from showtell.backbones.joint import join_pooled
from showtell.data.records import AnnotatedImage, Problem
from showtell.extraction.features import Features
from showtell.store.record import Array
from showtell.store.space import FeatureSpace


@dataclass(frozen=True, repr=False)
class JointFeatures(Features):
    """Features of images by several networks.

    Attributes:
        space: That of the first network; see :attr:`spaces`.
        parts: The features by each network, in the order of the joint backbone.
    """

    parts: tuple[Features, ...] = ()

    @classmethod
    def of(cls, parts: Sequence[Features]) -> "JointFeatures":
        """Join the features of the same images; an image that one network lacks is left out."""
        first = parts[0]
        unreadable = {problem.where: problem for part in parts for problem in part.unreadable}
        digests = {}
        for name, digest in first.digests.items():
            if all(part.digests.get(name) == digest for part in parts):
                digests[name] = digest
            else:
                changed = Problem("unreadable image", name, "changed while it was read")
                unreadable.setdefault(name, changed)
        return cls(
            first.space,
            digests,
            tuple(unreadable.values()),
            sum(part.computed for part in parts),
            sum(part.seconds for part in parts),
            first.view,
            tuple(parts),
        )

    @property
    def spaces(self) -> tuple[FeatureSpace, ...]:
        """Return where the features of each network are."""
        return tuple(part.space for part in self.parts)

    @property
    def architecture(self) -> str:
        """Return the names of the networks."""
        return " + ".join(part.architecture for part in self.parts)

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Return the grid of each network."""
        return tuple(grid for part in self.parts for grid in part.grids)

    @property
    def pooled_dim(self) -> int:
        """Return how long pooled features are."""
        return sum(part.pooled_dim for part in self.parts)

    def grid(self, images: Sequence[AnnotatedImage | str] | None = None) -> Array:
        """Read grids and join them, (N, L, D); see :meth:`Features.grid`."""
        named = self.names if images is None else images
        dtype = np.result_type(*(space.dtype for space in self.spaces))
        joined = np.zeros((len(named), *joint_shape(self.grids)), dtype)
        for part, (cells, channels) in zip(self.parts, blocks(self.grids)):
            joined[:, cells, channels] = part.grid(named)
        return joined

    def pooled(self, images: Sequence[AnnotatedImage | str] | None = None) -> Array:
        """Read pooled features and join them, (N, D), each network's of length 1."""
        named = self.names if images is None else images
        found = [torch.from_numpy(part.pooled(named)) for part in self.parts]
        joined: Array = join_pooled(found).to(found[0].dtype).numpy()
        return joined
