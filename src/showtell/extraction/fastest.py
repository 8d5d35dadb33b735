"""The engine that fills the store: the fastest whose features are torch's in float32, measured where it pays.

What was measured is kept in the feature space of the engine that won, for the processor it was measured on;
a network whose features of the images are at hand stays with them.
"""

import math
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.backbones.description import ENGINES, BackboneDescription, EngineName, Precision
from showtell.console import Console, human_time
from showtell.data.images import load_pixels
from showtell.data.records import AnnotatedImage
from showtell.engines.base import Engine, find_engine
from showtell.errors import ImageError, ShowtellError
from showtell.extraction.plan import plan_extraction
from showtell.files import write_atomic
from showtell.runtime import has_fast_bfloat16, limit_threads, processor_name, share_cores, version_of
from showtell.store.folders import bring_files
from showtell.store.store import FeatureStore

WORTH = 20.0
"""Seconds that torch has to take for others to be tried: to write a graph and to try it takes about ten."""
LEAST_COSINE = 0.999
"""Of the features of every image with those of torch in float32."""
_GAIN = 1.15
"""How many times as fast as torch an engine has to be: less is within what a trial errs by."""
_IMAGES = 4
"""Images of a batch of a trial; each thread that encodes takes one batch."""
_FEW = 0.05
"""Share of the images that may be missing where features are taken as at hand."""
_FILE = "engine.json"

