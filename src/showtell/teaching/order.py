"""What is asked next: what the model is least sure of, spread over the data, and a share at random.

The random share is a fixed order of all images, by a hash of their names. However the other images were
chosen, its beginning is a simple random sample of the folder: it is what the accuracy is estimated on.
Whoever opens the folder again, in any process, goes on in the same order; nothing has to be kept for it.

Letters: N images, D features, C classes.
"""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

EVERY = 5
"""One image in so many is asked at random."""
_CANDIDATES = 0.1, 10, 200
"""Of the images without a label the least sure are spread: which share, at least and at most how many."""


def random_place(name: str) -> bytes:
    """Return where an image stands in the random order of its folder."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def random_sample(names: Sequence[str], labelled: Collection[str], skipped: Collection[str]) -> list[str]:
    """Return the images at the beginning of the random order that have labels: a random sample of the folder.

    Images that were skipped are left out, as if they were not in the folder.
    """
    found = []
    for name in sorted(names, key=random_place):
        if name in labelled:
            found.append(name)
        elif name not in skipped:
            break
    return found


def margins(probabilities: Floats) -> Floats:
    """Return by how much the likeliest class leads, (N,), in [0, 1]; the least sure are the smallest.

    Source: Scheffer et al. 2001, margin sampling.

    Args:
        probabilities: (N, C), C at least 2.
    """
    first, second = np.partition(probabilities, -2, axis=1)[:, -2:].T[::-1]
    return np.asarray(first - second, np.float32)


def choose_next(
    open_rows: Sequence[int],
    known_rows: Sequence[int],
    directions: Floats,
    sureness: Floats | None,
    *,
    count: int,
    answered: int,
    every: int = EVERY,
    lent: Collection[int] = frozenset(),
) -> list[tuple[int, bool]]:
    """Choose the images to ask next, and say which of them are of the random share.

    Before there is a model, each is the farthest from all that are known, so that few answers meet many
    classes. Then it is the farthest among those that the model is least sure of: ten of one burst teach
    little more than one. Source: Sener & Savarese 2018, for the greedy k-center.

    Args:
        open_rows: Images without a label, in the random order.
        known_rows: Images with one.
        directions: Features of length 1, (N, D).
        sureness: By how much the likeliest class leads, (N,); None before there is a model.
        count: How many to choose.
        answered: Answers so far: which of the next ones are random follows from it.
        every: One in so many is of the random share.
        lent: Rows that are on show elsewhere. They are left out, but not of the random share, whose beginning
            is no sample as long as an image of it is left unanswered.

    Returns:
        Up to ``count`` rows, each with whether it is of the random share.
    """
    left = np.array([row for row in open_rows if row not in lent], np.int64)
    by_chance = iter(open_rows)
    chosen: list[tuple[int, bool]] = []
    taken: set[int] = set()
    if not len(left):
        return chosen
    if sureness is not None:
        share, least, most = _CANDIDATES
        size = min(max(least, count, int(share * len(left))), most)
        left = left[np.argsort(sureness[left], kind="stable")[:size]]
    nearest = np.full(len(left), -1.0, np.float32)
    if len(known_rows):
        nearest = (directions[left] @ directions[np.asarray(known_rows)].T).max(1)
    for number in range(answered + 1, answered + 1 + count):
        row = None
        if number % every == 0:
            row = next((row for row in by_chance if row not in taken), None)
        at_random = row is not None
        if row is None:
            free = np.array([one not in taken for one in left.tolist()])
            if not free.any():
                break
            row = int(left[np.where(free, nearest, np.inf).argmin()])
        taken.add(row)
        chosen.append((row, at_random))
        nearest = np.maximum(nearest, directions[left] @ directions[row])
    return chosen
