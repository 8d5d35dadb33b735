"""Which backbone? What a short learning reaches on each, and what each costs."""

import json
import random
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import torch

from showtell.backbones.backbone import Backbone
from showtell.backbones.settings import BackboneSettings
from showtell.comparison.backbone_results import Row, comparison_table, draw_comparison
from showtell.comparison.backbone_scores import TRAINING, Contender, Reached, captioner_scorer, score_head
from showtell.comparison.settings import CompareBackbones
from showtell.console import Console, Log, human_time
from showtell.data.annotated import say_reading
from showtell.data.images import load_pixels
from showtell.data.readers import read_dataset
from showtell.data.records import Dataset
from showtell.errors import ConfigError, ShowtellError
from showtell.extraction.prepared import prepare
from showtell.files import write_atomic
from showtell.runs.records import JsonObject
from showtell.store.store import FeatureStore

_TIMED, _BATCH = 15, 16

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def compare_backbones(config: CompareBackbones, console: Console | None = None) -> list[JsonObject]:
    """Compare backbones on a data set: by a linear head on its classes, or by a captioner of few steps.

    Args:
        config: Which data and backbones.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        One record a backbone, best first, as written to ``comparison.json``; the score is called
        ``accuracy`` or ``cider_d``.

    Raises:
        ShowtellError: Something the user can mend; a backbone that cannot be had is told and left out, unless
            none is left.
    """
    console = console or Log()
    dataset = _read(config, console)
    kind = "accuracy" if dataset.classes else "cider_d"
    networks = _each(dict.fromkeys(config.names), lambda name, _: _load(config, name, console), console)
    speeds = {name: _throughput(network) for name, network in networks.items()}
    seconds = sum(len(dataset.images) / speed for speed in speeds.values())
    console.say(
        f"Extracting features takes at most {human_time(seconds)} for all backbones together, less where "
        "the store has them"
    )
    # Near-duplicates, which stay together, are told by features: those that the first finds count for all.
    splits: dict[str, str] = {}

    def extract(name: str, network: Backbone) -> Contender:
        store = FeatureStore(config.store, keep_images=config.keep_images)
        prepared = prepare(dataset, network, store, console, seed=config.seed, splits=splits or None)
        splits.update({image.name: str(image.split) for image in prepared.images})
        return Contender(network, speeds[name], prepared)

    contenders = _each(networks, extract, console)
    score = score_head if kind == "accuracy" else captioner_scorer(config, contenders, console)
    found = _each(contenders, lambda name, one: _row(name, one, score(name, one)), console)
    rows = sorted(found.values(), key=lambda row: (-row.score, row.milliseconds))
    records = [{kind if key == "score" else key: value for key, value in asdict(row).items()} for row in rows]
    config.out.mkdir(parents=True, exist_ok=True)
    write_atomic(config.out / "comparison.json", json.dumps(records, indent=1) + "\n")
    shutil.rmtree(config.out / TRAINING, ignore_errors=True)
    console.say(comparison_table(rows, kind, config.steps))
    console.say(f"drawn: {draw_comparison(rows, kind, config.out / 'comparison.png')}")
    return records


def _read(config: CompareBackbones, console: Console) -> Dataset:
    """Read labels or captions, and say what was found; of many captioned images keep a sample.

    Raises:
        DataError: The data cannot be read.
    """
    dataset = read_dataset(config)
    captions = sum(len(image.captions) for image in dataset.images)
    words = f"of {len(dataset.classes):,} classes" if dataset.classes else f"with {captions:,} captions"
    say_reading(dataset, f"{len(dataset.images):,} images {words}", console)
    if dataset.classes:
        for name in ("steps", "sample"):
            if getattr(config, name) != getattr(CompareBackbones, name):
                raise ConfigError(
                    f"--{name} is about captions, and {config.data} holds classes.", hint="Leave it out."
                )
        return dataset
    sample = _sampled(dataset, config)
    console.say(f"{len(sample.images):,} of them are compared on, none of a test split")
    return sample


def _sampled(dataset: Dataset, config: CompareBackbones) -> Dataset:
    """Keep some captioned images to train on and half as many to validate on, chosen by chance."""
    chance = random.Random(config.seed)
    half = config.sample // 2
    kept: set[str] = set()
    for split, count in (("train", config.sample), ("val", half), (None, config.sample + half)):
        names = [image.name for image in dataset.images if image.split == split and image.captions]
        kept.update(chance.sample(names, min(count, len(names))))
    return replace(dataset, images=tuple(image for image in dataset.images if image.name in kept))


def _each(
    items: Mapping[str, _Item], work: Callable[[str, _Item], _Result], console: Console
) -> dict[str, _Result]:
    """Do some work for each backbone; tell which one fails, and leave it out.

    Raises:
        ShowtellError: All have failed; this is why the last one did.
    """
    done: dict[str, _Result] = {}
    failure: ShowtellError | None = None
    for name, item in items.items():
        try:
            done[name] = work(name, item)
        except ShowtellError as error:
            console.say(f"{name} is left out: {error}")
            failure = error
    if not done and failure is not None:
        raise failure
    return done


def _load(config: CompareBackbones, name: str, console: Console) -> Backbone:
    is_folder = Path(name).is_dir()
    settings = BackboneSettings(
        backbone=None if is_folder else name,
        weights=name if is_folder else config.weights,
        image_size=config.image_size,
        device=config.device,
    )
    return settings.load(seed=config.seed, console=console)


def _row(name: str, contender: Contender, reached: Reached) -> Row:
    return Row(
        backbone=Path(name).name if Path(name).is_dir() else name,
        score=reached.score,
        interval_95=reached.interval_95,
        images_per_second=contender.images_per_second,
        megabytes_per_thousand=contender.prepared.features.space.record_bytes / 1000,
        milliseconds=_prediction_time(contender, reached),
        images=reached.images,
        input_size=contender.backbone.preprocessing.width,
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
def _prediction_time(contender: Contender, reached: Reached) -> float:
    images = contender.prepared.split("val")
    times = []
    for i in range(_TIMED + 1):
        started = time.perf_counter()
        pixels = load_pixels(images[i % len(images)].path, contender.backbone.preprocessing)
        reached.predict(*contender.backbone(pixels.unsqueeze(0)))
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[1:])
