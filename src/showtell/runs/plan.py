"""What a training runs: settings, constants, data and features, as a record and as a fingerprint."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from showtell.backbones.description import BackboneDescription
from showtell.data.records import Problem
from showtell.extraction.prepared import Prepared
from showtell.runs.records import (
    RUN_FORMAT,
    DataRecord,
    ImageRecord,
    JsonObject,
    ProblemRecord,
    RunRecord,
    as_json,
)
from showtell.runs.settings import TrainingSettings
from showtell.runtime import environment

WHERE = (
    *("out", "store", "weights", "device", "tensorboard", "resume"),
    *("executor", "workers", "ray_address", "gpus_per_worker", "keep_images"),
)
"""Settings that may change from start to resume: they say where things lie, not what is learnt."""
_EXAMPLES = 5
"""Problems of a kind that are recorded in full."""


@dataclass(frozen=True)
class TrainingPlan:
    """What is run, on what and with what.

    Attributes:
        settings: As given.
        kind: Of the model.
        prepared: The images.
        backbone: What encoded them.
        resolved: Every other number that shapes the model: what settings left open, and constants.
        leaks: Images of other splits that are near-duplicates of training images, with those, by name.
    """

    settings: TrainingSettings
    kind: str
    prepared: Prepared
    backbone: BackboneDescription
    resolved: JsonObject
    leaks: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of all that shapes the training: settings, constants, data and features."""
        given = {name: value for name, value in as_json(self.settings).items() if name not in WHERE}
        networks = [asdict(one) | {"weights_source": ""} for one in self.backbone.networks]
        parts = [given, as_json(self.resolved), self.prepared.fingerprint, networks]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def record(self) -> RunRecord:
        """Return what ``config.json`` of the run says."""
        data = self.prepared.dataset
        return RunRecord(
            format=RUN_FORMAT,
            kind=self.kind,
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            folder=str(Path.cwd()),
            config=as_json(self.settings) | {"resume": False},
            resolved=as_json(self.resolved),
            backbone=self.backbone,
            data=DataRecord(self.prepared.fingerprint, data.format, _problems(data.problems)),
            environment=environment(),
        )

    def images(self) -> list[ImageRecord]:
        """Return a record of each image."""
        groups = self.prepared.groups.of
        shared = Counter(groups.values())
        return [
            ImageRecord(
                name=image.name,
                split=image.split,
                sha256=self.prepared.features.digests[image.name].hex(),
                label=image.label,
                group=groups[image.name] if shared[groups[image.name]] > 1 else None,
                leak=self.leaks.get(image.name),
            )
            for image in self.prepared.images
        ]


def _problems(problems: Sequence[Problem]) -> list[ProblemRecord]:
    """Return how many problems of each kind there were, with a few of them."""
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    return [
        ProblemRecord(kind, len(found), [f"{one.where}: {one.detail}" for one in found[:_EXAMPLES]])
        for kind, found in sorted(kinds.items(), key=lambda pair: -len(pair[1]))
    ]
