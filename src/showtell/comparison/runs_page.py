"""The page of a comparison of runs: scores with paired intervals, and what both say of the same images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from showtell.evaluation.caption_scores import SCORE_TITLES
from showtell.evaluation.paired import Paired, PairedImage
from showtell.report.document import Card, write_document
from showtell.report.gallery import embedded

_TITLES = SCORE_TITLES | {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "log_likelihood": "Log-likelihood",
}


def write_runs_page(
    out: Path,
    *,
    split: str,
    names: Sequence[str],
    paired: Sequence[Paired],
    count: int,
    files: Mapping[str, Path],
) -> Path:
    """Write a comparison as one HTML file.

    Args:
        out: The file; folders are made if missing.
        split: Which split, or ``all`` of other data.
        names: Of the runs, the first one first.
        paired: What the comparison of each of the others with the first found.
        count: Most images to show of each side.
        files: Images by name; those that are missing are shown by their words alone.

    Returns:
        ``out``.
    """
    sections, cards = [], []
    for name, one in zip(names[1:], paired):
        sides = [[_card(image, one, files) for image in images] for images in one.most_different(count)]
        cards += [card for side in sides for card in side if card["image"]]
        shares = [share / len(one.images) for share in (one.won, one.tied, one.lost)]
        decided_by = _TITLES.get(one.decided_by, one.decided_by)
        sections.append(
            {
                "name": name,
                "scores": _score_rows(one),
                "shares": shares,
                "found": one,
                "decided_by": decided_by,
                "sides": sides,
            }
        )
    images = len(paired[0].images)
    groups = paired[0].groups
    return write_document(
        out,
        "comparison/runs.html",
        title=f"{names[1]} against {names[0]}" if len(names) == 2 else f"{len(names)} runs compared",
        summary=[("Split" if split != "all" else "Data", split), ("Images", f"{images:,}")]
        + ([("Groups", f"{groups:,}")] if groups < images else []),
        cards=cards,
        styles=("report/frame.css", "report/run_report.css", "comparison/runs.css"),
        language="en",
        first=names[0],
        sections=sections,
        grouped=groups < images,
    )


def _score_rows(paired: Paired) -> list[dict[str, object]]:
    """Return the scores for the table; each strip is drawn to its own scale, no difference in its middle."""
    rows: list[dict[str, object]] = []
    for name, score in paired.scores.items():
        widest = 1.1 * max(*map(abs, score.interval_95), 1e-9)
        low, at, high = (
            (value / widest + 1) / 2
            for value in (score.interval_95[0], score.difference, score.interval_95[1])
        )
        rows.append(
            {"name": _TITLES.get(name, name), "score": score, "low": low, "at": at, "high": high}
            | {"verdict": ("" if not score.decided else "right" if score.difference > 0 else "wrong")}
        )
    return rows


def _card(image: PairedImage, paired: Paired, files: Mapping[str, Path]) -> Card:
    shown = [
        ("right" if score else "wrong") if paired.decided_by == "accuracy" else f"{score:.2f}"
        for score in image.scores
    ]
    return {"found": image, "shown": shown} | embedded(files.get(image.name))