Way = tuple[EngineName, Precision]
_EXACT: Way = ("torch", "float32")
_WAYS: tuple[Way, ...] = (
    _EXACT,
    ("onnxruntime", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("torch", "bfloat16"),
)


class Trial(msgspec.Struct, frozen=True):
    """What a way of running a network was measured to be.

    Attributes:
        engine: What runs it.
        precision: Of its arithmetic.
        images_per_second: Encoded by all cores, were they its own; decoding aside.
        cosine: Lowest one, over images, of the pooled features and of the whole grid with those of torch.
    """

    engine: EngineName
    precision: Precision
    images_per_second: float
    cosine: float

    @property
    def name(self) -> str:
        """Return how it is called in messages."""
        return self.engine if self.precision == "float32" else f"{self.engine} in {self.precision}"


class Comparison(msgspec.Struct, frozen=True):
    """What is kept beside the features of the way that won.

    Attributes:
        processor: What it was measured on.
        versions: Of the engines.
        trials: Of all ways, torch in float32 first.
    """

    processor: str
    versions: dict[str, str]
    trials: list[Trial]

    @classmethod
    def of(cls, trials: list[Trial]) -> "Comparison":
        """Describe what was measured just now."""
        return cls(processor_name(), _versions(trials), trials)

    @property
    def is_of_today(self) -> bool:
        """Whether this processor and these engines were measured."""
        return (self.processor, self.versions) == (processor_name(), _versions(self.trials))


def _versions(trials: Iterable[Trial]) -> dict[str, str]:
    """Return the versions of the engines of some trials."""
    return {name: version_of(name) for name in sorted({ENGINES[one.engine].package for one in trials})}


def by_fastest(
    backbone: Backbone, images: Sequence[AnnotatedImage], store: FeatureStore, console: Console
) -> Backbone:
    """Return a network run by what fills the store fastest, where its settings leave that open.

    Args:
        backbone: The network, or several ones joined; one whose engine was asked for stays as it is, and so
            does one on another device than a processor.
        images: What is to be encoded.
        store: Where features are kept.
        console: Told what was compared.

    Raises:
        StoreError: The store cannot be used.
    """
    if len(backbone.parts) > 1:
        return backbone.made_of([by_fastest(part, images, store, console) for part in backbone.parts])
    if not backbone.spec.any_engine or backbone.device.type != "cpu":
        return backbone
    ways = {way: _described(backbone, way) for way in _WAYS}
    missing, held = _at_hand(ways, images, store)
    if held is not None:
        return backbone.run_by(*held)
    for way, description in ways.items():
        kept = _read(store.folder_of(description.for_store()))
        if kept is not None and kept.is_of_today and ENGINES[way[0]].is_installed:
            return backbone.run_by(*way)
    return _compare(backbone, images, missing, store, console)


def by_recorded(backbone: Backbone, networks: Sequence[BackboneDescription]) -> Backbone:
    """Return a network run by what ran it before, where its settings leave that open.

    Args:
        backbone: The network, or several ones joined.
        networks: As they are described in the record of a run, in the same order.
    """
    return backbone.made_of(
        [
            part.run_by(one.engine, one.precision) if part.spec.any_engine else part
            for part, one in zip(backbone.parts, networks)
        ]
    )


def _described(backbone: Backbone, way: Way) -> BackboneDescription:
    return replace(backbone.description, engine=way[0], precision=way[1])


def _at_hand(
    ways: Mapping[Way, BackboneDescription], images: Sequence[AnnotatedImage], store: FeatureStore
) -> tuple[int, Way | None]:
    """Return how many images no way has features of, and the way that has those of nearly all."""
    missing = len(images)
    for way, description in ways.items():
        folder = store.folder_of(description.for_store())
        if not folder.exists() or (way[1] != "float32" and _read(folder) is None):
            continue
        plan = plan_extraction(images, store, store.space(description.for_store()))
        count = len(plan.waiting)
        if count == 0 or (count <= _FEW * len(images) and ENGINES[way[0]].is_installed):
            return count, way
        missing = min(missing, count)
    return missing, None


def _read(folder: Path) -> Comparison | None:
    """Return what was measured; None where nothing was, or the file is damaged: it is measured again."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Comparison)
    except (OSError, msgspec.MsgspecError):
        return None


def _compare(
    backbone: Backbone, images: Sequence[AnnotatedImage], count: int, store: FeatureStore, console: Console
) -> Backbone:
    """Try every way that there is, unless torch alone is done before that, and keep what was found."""
    pixels = _some_pixels(backbone, images)
    if not pixels:
        return backbone
    with tempfile.TemporaryDirectory(prefix="showtell-engines-") as scratch:
        exact, expected = _try(backbone, _EXACT, pixels, Path(scratch))
        seconds = count / exact.images_per_second
        if seconds < WORTH:
            return backbone
        console.say(f"Torch would take {human_time(seconds)}: other engines are tried, once for this network")
        trials = [exact]
        for way in _ways_here(backbone):
            try:
                found, features = _try(backbone, way, pixels, Path(scratch))
            except ShowtellError as error:
                console.say(f"{' in '.join(way)} is left out: {error.what}")
                continue
            trials.append(msgspec.structs.replace(found, cosine=_lowest_cosine(features, expected)))
        best = max(
            (one for one in trials if one.cosine >= LEAST_COSINE), key=lambda one: one.images_per_second
        )
        if best.images_per_second < _GAIN * exact.images_per_second:
            best = exact
        chosen = backbone.run_by(best.engine, best.precision)
        _keep(chosen, trials, Path(scratch), store)
    _say(best, trials, console)
    return chosen


def _ways_here(backbone: Backbone) -> list[Way]:
    """Return the ways beside torch in float32 that can be tried here."""
    return [
        way
        for way in _WAYS[1:]
        if ENGINES[way[0]].is_installed and (way[0] != "torch" or has_fast_bfloat16(backbone.device))
    ]


def _some_pixels(backbone: Backbone, images: Sequence[AnnotatedImage]) -> list[Tensor]:
    """Return batches of pixels, each (_IMAGES, 3, height, width), uint8: one for each thread that encodes."""
    number, _ = share_cores(backbone.device)
    wanted, found = number * _IMAGES, []
    for image in images[:: max(1, len(images) // (2 * wanted))]:
        try:
            found.append(load_pixels(image.path, backbone.preprocessing))
        except ImageError:  # named by the extraction
            continue
        if len(found) == wanted:
            return list(torch.stack(found).split(_IMAGES))
    return []


def _try(
    backbone: Backbone, way: Way, pixels: Sequence[Tensor], folder: Path
) -> tuple[Trial, tuple[Tensor, Tensor]]:
    """Run a network in one way; return how fast it is and its features: grid (N, L, D), pooled (N, D)."""
    # One graph in float32 serves every engine.
    engine = find_engine(way[0])(backbone.run_by(*way), folder, (), Console(quiet=True))
    number, cores = share_cores(backbone.device)
    with ThreadPoolExecutor(number, "encode", limit_threads, (cores,)) as encoders:
        _encode(engine, pixels, encoders)  # the first pass pays for memory and code paths
        seconds = math.inf
        for _ in range(3):
            started = time.process_time()  # whatever else runs on these cores
            found = _encode(engine, pixels, encoders)
            seconds = min(seconds, (time.process_time() - started) / (number * cores))
    grid, pooled = (torch.cat(parts) for parts in zip(*found))
    return Trial(*way, number * _IMAGES / seconds, 1.0), (grid, pooled)


def _encode(
    engine: Engine, pixels: Sequence[Tensor], encoders: ThreadPoolExecutor
) -> list[tuple[Tensor, Tensor]]:
    return list(encoders.map(engine.encode, pixels))


def _lowest_cosine(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> float:
    """Return the lowest cosine of any image, of the grid as one vector and of the pooled features."""
    cosines = [
        F.cosine_similarity(one.float().flatten(1), other.float().flatten(1))
        for one, other in zip(found, expected)
    ]
    return float(torch.cat(cosines).nan_to_num(-1.0).min())


def _keep(chosen: Backbone, trials: list[Trial], scratch: Path, store: FeatureStore) -> None:
    """Write what was measured, and the graph where one was written, into the feature space of the winner."""
    space = store.space(chosen.description.for_store())
    if chosen.spec.engine != "torch":
        bring_files(scratch, space.folder)
    found = msgspec.json.encode(Comparison.of(trials))
    write_atomic(space.folder / _FILE, msgspec.json.format(found), durable=True)


def _say(best: Trial, trials: Sequence[Trial], console: Console) -> None:
    rates = ", ".join(
        f"{one.name} {one.images_per_second:.0f}"
        + ("" if one.cosine >= LEAST_COSINE else f" (cosine {one.cosine:.4f}, too rough)")
        for one in trials
    )
    console.say(f"Images/s: {rates}; {best.name} fills the store (--engine takes another)")
    if len(trials) == 1:
        console.say("The extra openvino may be several times as fast: pip install 'showtell[openvino]'")
