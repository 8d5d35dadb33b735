"""Images that belong on one side of a split: copies, scenes, bursts by time, and what the data says."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from showtell.data.image_info import read_image_infos
from showtell.data.near_duplicates import Similarity, near_duplicate_groups
from showtell.data.neighbours import unit_vectors
from showtell.data.pixels.exif import exif_of
from showtell.data.records import AnnotatedImage
from showtell.data.scenes import Pixels, feature_similarity

BURST_SECONDS = 3.0
"""Photos of one camera with no longer a pause between them may be one burst."""
_LESS = 0.2
"""By how much less than near-duplicates photos of one burst must be alike: time speaks for them already."""
_CAMERA_LIMIT = 60
"""No camera takes more photos at one time of its clock: such a time is that of a clock that stands still."""
_MAKE, _MODEL, _ORIGINAL, _SUBSEC, _SERIAL = 0x010F, 0x0110, 0x9003, 0x9291, 0xA431


def group_numbers(names: Sequence[str], of: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Return each image's group by its name, (N,); one of its own where none is known."""
    return np.array([of.get(name, -1 - place) for place, name in enumerate(names)], np.int64)


@dataclass(frozen=True, slots=True)
class Taken:
    """When a photo was taken."""

    camera: str  # make, model and serial number, as far as they are known
    seconds: float  # since 1970 by the camera's clock, fractions included where the camera says them


def times_of_taking(paths: Sequence[Path]) -> list[Taken | None]:
    """Return for each file when it was taken; None where it does not say so. Only headers are read."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1, "taken") as readers:
        return list(readers.map(time_of_taking, paths))


def time_of_taking(path: Path) -> Taken | None:
    """Return when a photo was taken (DateTimeOriginal and its fraction); None where its file does not say."""
    tags = exif_of(path)
    try:
        moment = datetime.strptime(str(tags[_ORIGINAL])[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except (KeyError, ValueError):
        return None
    digits = str(tags.get(_SUBSEC, "")).strip().strip("\0")
    fraction = float(f"0.{digits}") if digits.isascii() and digits.isdigit() else 0.0
    known = (tags.get(tag) for tag in (_MAKE, _MODEL, _SERIAL))
    camera = " ".join(str(part).strip().strip("\0") for part in known if part)
    return Taken(camera, moment.timestamp() + fraction)


def bursts_by_time(taken: Sequence[Taken | None], similarity: Similarity) -> list[tuple[int, int]]:
    """Return pairs of places of photos that one camera took within seconds, and that are alike.

    Args:
        taken: Of the photos in order, N.
        similarity: What tells near-duplicates, of the same photos. The threshold for these pairs is lower;
            where only copies tell, time alone counts.
    """
    by_camera: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    standing = Counter(taken)
    for place, one in enumerate(taken):
        if one is not None and standing[one] <= _CAMERA_LIMIT:
            by_camera[one.camera].append((one.seconds, place))
    pairs = []
    least = similarity.threshold - _LESS if similarity.informative else -1.0
    for shots in by_camera.values():
        shots.sort()
        for number, (seconds, place) in enumerate(shots):
            later = number + 1
            while later < len(shots) and shots[later][0] - seconds <= BURST_SECONDS:
                pairs.append((place, shots[later][1]))
                later += 1
    if not pairs:
        return []
    first, second = np.array(pairs).T
    unit = unit_vectors(similarity.vectors)
    cosines = np.einsum("nd,nd->n", unit[first], unit[second])
    return [pair for pair, cosine in zip(pairs, cosines.tolist()) if cosine >= least]


_RECORD = "the record of the training"


@dataclass(frozen=True)
class Groups:
    """Which images belong together."""

    of: Mapping[str, int]  # number of its group by image name; an image that stands alone has one of its own
    by: str  # what told near-duplicates, in words
    timed: int = 0  # how many pairs were found by their time of taking
    named: bool = False  # whether the data names groups itself

    @classmethod
    def recorded(cls, images: Sequence[AnnotatedImage], of: Mapping[str, int]) -> "Groups":
        """Return groups that a run recorded, by numbers from 0; an image of none stands alone."""
        names = [image.name for image in images]
        return cls(dict(zip(names, group_numbers(names, of).tolist())), _RECORD)

    @property
    def count(self) -> int:
        """Return how many groups there are."""
        return len(set(self.of.values()))

    def members(self) -> list[list[str]]:
        """Return the names of each group, in order."""
        return collect(self.of)

    @property
    def criteria(self) -> str:
        """Return what the groups were found by, in words."""
        found = [f"by {self.by}"]
        if self.timed:
            found.append("by time of taking")
        if self.named:
            found.append("by the groups that the data names")
        return ", ".join(found)

    def sentence(self) -> str:
        """Say how many groups the images make, and what told it; empty where all stand alone."""
        if self.count == len(self.of):
            return ""
        groups = "1 group" if self.count == 1 else f"{self.count:,} groups"
        return f"{len(self.of):,} images are {groups} of what belongs together ({self.criteria})"


def find_groups(
    images: Sequence[AnnotatedImage], digests: Mapping[str, bytes], similarity: Similarity
) -> Groups:
    """Find what belongs on one side of a split."""
    names = [image.name for image in images]
    near = near_duplicate_groups(names, similarity.vectors, threshold=similarity.threshold)
    timed = bursts_by_time(times_of_taking([image.path for image in images]), similarity)
    bursts = [[names[first], names[second]] for first, second in timed]
    merged = merge_groups(images, digests, [*near, *bursts])
    of = {name: number for number, group in enumerate(merged) for name in group}
    named = any(image.group is not None for image in images)
    return Groups({name: of[name] for name in names}, similarity.by, len(timed), named)


def similarity_of(images: Sequence[AnnotatedImage], vectors: npt.NDArray[np.float32], by: str) -> Similarity:
    """Decide what tells near-duplicates among images, by their features and, where need be, pixels."""

    def look_at(places: Sequence[int]) -> Pixels:
        return Pixels.of(list(read_image_infos([images[place] for place in places])))

    return feature_similarity(vectors, look_at, by)


def merge_groups(
    images: Sequence[AnnotatedImage], digests: Mapping[str, bytes], groups: Sequence[Sequence[str]] = ()
) -> list[list[str]]:
    """Return every image's group: merged where groups overlap, contents are equal, or the data names one.

    Args:
        images: The images, with unique names.
        digests: Content digest by name, as far as it is known.
        groups: Names of images that belong together; names that are not among the images are passed over.
    """
    parent = {image.name: image.name for image in images}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(names: Sequence[str]) -> None:
        for name in names[1:]:
            parent[root(name)] = root(names[0])

    alike: defaultdict[bytes | str, list[str]] = defaultdict(list)
    for image in images:
        if image.name in digests:
            alike[digests[image.name]].append(image.name)
        if image.group is not None:
            alike[image.group].append(image.name)
    for same in (*alike.values(), *groups):
        join([name for name in same if name in parent])
    return collect({name: root(name) for name in parent})


def collect(of: Mapping[str, object]) -> list[list[str]]:
    """Return the names of each group, in order, from a group by name."""
    collected: defaultdict[object, list[str]] = defaultdict(list)
    for name, group in of.items():
        collected[group].append(name)
    return list(collected.values())
