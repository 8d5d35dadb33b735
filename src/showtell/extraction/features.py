"""The features of a data set's pictures, as one extraction found them in the store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from showtell.data.records import Picture, Problem
from showtell.store.space import Array, FeatureSpace, record_key

if TYPE_CHECKING:  # brings torchvision's transforms, which plain pictures do not need
    from showtell.data.augment import View


@dataclass
class Extraction:
    """What an extraction found.

    Attributes:
        space: Where the features are.
        digests: Content digest of each readable picture, by name.
        unreadable: Pictures that were left out, with the reason.
        computed: How many pictures were looked at this time; the others were in the store.
        seconds: How long that took, without writing a graph.
        view: The view of the pictures that was looked at; None for the plain pictures.
    """

    space: FeatureSpace
    digests: dict[str, bytes] = field(default_factory=dict)
    unreadable: list[Problem] = field(default_factory=list)
    computed: int = 0
    seconds: float = 0.0
    view: "View | None" = None

    def key(self, name: str) -> bytes:
        """Return the record key of a picture."""
        return self.key_of(self.digests[name])

    def key_of(self, digest: bytes) -> bytes:
        """Return the record key of a content."""
        return record_key(digest, self.view.name if self.view else "")

    def pooled(self, pictures: Sequence[Picture]) -> Array:
        """Return the pooled features (N, D) of pictures, of the type that the store keeps."""
        return self.space.get_pooled([self.key(picture.name) for picture in pictures])
