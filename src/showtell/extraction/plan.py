"""What an extraction has to do: the images whose features are not in the store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from showtell.data.records import AnnotatedImage, Problem
from showtell.extraction.features import key_of
from showtell.store.record import Array
from showtell.store.store import FeatureSpace, FeatureStore, FileStamp

if TYPE_CHECKING:  # brings torchvision's transforms, which plain images do not need
    from showtell.data.augment import View

_AT_ONCE = 10_000
"""Images whose stamps are held together: all those of a million take half a gigabyte."""


class Waiting(NamedTuple):
    """An image whose file is new, has changed, or has no record."""

    image: AnnotatedImage
    stamp: FileStamp
    digest: bytes = b""  # of the file's content, where that is known without reading it


@dataclass(frozen=True)
class Plan:
    """What is missing in a feature space, and where it goes.

    Attributes:
        store: Remembers which content a file has.
        space: Where the features go.
        view: Of the images; None for the plain images.
        waiting: Images to read, and to encode unless their content turns out to be known: those of unread
            files in the order of the images, then those of known files.
        known: Content digest of each image whose features are there, by name.
        unreadable: Images whose file is not there.
    """

    store: FeatureStore
    space: FeatureSpace
    view: "View | None"
    waiting: tuple[Waiting, ...]
    known: dict[str, bytes]
    unreadable: tuple[Problem, ...]

    def key_of(self, digest: bytes) -> bytes:
        """Return the record key of a content."""
        return key_of(digest, self.view)

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of the keys that have no record, in ascending order."""
        return self.space.missing(keys)

    def commit(
        self, keys: Sequence[bytes], grid: Array, pooled: Array, files: Iterable[tuple[FileStamp, bytes]]
    ) -> None:
        """Write a batch in one transaction, and only then remember what its files hold.

        Args:
            keys: N record keys.
            grid: (N, L, D).
            pooled: (N, D).
            files: Stamps of the files that were read for it, with their content's digests.

        Raises:
            StoreError: The disk is full, or the network gave no finite numbers.
        """
        self.space.put(zip(keys, grid, pooled))
        self.store.remember_digests(files)


def plan_extraction(
    images: Sequence[AnnotatedImage], store: FeatureStore, space: FeatureSpace, view: "View | None" = None
) -> Plan:
    """Find out what is missing, without reading any image whose file is known.

    Args:
        images: What is wanted.
        store: Where features are kept.
        space: That of the backbone.
        view: Of the images; None for the plain images.
    """
    found: dict[str, bytes] = {}
    unread: list[Waiting] = []
    lost: list[Waiting] = []
    unreadable: list[Problem] = []
    for start in range(0, len(images), _AT_ONCE):
        known: list[Waiting] = []
        for image in images[start : start + _AT_ONCE]:
            try:
                stamp = FileStamp.of(image.path)
            except OSError as error:
                unreadable.append(unreadable_image(image, str(error.strerror)))
                continue
            digest = store.digest_of(stamp)
            (known if digest else unread).append(Waiting(image, stamp, digest or b""))
        missing = set(space.missing([key_of(one.digest, view) for one in known]))
        lost += [one for i, one in enumerate(known) if i in missing]
        found |= {one.image.name: one.digest for i, one in enumerate(known) if i not in missing}
    return Plan(store, space, view, (*unread, *lost), found, tuple(unreadable))


def unreadable_image(image: AnnotatedImage, reason: str) -> Problem:
    """Name an image that is left out."""
    return Problem("unreadable image", image.name, reason)
