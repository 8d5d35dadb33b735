"""Encode every image once: plan what is missing, carry it out, and go on where it stopped."""

import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from showtell.backbones.backbone import Backbone
from showtell.console import Console, Log, human_bytes, human_time, many
from showtell.data.images import Preprocessing, load_pixels
from showtell.data.records import AnnotatedImage
from showtell.engines.base import Pixels, find_engine
from showtell.errors import StoreError, WorkerError
from showtell.extraction.executor import Executor, Status, read_image
from showtell.extraction.features import Features
from showtell.extraction.jobs import adopt_jobs
from showtell.extraction.joint import JointFeatures
from showtell.extraction.plan import Plan, plan_extraction, unreadable_image
from showtell.extraction.threads import ThreadExecutor
from showtell.runtime import has_fast_bfloat16
from showtell.samples import draw_scene, make_scenes
from showtell.store.store import FeatureStore

if TYPE_CHECKING:  # brings torchvision's transforms, which plain images do not need
    from showtell.data.augment import View

_SCENES = 32
"""Drawings to calibrate int8 with."""
_FEW = 8
"""Images that say how many bytes a decoded one takes."""
_PATIENCE = 60.0
"""Seconds that workers have to end when their work is done."""


def extract_features(
    images: Sequence[AnnotatedImage],
    backbone: Backbone,
    store: FeatureStore,
    *,
    view: "View | None" = None,
    console: Console | None = None,
    executor: Executor | None = None,
) -> Features:
    """Bring the features of images into the store.

    An image whose size and time are known is not read again; one that was moved or renamed is read and
    recognised by its content. Stopped at any moment, it goes on with the next batch.

    Args:
        images: What to encode.
        backbone: The network; of several, each brings its features into its own space.
        store: Where features are kept.
        view: A random view of each image to encode instead of the plain image.
        console: Told the forecast and the progress.
        executor: Who carries it out; None for threads of this process.

    Returns:
        The features of all readable images, and what could not be read.

    Raises:
        StoreError: The disk has no room for what is missing, or the store cannot be used.
    """
    console = console or Log()
    if len(backbone.parts) > 1:
        return JointFeatures.of(
            [
                extract_features(images, part, store, view=view, console=console, executor=executor)
                for part in backbone.parts
            ]
        )
    space = store.space(backbone.description.for_store())
    if adopted := adopt_jobs(space, console):
        console.say(f"{many(adopted, 'record', 'records')} of workers that were stopped are in the store now")
    plan = plan_extraction(images, store, space, view)
    statuses, seconds = execute(plan, backbone, _able(executor, backbone, console), console)
    known = len(images) - len(plan.waiting)
    if known:
        console.say(f"{known} of {len(images)} images were in the feature store already")
    digests = plan.known | {one.image.name: one.digest for one in statuses if not one.reason}
    return Features(
        plan.space,
        {image.name: digests[image.name] for image in images if image.name in digests},
        [*plan.unreadable, *(unreadable_image(one.image, one.reason) for one in statuses if one.reason)],
        sum(one.encoded for one in statuses),
        seconds,
        view,
    )


def _able(executor: Executor | None, backbone: Backbone, console: Console) -> Executor:
    """Return who encodes: threads, where the weights are in the memory of this process only."""
    if executor is None or isinstance(executor, ThreadExecutor):
        return executor or ThreadExecutor()
    if not backbone.spec.in_memory:
        return executor
    console.say(
        f"This {backbone.description.architecture} is in no file, so that this process encodes by itself"
    )
    return ThreadExecutor()


def execute(
    plan: Plan, backbone: Backbone, executor: Executor, console: Console
) -> tuple[list[Status], float]:
    """Carry out a plan; say first how long it will take and how much it will fill.

    Returns:
        What became of each image that waited, and how many seconds it took, without writing a graph.

    Raises:
        StoreError: The disk has no room for what is missing, or the store cannot be used.
        WorkerError: Workers cannot go on, or do not end.
    """
    if not plan.waiting:
        return [], 0.0
    folder, calibration = plan.space.folder, _scenes(backbone.preprocessing)
    engine = find_engine(backbone.description.engine)(backbone, folder, calibration, console)
    started = time.perf_counter()
    _forecast(plan, backbone, executor.pace(plan, backbone, engine), console)
    statuses = []
    with (
        console.bar(len(plan.waiting), "encoding", "images") as bar,
        closing(executor.run(plan, backbone, engine)) as running,
    ):
        for status in running:
            bar.update(1)
            statuses.append(status)
    adopt_jobs(plan.space, console, patience=_PATIENCE)
    _check_whole(plan, statuses)
    order = {waiting.image.name: place for place, waiting in enumerate(plan.waiting)}
    statuses.sort(key=lambda status: order[status.image.name])
    return statuses, time.perf_counter() - started


def _check_whole(plan: Plan, statuses: Sequence[Status]) -> None:
    """Refuse to go on without a record of an image that was encoded.

    Raises:
        WorkerError: One is missing.
    """
    keys = [plan.key_of(status.digest) for status in statuses if not status.reason]
    if missing := plan.missing(keys):
        raise WorkerError(
            f"{many(len(missing), 'image was', 'images were')} encoded, but not by a worker that has ended.",
            hint="What it has written is kept: end it, and run the same command again.",
        )


def _scenes(preprocessing: Preprocessing) -> Iterator[Pixels]:
    """Draw what to calibrate with: features then depend on no data. Photos do no better (docs/log.md)."""
    for scene in make_scenes(0, _SCENES, "train"):
        yield load_pixels(draw_scene(scene, 320), preprocessing).numpy()


def _forecast(plan: Plan, backbone: Backbone, pace: float, console: Console) -> None:
    """Say how long it will take and how much it will fill; refuse what cannot fit.

    Raises:
        StoreError: The disk has too little room.
    """
    size, count = backbone.preprocessing, len(plan.waiting)
    features, images = count * plan.space.record_bytes * 1.05, _room_for_images(plan, backbone.preprocessing)
    room, free = features + images, shutil.disk_usage(plan.store.root).free
    about = f", about {human_time(pace * count)}" if pace else ""
    beside = f" and decoded images about {human_bytes(images)}" if images else ""
    console.say(
        f"Encoding {count} images with {backbone.description.architecture} at {size.width}x{size.height}"
        f"{about}; features take {human_bytes(features)}{beside} of {human_bytes(free)} free"
    )
    if backbone.precision == "bfloat16" and not has_fast_bfloat16(backbone.device):
        console.say("This processor has no arithmetic for bfloat16: --precision float32 is faster here")
    if room > free:
        raise StoreError(
            f"The features of {count} images take {human_bytes(features)}{beside}, and {plan.store.root} has "
            f"{human_bytes(free)} free.",
            hint="Name a larger disk by --store, or remove features that are not used any more.",
            run="showtell store",
        )


def _room_for_images(plan: Plan, preprocessing: Preprocessing) -> float:
    """Return about how many bytes decoded images will take, if they are kept, by a few that are kept now."""
    kept, few = plan.store.kept, plan.waiting[:: math.ceil(len(plan.waiting) / _FEW)]
    if not kept.keeping:
        return 0.0
    before = kept.written
    for waiting in few:
        read_image(waiting, plan, preprocessing)
    return (kept.written - before) / len(few) * len(plan.waiting)
