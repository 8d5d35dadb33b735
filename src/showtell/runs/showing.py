"""A run as a notebook shows it: what was trained on what, how it went, and what it scores."""

import math
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from showtell import notebook
from showtell.data.records import SPLITS
from showtell.errors import ModelError
from showtell.runs.metrics import read_metrics
from showtell.runs.records import EvaluationRecord
from showtell.runs.run import Run

Points = list[tuple[float, float]]
_POINTS = 160
"""Of a curve, at most; each is a mean of its neighbours."""


def run_html(run: Run) -> str:
    """Return a run as HTML; of one that is going on, what there is so far."""
    if not run.has_started:
        return notebook.block(str(run.folder), note="No training was started here.")
    record = run.record
    splits = Counter(image.split or "all" for image in run.images) if run.has_images else Counter()
    images = ", ".join(f"{splits[name]:,} {name}" for name in (*SPLITS, "all") if splits[name])
    note = f"{record.kind} on {record.backbone.architecture}, started {record.started[:16].replace('T', ' ')}"
    steps, validations = _metrics(run)
    curves = [
        notebook.curve(title, points)
        for title, points in (("Training loss", _smooth(steps)), ("Validation score", validations))
        if len(points) > 1
    ]
    tables = [_scores(run.evaluation(split, EvaluationRecord)) for split in run.evaluated(*SPLITS, "all")]
    report = run.folder / "report.html"
    places = [("images", images), ("model", str(run.model)), *[("report", str(report))] * report.exists()]
    drawn = notebook.row(*curves), notebook.row(*tables)
    return notebook.block(str(run.folder), notebook.table(places), *drawn, note=note)


def _metrics(run: Run) -> tuple[Points, Points]:
    """Return the loss of each step and the score of each validation that are finite and known."""
    try:
        steps, validations = read_metrics(run.folder / "metrics.jsonl")
    except ModelError:
        return [], []
    losses = [(float(one["step"]), float(one["loss"])) for one in steps]
    scores = [(float(one["epoch"]), float(one["score"])) for one in validations if "score" in one]
    return [one for one in losses if math.isfinite(one[1])], [one for one in scores if math.isfinite(one[1])]


def _smooth(points: Points) -> Points:
    """Return means of as many neighbours as leave few points."""
    count = -(-len(points) // _POINTS) or 1
    parts: Sequence[Points] = [points[i : i + count] for i in range(0, len(points), count)]
    return [(part[-1][0], sum(y for _, y in part) / len(part)) for part in parts]


def _scores(record: EvaluationRecord) -> Markup:
    return scores_table(f"{record.split}, {record.images:,} images", record.scores, record.intervals_95)


def scores_table(head: str, scores: dict[str, float], intervals: dict[str, tuple[float, float]]) -> Markup:
    """Return scores with their intervals as a table.

    Args:
        head: Over the names.
        scores: By name.
        intervals: Of those that have one.
    """
    lines = [
        (name, float(value), "{:.3f} to {:.3f}".format(*intervals[name]) if name in intervals else "")
        for name, value in scores.items()
    ]
    return notebook.table(lines, (head, "score", "95% interval"))
