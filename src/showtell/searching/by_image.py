"""The images that look like another one: the nearest by the cosine of their pooled features."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from showtell.backbones.backbone import Backbone
from showtell.data.images import read_content
from showtell.data.neighbours import Floats, Nearest
from showtell.data.records import AnnotatedImage
from showtell.extraction.features import Features
from showtell.searching.result import Match
from showtell.store.store import content_digest


class ByImage:
    """Finds images by another image.

    Args:
        images: That can be found.
        features: Of them.
        backbone: Encodes an image that is not among them.
    """

    score = "cosine"

    def __init__(self, images: Sequence[AnnotatedImage], features: Features, backbone: Backbone) -> None:
        self.by = f"features of {features.architecture}"
        self._images, self._backbone = images, backbone
        # In float32 and held: what a store reads from the disk is found in milliseconds again and again.
        self._pooled = features.pooled(images).astype(np.float32)  # (N, D)
        self._nearest = Nearest(self._pooled)
        self._places = {features.digests[image.name]: place for place, image in enumerate(images)}

    def find(self, asked: str, count: int) -> list[Match]:
        """Find the images nearest to one; its own file, where it is among them, is left out.

        Args:
            asked: The path of an image, among those searched or not.
            count: How many to find.

        Raises:
            ImageError: It cannot be read.
        """
        path = Path(asked)
        found = self.near(read_content(path), count + 1)
        return [match for match in found if not _is_same(match.image.path, path)][:count]

    def near(self, content: bytes, count: int) -> list[Match]:
        """Find the images nearest to the content of a file; of the same content, it comes first.

        Raises:
            ImageError: It cannot be read.
        """
        place = self._places.get(content_digest(content))
        if place is None:
            pixels = self._backbone.pixels(content).unsqueeze(0)
            vector: Floats = self._backbone(pixels.to(self._backbone.device))[1].float().cpu().numpy()
        else:
            vector = self._pooled[place : place + 1]
        places, cosines = self._nearest.search(vector, count)
        return [
            Match(self._images[where], cosine)
            for where, cosine in zip(places[0].tolist(), cosines[0].tolist())
        ]


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False
