"""What encodes in another process: a part of a plan, into a feature space of the worker's own.

A worker is told of its job once, and then of one part after another, as plain columns that any executor can
send. It answers with what became of each image, never with features.
"""

import faulthandler
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from showtell.addresses import to_path
from showtell.backbones.backbone import Backbone
from showtell.backbones.description import BackboneSpec
from showtell.backbones.weights import build
from showtell.console import Log
from showtell.data.records import AnnotatedImage
from showtell.engines.base import Engine, find_engine
from showtell.errors import ShowtellError, WeightsError, WorkerError
from showtell.extraction.features import key_of
from showtell.extraction.plan import Plan, Waiting
from showtell.extraction.threads import ThreadExecutor
from showtell.process import tune_process
from showtell.runtime import choose_device
from showtell.store.kept_images import KeptImages
from showtell.store.record import Array
from showtell.store.space import FeatureSpace
from showtell.store.store import FeatureStore, FileStamp

if TYPE_CHECKING:  # brings torchvision's transforms, which plain images do not need
    from showtell.data.augment import View

Rows = dict[str, list[Any]]
"""Columns of one length. A part has the ``number`` of each image in the plan, its ``path`` and, where that is
known, its ``digest``, bytes. The answer has ``number``, ``digest``, and the ``reason`` why an image cannot be
read; a failure is a row numbered -1."""
KNOWN = "known"
"""File in a job's folder: the keys of the records that the store has already, ascending."""
_UNSTAMPED = FileStamp("", 0, 0, 0, 0)
"""The driver has the stamps, and remembers what files hold."""


@dataclass(frozen=True)
class Job:
    """What each worker of an extraction is told; picklable.

    Attributes:
        folder: Of the job, on a disk that the driver and all workers share.
        start: Where relative paths of images begin.
        spec: The backbone to build.
        description: Of its features, as the store keys them.
        space: Folder of the store's own space, where an engine keeps what it made of the network.
        kept: The decoded images of the store.
        view: Of the images; None for the plain images.
        device: Where to compute.
        threads: That one worker computes with.
    """

    folder: Path
    start: Path
    spec: BackboneSpec
    description: Mapping[str, object]
    space: Path
    kept: KeptImages
    view: "View | None"
    device: str
    threads: int = 1


class Worker:
    """Encodes parts of a plan; what that takes is built at the first one.

    Args:
        job: What it is told.
        name: Of its folder. A worker that is started again under its name goes on where it was.

    Attributes:
        patience: Seconds without a finished batch after which a worker takes itself for hung and ends;
            whoever runs it starts it again.
        tries: How often a part is begun: not for ever, as one of its images may be what ends the worker.
    """

    patience, tries = 600.0, 9

    def __init__(self, job: Job, name: str) -> None:
        self.job, self.name = job, name

    def __call__(self, part: Rows) -> Rows:
        """Encode a part; return what became of each image, once all of it is on the disk."""
        faulthandler.dump_traceback_later(self.patience, exit=True)
        try:
            return self._encode(part)
        except ShowtellError as error:
            return _failed(error)
        except OSError as error:  # such as of a full disk
            return _failed(WorkerError(f"A worker cannot use {self.job.folder}: {error}."))
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _encode(self, part: Rows) -> Rows:
        store, space = self._space
        begun = self._begin(part, store.root)
        waiting = tuple(
            Waiting(AnnotatedImage(str(number), to_path(os.fsdecode(path))), _UNSTAMPED, digest)
            for number, path, digest in zip(part["number"], part["path"], part["digest"])
        )
        plan = _Part(store, space, self.job.view, waiting, {}, (), self._known)
        rows: Rows = {"number": [], "digest": [], "reason": []}
        for status in ThreadExecutor().run(plan, self.backbone, self.engine):
            rows["number"].append(int(status.image.name))
            rows["digest"].append(status.digest)
            rows["reason"].append(status.reason)
            faulthandler.dump_traceback_later(self.patience, exit=True)
        begun.unlink()
        return rows

    def _begin(self, part: Rows, folder: Path) -> Path:
        """Count how often a part was begun, in a file that outlives the worker; return the file.

        Raises:
            WorkerError: Too often.
        """
        path = folder / f"part-{part['number'][0]}"
        with path.open("ab") as file:
            file.write(b".")
            count = file.tell()
        if count > self.tries:
            first, last = (os.fsdecode(part["path"][place]) for place in (0, -1))
            raise WorkerError(
                f"A worker died {self.tries} times over {len(part['path'])} images, {first} to {last}.",
                hint="Where memory is short, fewer --workers take less; else one of these images may be the "
                "reason: extract halves of them with --executor threads.",
            )
        return path

    @cached_property
    def backbone(self) -> Backbone:
        """Build the network as the driver has it."""
        tune_process()
        os.chdir(self.job.start)
        torch.set_num_threads(self.job.threads)
        backbone = build(self.job.spec).to(choose_device(self.job.device))
        if backbone.description.for_store() != self.job.description:
            raise WeightsError(
                f"{self.job.spec.architecture} is built otherwise here than where the command was started.",
                hint="Install the same versions of showtell and timm on all machines.",
            )
        return backbone

    @cached_property
    def engine(self) -> Engine:
        """Find what runs the network; the graph that the driver made and calibrated lies in the store."""
        return find_engine(self.job.spec.engine)(self.backbone, self.job.space, (), Log())

    @cached_property
    def _space(self) -> tuple[FeatureStore, FeatureSpace]:
        if not self.job.folder.is_dir():
            raise WorkerError(
                f"There is no {self.job.folder} on the machine of a worker.",
                hint="Expected a store on a path that all machines share: name one by --store.",
            )
        store = FeatureStore(self.job.folder / self.name)
        store.kept = self.job.kept
        return store, store.space(self.job.description)

    @cached_property
    def _known(self) -> "Keys | None":
        path = self.job.folder / KNOWN
        return Keys(path, len(key_of(bytes(32), self.job.view))) if path.exists() else None


def _failed(error: ShowtellError) -> Rows:
    words = json.dumps([error.what, error.hint, error.run])
    return {"number": [-1], "digest": [b""], "reason": [words]}


class Keys:
    """Keys of records, ascending, in a file that is searched where it lies.

    Args:
        path: The file.
        length: Of each key, bytes.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._keys = np.memmap(path, f"S{length}", "r")

    def __contains__(self, key: bytes) -> bool:
        place = int(np.searchsorted(self._keys, np.bytes_(key)))
        # numpy leaves zeros at the end out
        return place < len(self._keys) and bool(self._keys[place] == key.rstrip(b"\0"))


@dataclass(frozen=True)
class _Part(Plan):
    """A part of a plan: what the store has is not encoded again."""

    in_store: Keys | None = None

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of the keys that neither this worker's space nor the store has."""
        lacking = self.space.missing(keys)
        return lacking if self.in_store is None else [i for i in lacking if keys[i] not in self.in_store]

    def commit(self, keys: Sequence[bytes], grid: Array, pooled: Array, files: object) -> None:
        """Write a batch in one transaction."""
        self.space.put(zip(keys, grid, pooled))
