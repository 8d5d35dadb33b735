"""Labels that the model doubts, found by heads that have not seen them.

Letters: N images with a label, C classes.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def doubted(probabilities: Floats, labels: Ints) -> Ints:
    """Return the rows whose label is probably wrong, the most doubtful first.

    An image is counted for another class where it is at least as likely as images that carry that class's
    label are on average; the mean, class by class, is what makes it bear classes of which the model is less
    sure. They are ordered by how much likelier the other class is. After them come the rows that the head
    would merely call something else.

    Args:
        probabilities: Out of fold, (N, C): from heads that were not fitted to the row.
        labels: As given, (N,).

    Source: Northcutt et al. 2021, eq. 1 and 2 (confident joint) and section 3.2 (normalised margin).
    """
    rows = np.arange(len(labels))
    classes = probabilities.shape[1]
    own = probabilities[rows, labels]
    threshold = np.array([own[labels == c].mean() if (labels == c).any() else np.inf for c in range(classes)])
    above = np.where(probabilities >= threshold, probabilities, -np.inf)
    confident = (above.argmax(1) != labels) & np.isfinite(above.max(1))
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    margin = own - others.max(1)
    called = margin < 0
    order = np.lexsort((margin, ~(confident & called)))
    doubts: Ints = order[called[order]]
    return doubts
