"""Groups of images that belong on one side of a split: copies, scenes, bursts, and what the data says."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from showtell.data.facts import read_all
from showtell.data.near_duplicates import Likeness, near_duplicate_groups
from showtell.data.records import Picture
from showtell.data.scenes import Pixels, feature_likeness
from showtell.data.taken import bursts_by_time, times_of_taking

_RECORD = "the record of the training"


@dataclass(frozen=True)
class Groups:
    """Which images belong together.

    Attributes:
        of: Number of its group by image name; an image that stands alone has one of its own.
        by: What told near-duplicates, in words.
        timed: How many pairs were found by their time of taking.
        named: Whether the data names groups itself.
    """

    of: Mapping[str, int]
    by: str
    timed: int = 0
    named: bool = False

    @classmethod
    def recorded(cls, pictures: Sequence[Picture], of: Mapping[str, int]) -> "Groups":
        """Return groups that a run recorded, by numbers from 0; an image of none stands alone."""
        return cls({one.name: of.get(one.name, -1 - place) for place, one in enumerate(pictures)}, _RECORD)

    @property
    def count(self) -> int:
        """Return how many groups there are."""
        return len(set(self.of.values()))

    def members(self) -> list[list[str]]:
        """Return the names of each group, in order."""
        return collect(self.of)

    @property
    def told(self) -> str:
        """Say what told the groups."""
        told = [f"by {self.by}"]
        if self.timed:
            told.append("by time of taking")
        if self.named:
            told.append("by the groups that the data names")
        return ", ".join(told)

    def sentence(self) -> str:
        """Say how many groups the images make, and what told it; empty where all stand alone."""
        if self.count == len(self.of):
            return ""
        groups = "1 group" if self.count == 1 else f"{self.count:,} groups"
        return f"{len(self.of):,} images are {groups} of what belongs together ({self.told})"


def find_groups(pictures: Sequence[Picture], digests: Mapping[str, bytes], likeness: Likeness) -> Groups:
    """Find what belongs on one side of a split.

    Args:
        pictures: Readable images, N.
        digests: Content digest by name.
        likeness: What tells near-duplicates, of the same images.
    """
    names = [picture.name for picture in pictures]
    near = near_duplicate_groups(names, likeness.vectors, threshold=likeness.threshold)
    timed = bursts_by_time(times_of_taking([picture.path for picture in pictures]), likeness)
    bursts = [[names[first], names[second]] for first, second in timed]
    merged = merge_groups(pictures, digests, [*near, *bursts])
    of = {name: number for number, group in enumerate(merged) for name in group}
    named = any(picture.group is not None for picture in pictures)
    return Groups({name: of[name] for name in names}, likeness.by, len(timed), named)


def likeness_of(pictures: Sequence[Picture], vectors: npt.NDArray[np.float32], by: str) -> Likeness:
    """Decide what tells near-duplicates among images, by their features and, where need be, pixels."""

    def look_at(places: Sequence[int]) -> Pixels:
        return Pixels.of(list(read_all([pictures[place] for place in places])))

    return feature_likeness(vectors, look_at, by)


def merge_groups(
    pictures: Sequence[Picture], digests: Mapping[str, bytes], groups: Sequence[Sequence[str]] = ()
) -> list[list[str]]:
    """Return every image's group: merged where groups overlap, contents are equal, or the data names one.

    Args:
        pictures: The images, with unique names.
        digests: Content digest by name, as far as it is known.
        groups: Names of images that belong together; names that are not among the images are passed over.
    """
    parent = {picture.name: picture.name for picture in pictures}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(names: Sequence[str]) -> None:
        for name in names[1:]:
            parent[root(name)] = root(names[0])

    alike: defaultdict[bytes | str, list[str]] = defaultdict(list)
    for picture in pictures:
        if picture.name in digests:
            alike[digests[picture.name]].append(picture.name)
        if picture.group is not None:
            alike[picture.group].append(picture.name)
    for same in (*alike.values(), *groups):
        join([name for name in same if name in parent])
    return collect({name: root(name) for name in parent})


def collect(of: Mapping[str, object]) -> list[list[str]]:
    """Return the names of each group, in order, from a group by name."""
    collected: defaultdict[object, list[str]] = defaultdict(list)
    for name, group in of.items():
        collected[group].append(name)
    return list(collected.values())
