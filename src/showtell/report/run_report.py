"""What every run's report tells, whatever was trained: data, training, settings, size and use."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from showtell.console import human_bytes
from showtell.data.records import SPLITS
from showtell.report.cards import WORDS
from showtell.report.curves import draw_loss, draw_score
from showtell.report.document import Card, save_for_page, write_document
from showtell.runs.records import ImageRecord, RunRecord

_MANY_CLASSES = 20
"""More classes than these are folded."""


@dataclass(frozen=True)
class RunFacts:
    """What a run says of itself, whatever it trained.

    Attributes:
        run: Its folder, as people type it.
        record: What was run.
        defaults: The settings of the command by name, where they have a default.
        images: One record per image.
        captions: How many captions the images of each split have; empty for a classifier.
        parts: Parameters of the model's parts by name.
        metrics: ``metrics.jsonl``, where there is one.
        xe_epochs: Epochs until training went on by reward; None where it did not.
    """

    run: Path
    record: RunRecord
    defaults: Mapping[str, object]
    images: Sequence[ImageRecord]
    captions: Mapping[str, int]
    parts: Mapping[str, int]
    metrics: Path | None
    xe_epochs: int | None = None

    @property
    def figures(self) -> Path:
        """Return the folder of the figures."""
        return self.run / "figures"

    @property
    def model_bytes(self) -> int:
        """Return the size of the model's folder."""
        return sum(path.stat().st_size for path in (self.run / "model").iterdir() if path.is_file())


def write_run_report(
    facts: RunFacts,
    template: str,
    *,
    title: str,
    summary: Sequence[tuple[str, str]],
    cards: Sequence[Card],
    **values: Any,
) -> Path:
    """Write ``report.html`` into the run.

    Args:
        facts: What all reports tell.
        template: That of the captioner or of the classifier; it extends ``run_report.html``.
        title: Of the page.
        summary: Names and values of the figures on top.
        cards: All cards of the page.
        values: What the template asks for besides.

    Returns:
        The file.
    """
    return write_document(
        facts.run / "report.html",
        template,
        title=title,
        summary=[*summary, ("Model on disk", human_bytes(facts.model_bytes))],
        cards=cards,
        styles=("report/frame.css", "report/cards.css", "report/run_report.css"),
        language="en",
        words=WORDS["en"],
        lead=_lead(facts),
        splits=_splits(facts),
        classes=_classes(facts),
        problems=facts.record.data.problems,
        data_format=facts.record.data.format,
        curves=_curves(facts),
        xe_epochs=facts.xe_epochs,
        parts=[(name, f"{count:,}") for name, count in facts.parts.items()],
        settings=_settings(facts),
        versions=facts.record.environment,
        run=shlex.quote(str(facts.run)),
        run_text=repr(str(facts.run)),
        **values,
    )


def _lead(facts: RunFacts) -> str:
    """Say in a line what was trained, on what and when."""
    record = facts.record
    networks = " and ".join(
        f"{one.architecture} at {one.preprocessing.height} × {one.preprocessing.width} pixels"
        for one in record.backbone.networks
    )
    return (
        f"Run {facts.run.name}: {record.command} on {record.config['data']}, "
        f"{networks}, "
        f"started {datetime.fromisoformat(record.started):%Y-%m-%d %H:%M} UTC."
    )


def _splits(facts: RunFacts) -> list[dict[str, object]]:
    counts = Counter(image.split for image in facts.images)
    return [
        {"name": name, "images": counts[name], "captions": facts.captions.get(name)}
        for name in SPLITS
        if counts[name]
    ]


def _classes(facts: RunFacts) -> dict[str, object]:
    """Return how many images of each split every class has."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for image in facts.images:
        if image.label is not None:
            counts[image.label][str(image.split)] += 1
    splits = [split for split in SPLITS if any(count[split] for count in counts.values())]
    rows = [(name, [counts[name][split] for split in splits]) for name in sorted(counts)]
    return {"rows": rows, "splits": splits, "folded": len(rows) > _MANY_CLASSES}


def _curves(facts: RunFacts) -> list[Any]:
    """Draw loss and validation score, where the run has them."""
    if facts.metrics is None:
        return []
    until = facts.xe_epochs
    loss = draw_loss(facts.metrics, xe_epochs=until)
    score = draw_score(facts.metrics, xe_epochs=until)
    return [
        save_for_page(loss, facts.figures / "loss.svg", "Training loss of every step"),
        save_for_page(score, facts.figures / "score.svg", "Validation score of every epoch"),
    ]


def _settings(facts: RunFacts) -> dict[str, list[tuple[str, str]]]:
    """Return settings with their values: those that are not the default, and the others."""
    found: dict[str, list[tuple[str, str]]] = {"changed": [], "default": []}
    for name, value in facts.record.config.items():
        same = name in facts.defaults and facts.defaults[name] == value
        shown = "off" if value is False or value is None else "on" if value is True else str(value)
        found["default" if same else "changed"].append((name, shown))
    return found
