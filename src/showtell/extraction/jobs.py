"""Jobs: what workers of other processes have encoded, and how the store takes it in.

ROOT/jobs/<space id>/<job>/                      one extraction; its ``lock`` is held while it is under way
ROOT/jobs/<space id>/<job>/known                 keys that the store had when it began
ROOT/jobs/<space id>/<job>/<worker>/<space id>/  the feature space of one worker
"""

import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from showtell.backbones.backbone import Backbone
from showtell.console import Console
from showtell.errors import StoreError, WorkerError
from showtell.extraction.executor import Status, batch_size_on
from showtell.extraction.plan import Plan
from showtell.extraction.worker import KNOWN, Job, Rows
from showtell.files import take_lock
from showtell.store.folders import lock_path
from showtell.store.space import FeatureSpace

_LOCK = "lock"
_PARTS, _MOST = 16, 1024
"""Parts for each worker, so that all end at about the same time; and images of the largest part."""


@contextmanager
def claim_job(plan: Plan, backbone: Backbone) -> Iterator[Job]:
    """Make the folder of a job and hold it until the block ends; then it can be taken over.

    Raises:
        StoreError: It cannot be made.
    """
    folder = _jobs_of(plan.space) / uuid.uuid4().hex[:16]
    hidden = folder.with_name(f".{folder.name}")  # nobody takes it over before it is held
    lock = None
    try:
        hidden.mkdir(parents=True)
        lock = take_lock(hidden / _LOCK)
        _note_known(plan, hidden / KNOWN)
        hidden.rename(folder)
    except OSError as error:
        if lock is not None:
            os.close(lock)
        shutil.rmtree(hidden, ignore_errors=True)
        raise StoreError(f"The folder {folder} for workers cannot be made: {error}.") from error
    try:
        yield Job(
            folder.resolve(),
            Path.cwd(),
            backbone.spec,
            backbone.description.for_store(),
            plan.space.folder.resolve(),
            replace(plan.store.kept, root=plan.store.kept.root.resolve()),
            plan.view,
            str(backbone.device),
        )
    finally:
        os.close(lock)


def _note_known(plan: Plan, path: Path) -> None:
    """Write the keys of the records that the store has, so that moved and copied images are recognised."""
    nothing = plan.key_of(bytes(32))
    ours = (key for key in plan.space if len(key) == len(nothing) and key[32:] == nothing[32:])
    first = next(ours, None)
    if first is not None:
        with path.open("wb") as file:
            file.write(first)
            file.writelines(ours)


def adopt_jobs(space: FeatureSpace, console: Console, *, patience: float = 20.0) -> int:
    """Take over what workers have written of jobs that have ended, or were killed; return how many records.

    Args:
        space: Where the records go.
        console: Told of the progress.
        patience: Seconds to wait for workers to end; a job of one that does not is left for the next time.

    Raises:
        StoreError: The disk is full; what is not taken over is still there.
    """
    before = len(space)
    for job in sorted(_jobs_of(space).glob("[!.]*")):
        try:
            lock = take_lock(job / _LOCK)
        except (BlockingIOError, FileNotFoundError):
            continue  # it is under way, or somebody else takes it over
        try:
            workers = sorted(job.glob(f"*/{space.id}"))
            if all(_has_ended(worker, patience) for worker in workers):
                for worker in workers:
                    space.adopt(worker, console=console)
                shutil.rmtree(job)
        finally:
            os.close(lock)
    return len(space) - before


def _has_ended(worker: Path, patience: float) -> bool:
    """Wait until a worker has let go of its space; return whether it has."""
    until = time.monotonic() + patience
    while True:
        try:
            os.close(take_lock(lock_path(worker)))
            return True
        except BlockingIOError:
            if time.monotonic() > until:
                return False
        time.sleep(0.05)


def _jobs_of(space: FeatureSpace) -> Path:
    return space.folder.parent / "jobs" / space.id


def parts_of(plan: Plan, workers: int, device: str) -> Iterator[Rows]:
    """Cut a plan into parts of full batches."""
    size = batch_size_on(torch.device(device))
    count = min(_MOST, math.ceil(len(plan.waiting) / (_PARTS * workers)))
    count = math.ceil(count / size) * size
    for start in range(0, len(plan.waiting), count):
        some = plan.waiting[start : start + count]
        yield {
            "number": list(range(start, start + len(some))),
            "path": [os.fsencode(one.image.path) for one in some],
            "digest": [one.digest for one in some],
        }


def statuses_of(plan: Plan, answers: Iterable[Rows]) -> Iterator[Status]:
    """Turn what workers answer into statuses, and remember what files hold.

    Raises:
        WorkerError: A worker cannot go on, such as on a full disk.
    """
    encoded: set[bytes] = set()
    for rows in answers:
        if rows["number"] == [-1]:
            what, hint, run = json.loads(rows["reason"][0])
            raise WorkerError(what, hint=hint, run=run)
        waited = [plan.waiting[number] for number in rows["number"]]
        read = [(one.stamp, digest) for one, digest in zip(waited, rows["digest"]) if digest]
        plan.store.remember_digests(read)
        keys = [plan.key_of(digest) for _, digest in read]
        fresh = {keys[i] for i in plan.space.missing(keys)} - encoded
        encoded |= fresh
        for one, digest, reason in zip(waited, rows["digest"], rows["reason"]):
            key = plan.key_of(digest)
            yield Status(one.image, digest, bool(digest) and key in fresh, reason)
            fresh.discard(key)
