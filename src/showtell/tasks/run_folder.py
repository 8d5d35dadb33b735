"""The folder of a run: whose training it holds, and what a resume must share with the first start."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from showtell.config import TrainCaptioner, TrainClassifier, load_config, save_config, to_json
from showtell.data.records import Problem
from showtell.errors import ConfigError
from showtell.runtime import environment
from showtell.tasks.prepare import Prepared, save_pictures

_WHERE = ("out", "store", "weights", "tensorboard", "resume")
"""Settings that may change from start to resume: they say where things lie, not what is learnt."""
_EXAMPLES = 5
"""Problems of a kind that are recorded in full."""


def claim_run(config: TrainCaptioner | TrainClassifier) -> None:
    """Make the run's folder, or refuse one that holds another training.

    Raises:
        ConfigError: The folder is not ours to write to.
    """
    record = config.out / "config.json"
    if record.exists() and config.resume:
        before, _ = load_config(record, type(config))
        changed = [
            name
            for name, value in to_json(before).items()
            if name not in _WHERE and value != to_json(config)[name]
        ]
        if changed:
            raise ConfigError(
                f"{config.out} was started with another {', '.join(sorted(changed))}.",
                would_do="Resume with the settings of the first start, or start anew in another --out.",
            )
    elif config.resume and not config.out.exists():
        raise ConfigError(
            f"{config.out} holds no training to go on with.",
            would_do="Name its folder by --out, or start anew without --resume.",
        )
    elif record.exists() or (config.out / "checkpoints").exists():
        raise ConfigError(
            f"{config.out} holds a training already.",
            would_do="Go on with it by --resume, or name another folder by --out.",
        )
    elif config.out.exists() and not config.out.is_dir():
        raise ConfigError(f"--out {config.out} is a file.", would_do="It takes a folder.")
    config.out.mkdir(parents=True, exist_ok=True)


def record_run(
    config: TrainCaptioner | TrainClassifier,
    command: str,
    prepared: Prepared,
    backbone: dict[str, Any],
    twins: Mapping[str, str] | None = None,
) -> None:
    """Write what was run, on what and with what, before the first step; a resume leaves it as it is."""
    if (config.out / "config.json").exists() and config.resume:
        return
    save_pictures(config.out / "pictures.jsonl", prepared, twins)
    save_config(
        config.out / "config.json",
        {
            "command": command,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": to_json(config) | {"resume": False},
            "backbone": backbone,
            "data": {
                "fingerprint": prepared.fingerprint,
                "format": prepared.dataset.format,
                "problems": _problems(prepared.dataset.problems),
            },
            "environment": environment(),
        },
    )


def _problems(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Return how many problems of each kind there were, with a few of them."""
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    return [
        {
            "kind": kind,
            "count": len(found),
            "examples": [f"{problem.where}: {problem.detail}" for problem in found[:_EXAMPLES]],
        }
        for kind, found in sorted(kinds.items(), key=lambda pair: -len(pair[1]))
    ]


def training_fingerprint(
    config: TrainCaptioner | TrainClassifier, prepared: Prepared, backbone: dict[str, Any]
) -> str:
    """Return the SHA-256 of all that shapes a training: settings, data and features."""
    settings = {name: value for name, value in to_json(config).items() if name not in _WHERE}
    text = json.dumps([settings, prepared.fingerprint, backbone], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
