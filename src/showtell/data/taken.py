"""When and with which camera a photo was taken, as its EXIF data say; which photos are one burst by that."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from showtell.data.near_duplicates import Likeness, unit_vectors
from showtell.data.pixels.exif import exif_of

BURST_SECONDS = 3.0
"""Photos of one camera with no longer a pause between them may be one burst."""
_LESS = 0.2
"""By how much less than near-duplicates photos of one burst must be alike: time speaks for them already."""
_CAMERA_LIMIT = 60
"""No camera takes more photos at one time of its clock: such a time is that of a clock that stands still."""
_MAKE, _MODEL, _ORIGINAL, _SUBSEC, _SERIAL = 0x010F, 0x0110, 0x9003, 0x9291, 0xA431


@dataclass(frozen=True, slots=True)
class Taken:
    """When a photo was taken.

    Attributes:
        camera: Make, model and serial number, as far as they are known.
        seconds: Since 1970 by the camera's clock, fractions included where the camera says them.
    """

    camera: str
    seconds: float


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


def bursts_by_time(taken: Sequence[Taken | None], likeness: Likeness) -> list[tuple[int, int]]:
    """Return pairs of places of photos that one camera took within seconds, and that are alike.

    Args:
        taken: Of the photos in order, N.
        likeness: What tells near-duplicates, of the same photos. The threshold for these pairs is lower;
            where only copies tell, time alone counts.
    """
    by_camera: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
    standing = Counter(taken)
    for place, one in enumerate(taken):
        if one is not None and standing[one] <= _CAMERA_LIMIT:
            by_camera[one.camera].append((one.seconds, place))
    pairs = []
    least = likeness.threshold - _LESS if likeness.telling else -1.0
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
    unit = unit_vectors(likeness.vectors)
    cosines = np.einsum("nd,nd->n", unit[first], unit[second])
    return [pair for pair, cosine in zip(pairs, cosines.tolist()) if cosine >= least]
