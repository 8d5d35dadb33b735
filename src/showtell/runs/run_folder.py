"""The folder of a run: whose training it holds, and what a resume must share with the first start."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from showtell.data.records import Problem
from showtell.errors import ConfigError
from showtell.extraction.prepared import Prepared
from showtell.runs.config_record import load_config, save_config, to_json
from showtell.runs.picture_record import save_pictures
from showtell.runs.settings import TrainingSettings
from showtell.runtime import environment

if os.name != "nt":
    import fcntl

Training = TypeVar("Training", bound=TrainingSettings)

_WHERE = ("out", "store", "weights", "device", "tensorboard", "resume")
"""Settings that may change from start to resume: they say where things lie, not what is learnt."""
_EXAMPLES = 5
"""Problems of a kind that are recorded in full."""


@contextmanager
def claimed_run(config: TrainingSettings) -> Iterator[None]:
    """Make the run's folder and hold it for one training, or refuse one that holds another.

    Raises:
        ConfigError: The folder is not ours to write to.
    """
    if config.resume and not config.out.exists():
        raise ConfigError(
            f"{config.out} holds no training to go on with.",
            would_do="Name its folder by --out, or start anew without --resume.",
        )
    _refuse_place(config)
    config.out.mkdir(parents=True, exist_ok=True)
    with _alone(config.out):
        _refuse_another(config)
        yield


def _refuse_another(config: TrainingSettings) -> None:
    """Refuse a folder that holds another training, or this one where it is not to go on."""
    record = config.out / "config.json"
    if record.exists() and config.resume:
        before, _ = load_config(record, type(config))
        _refuse_changes(config.out, to_json(before), to_json(config))
    elif not config.resume and (record.exists() or (config.out / "checkpoints").exists()):
        raise ConfigError(
            f"{config.out} holds a training already.",
            would_do="Go on with it by --resume, or name another folder by --out.",
        )


def _refuse_changes(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with other settings than those of the start, naming both."""
    changed = [name for name in sorted(now) if name not in _WHERE and before[name] != now[name]]
    if changed:
        points = (f"{_typed(name, before[name])}, not {_typed(name, now[name])}" for name in changed)
        raise ConfigError(
            f"{out} was started with {'; '.join(points)}.",
            would_do="Resume with the settings of the first start, or start anew in another --out.",
        )


def _typed(name: str, value: Any) -> str:
    """Return a setting as it is typed."""
    if name == "data":
        return str(value)
    flag = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-")
    return f"the default {flag}" if value is None else f"{flag} {value}"


def _refuse_place(config: TrainingSettings) -> None:
    """Refuse a file, and the folder of what is learnt from."""
    if config.out.exists() and not config.out.is_dir():
        raise ConfigError(f"--out {config.out} is a file.", would_do="It takes a folder.")
    for place in (config.data, config.images):
        if place is not None and config.out.resolve() == place.resolve():
            raise ConfigError(
                f"--out {config.out} is the folder of what is learnt from.", would_do="Name another one."
            )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder, so that two trainings never write into it at once; a killed one lets go of it."""
    if os.name == "nt":  # where folders cannot be locked
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some shared disks know no locks
            _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(
            f"Another training writes into {folder} at this moment.",
            would_do="Wait until it has ended, or name another folder by --out.",
        ) from error


def load_training(run: Path, kind: type[Training]) -> tuple[Training, dict[str, Any]]:
    """Read the settings that a run was trained with; where files are, as seen from here.

    Paths are kept as they were typed. A relative one leads on from where the training was started, where
    that folder still has it; what is not there is where it lay as seen from the run, if the two were moved
    together.

    Args:
        run: Its folder.
        kind: Of the training.

    Returns:
        The settings, and the whole record.

    Raises:
        ModelError: The record is missing, or is not one of this kind.
    """
    trained, record = load_config(run / "config.json", kind)
    start = Path(record.get("folder", ""))
    there: dict[str, Any] = {}
    for name in ("data", "images", "store"):
        path = getattr(trained, name)
        if isinstance(path, Path):
            places = [start / path, path, _beside(run, start / trained.out, start / path)]
            there[name] = next((place for place in places if place.exists()), start / path)
    return replace(trained, **there), record


def _beside(run: Path, out: Path, path: Path) -> Path:
    """Return where a path would be, had it been moved together with a run that was ``out``."""
    try:
        return Path(os.path.normpath(run.resolve() / os.path.relpath(path, out)))
    except ValueError:  # two drives of Windows
        return path


def record_run(
    config: TrainingSettings,
    command: str,
    prepared: Prepared,
    backbone: dict[str, Any],
    twins: Mapping[str, str] | None = None,
    derived: Mapping[str, Any] | None = None,
) -> None:
    """Write what was run, on what and with what, before the first step; a resume leaves it as it is.

    Args:
        config: The settings.
        command: That they are of.
        prepared: The pictures.
        backbone: Its description.
        twins: Training pictures of which pictures of other splits are near-duplicates, by their names.
        derived: What followed from the data and not from the settings.
    """
    if (config.out / "config.json").exists() and config.resume:
        return
    save_pictures(config.out / "pictures.jsonl", prepared, twins)
    save_config(
        config.out / "config.json",
        {
            "command": command,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "folder": str(Path.cwd()),
            "config": to_json(config) | {"resume": False},
            "derived": dict(derived or {}),
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


def training_fingerprint(config: TrainingSettings, prepared: Prepared, backbone: dict[str, Any]) -> str:
    """Return the SHA-256 of all that shapes a training: settings, data and features."""
    settings = {name: value for name, value in to_json(config).items() if name not in _WHERE}
    text = json.dumps([settings, prepared.fingerprint, backbone], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
