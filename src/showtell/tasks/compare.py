"""Which backbone? What a linear head reaches on each, and what each costs."""

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from showtell.config import Compare
from showtell.console import Console
from showtell.data.images import load_pixels
from showtell.data.records import Dataset, Picture
from showtell.errors import ShowtellError
from showtell.features.backbone import Backbone
from showtell.features.store import FeatureStore
from showtell.features.weights import load_backbone
from showtell.models.heads import Head
from showtell.runtime import choose_device, prepare_process
from showtell.tasks.class_data import learnable
from showtell.tasks.prepare import prepare, read_labels
from showtell.training.class_scores import class_scores
from showtell.training.classifier import fit_linear, read_examples

_TIMED, _BATCH = 15, 16


@dataclass(frozen=True)
class Row:
    """A backbone in the table.

    Attributes:
        backbone: As it was named.
        accuracy: Of a linear head on validation.
        interval_95: Of the accuracy.
        pictures_per_second: Of the network alone, in batches.
        megabytes_per_thousand: Of features in the store.
        milliseconds: Median time of a prediction, from file to class.
        pictures: Validation pictures.
        input_size: Side of the input, pixels.
    """

    backbone: str
    accuracy: float
    interval_95: tuple[float, float]
    pictures_per_second: float
    megabytes_per_thousand: float
    milliseconds: float
    pictures: int
    input_size: int


def compare(config: Compare, console: Console | None = None) -> list[dict[str, Any]]:
    """Compare backbones on a data set by a linear head on their features.

    Args:
        config: Which data and backbones.
        console: Where to say what happens; None for silence.

    Returns:
        One record a backbone, best first, as written to ``comparison.json``.

    Raises:
        ShowtellError: Something the user can mend; a backbone that cannot be had is told and left out, unless
            none is left.
    """
    console = console or Console(quiet=True)
    prepare_process()
    dataset = read_labels(
        config.data,
        console,
        images=config.images,
        format=config.format,
        image_column=config.image_column,
        text_column=config.text_column,
    )
    rows: list[Row] = []
    failure: ShowtellError | None = None
    for name in dict.fromkeys(part.strip() for part in config.backbones.split(",") if part.strip()):
        try:
            rows.append(_measure(config, name, dataset, console))
        except ShowtellError as error:
            console.say(f"{name} is left out: {error}")
            failure = error
    if not rows and failure is not None:
        raise failure
    rows.sort(key=lambda row: (-row.accuracy, row.milliseconds))
    records = [asdict(row) for row in rows]
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "comparison.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    console.say(comparison_table(rows))
    console.say(f"drawn: {_draw(rows, config.out / 'comparison.png')}")
    return records


def _measure(config: Compare, name: str, dataset: Dataset, console: Console) -> Row:
    is_folder = Path(name).is_dir()
    backbone = load_backbone(
        None if is_folder else name,
        name if is_folder else config.weights,
        image_size=config.image_size,
        seed=config.seed,
        console=console,
    ).to(choose_device())
    prepared = prepare(dataset, backbone, FeatureStore(config.store), console, seed=config.seed)
    classes, train, val = learnable(prepared, Console(quiet=True))
    check = read_examples([prepared.extraction], val, classes)
    learn = read_examples([prepared.extraction], train, classes)
    head = fit_linear(learn, check, len(classes)).head
    with torch.inference_mode():
        probabilities = head(check.pooled).softmax(1).numpy()
    scores = class_scores(probabilities, check.labels.numpy())
    return Row(
        backbone=Path(name).name if is_folder else name,
        accuracy=scores.accuracy,
        interval_95=scores.intervals["accuracy"],
        pictures_per_second=_throughput(backbone),
        megabytes_per_thousand=prepared.extraction.space.record_bytes / 1000,
        milliseconds=_prediction_time(backbone, head, val),
        pictures=len(val),
        input_size=backbone.preprocessing.width,
    )


def _throughput(backbone: Backbone) -> float:
    size = backbone.preprocessing
    pixels = torch.zeros(_BATCH, 3, size.height, size.width, dtype=torch.uint8)
    backbone(pixels)  # the first pass pays for memory and code paths
    times = []
    for _ in range(3):
        started = time.perf_counter()
        backbone(pixels)
        times.append(time.perf_counter() - started)
    return _BATCH / min(times)


@torch.inference_mode()
def _prediction_time(backbone: Backbone, head: Head, pictures: tuple[Picture, ...]) -> float:
    times = []
    for i in range(_TIMED + 1):
        started = time.perf_counter()
        pixels = load_pixels(pictures[i % len(pictures)].path, backbone.preprocessing)
        head(backbone(pixels.unsqueeze(0))[1]).softmax(1)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:])


def comparison_table(rows: list[Row]) -> str:
    """Return the backbones as a table, best first."""
    width = max(8, *(len(row.backbone) for row in rows))
    lines = [
        f"{'backbone':<{width}}  input  accuracy   95% interval       pictures/s   MB/1,000   ms/prediction"
    ]
    for row in rows:
        low, high = row.interval_95
        lines.append(
            f"{row.backbone:<{width}}  {row.input_size:5}  {row.accuracy:8.4f}   {low:.4f} to {high:.4f}   "
            f"{row.pictures_per_second:10.0f}   {row.megabytes_per_thousand:8.1f}   {row.milliseconds:13.1f}"
        )
    lines.append(f"(linear head on {rows[0].pictures:,} validation pictures, which also chose its strength)")
    return "\n".join(lines)


def _draw(rows: list[Row], out: Path) -> Path:
    from showtell.report.comparison import Point, draw_comparison

    points = [Point(row.backbone, row.milliseconds, row.accuracy, *row.interval_95) for row in rows]
    return draw_comparison(points, f"val, {rows[0].pictures:,} pictures", out)
