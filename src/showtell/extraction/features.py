"""The features of a data set's images, as they lie in the store: what everyone reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from showtell import notebook
from showtell.backbones.grids import Grid
from showtell.data.records import AnnotatedImage, Problem
from showtell.store.record import Array, record_key
from showtell.store.space import FeatureSpace

if TYPE_CHECKING:  # brings torchvision's transforms, which plain images do not need
    from showtell.data.augment import View

_SHOWN = 5
"""Names that a notebook shows."""


@dataclass(frozen=True, repr=False)
class Features:
    """Features of images, by name; the arrays are read from the store when they are asked for.

    Example:
        >>> found = showtell.features("photos/")
        >>> found.names[0], found.pooled().shape, found.grid(found.names[:8]).shape
        ('cat.jpg', (500, 1280), (8, 49, 1280))

    Attributes:
        space: Where the features are.
        digests: Content digest of each readable image, by name, in the order of the images.
        unreadable: Images that were left out, with the reason.
        computed: How many images were encoded this time; the others were in the store.
        seconds: How long that took, without writing a graph.
        view: The view of the images that was encoded; None for the plain images.
    """

    space: FeatureSpace
    digests: dict[str, bytes] = field(default_factory=dict)
    unreadable: Sequence[Problem] = ()
    computed: int = 0
    seconds: float = 0.0
    view: "View | None" = None

    def __repr__(self) -> str:
        return f"Features({len(self)} images, {self.pooled_dim} wide, {len(self.unreadable)} unreadable)"

    def _repr_html_(self) -> str:
        arrays = [(".pooled()", f"({len(self):,}, {self.pooled_dim:,})", "a row for each image")]
        arrays += [
            (
                ".grid()",
                f"({len(self):,}, {one.rows * one.columns}, {one.channels:,})",
                f"{one.rows} x {one.columns} cells",
            )
            for one in self.grids
        ]
        note = f"{self.computed:,} encoded now, {len(self) - self.computed:,} were in the store"
        parts = [
            notebook.table(arrays),
            notebook.table(((name,) for name in self.names[:_SHOWN]), ("first names",)),
        ]
        if self.unreadable:
            left_out = [(one.where, one.detail) for one in self.unreadable[:_SHOWN]]
            parts.append(notebook.table(left_out, (f"{len(self.unreadable):,} left out", "reason")))
        return notebook.block(f"Features of {len(self):,} images by {self.architecture}", *parts, note=note)

    def __len__(self) -> int:
        """Return the number of readable images."""
        return len(self.digests)

    @property
    def names(self) -> list[str]:
        """Names of all readable images; rows of the arrays are in this order."""
        return list(self.digests)

    @property
    def spaces(self) -> tuple[FeatureSpace, ...]:
        """Return the space of each network."""
        return (self.space,)

    @property
    def architecture(self) -> str:
        """Return the name of the network."""
        return str(self.space.description["architecture"])

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Return the grid of each network."""
        rows, columns = self.space.description["grid_size"]
        return (Grid(rows, columns, self.space.description["grid_shape"][1]),)

    @property
    def pooled_dim(self) -> int:
        """Return how long pooled features are."""
        return self.space.pooled_dim

    def key(self, name: str) -> bytes:
        """Return the record key of an image."""
        return key_of(self.digests[name], self.view)

    def grid(self, images: Sequence[AnnotatedImage | str] | None = None) -> Array:
        """Read grids.

        Args:
            images: N images, or their names; None for all.

        Returns:
            (N, L, D), of the dtype that the store keeps.

        Raises:
            StoreError: Somebody has removed one from the store.
        """
        grid, _ = self.space.get(self._keys(images))
        assert grid is not None  # every backbone gives one
        return grid

    def pooled(self, images: Sequence[AnnotatedImage | str] | None = None) -> Array:
        """Read pooled features (N, D) as :meth:`grid` reads grids, which are not touched.

        Raises:
            StoreError: Somebody has removed one from the store.
        """
        return self.space.get_pooled(self._keys(images))

    def _keys(self, images: Sequence[AnnotatedImage | str] | None) -> list[bytes]:
        named = self.digests if images is None else images
        return [self.key(one if isinstance(one, str) else one.name) for one in named]


def key_of(digest: bytes, view: "View | None") -> bytes:
    """Return the record key of a content, seen plainly or in a view."""
    return record_key(digest, view.name if view else "")
