"""A run: a folder that holds one training, what was run, and all that came of it."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from showtell.console import Console
from showtell.errors import ConfigError, ModelError
from showtell.extraction.prepared import Prepared
from showtell.files import lock_folder, make_folder
from showtell.runs.plan import WHERE, TrainingPlan
from showtell.runs.records import (
    EvaluationRecord,
    ImageRecord,
    JsonObject,
    RunRecord,
    as_json,
    load_lines,
    load_record,
    load_settings,
    save_lines,
    save_record,
)
from showtell.runs.settings import TrainingSettings
from showtell.runtime import environment
from showtell.settings import spelled

T = TypeVar("T")
S = TypeVar("S", bound=TrainingSettings)
E = TypeVar("E", bound=EvaluationRecord)
_LAST = ("model", "figures", "report.html")
"""What a training writes long after it has recorded that it was started: before, it is somebody else's."""


class Run:
    """The folder of a run.

    Args:
        folder: Where it is, or shall be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _repr_html_(self) -> str:
        from showtell.runs.showing import run_html

        return run_html(self)

    @property
    def model(self) -> Path:
        """Return the folder of its model."""
        return self.folder / "model"

    @property
    def record(self) -> RunRecord:
        """Read what was run.

        Raises:
            ModelError: The record is missing or damaged, or the folder holds a model alone.
        """
        try:
            return load_record(self.folder / "config.json", RunRecord)
        except ModelError as error:
            if self.has_images:
                raise
            if not self.folder.exists():
                raise ModelError(
                    f"There is no run at {self.folder}.",
                    hint="Expected the folder that --out named in training.",
                ) from error
            raise ModelError(
                f"{self.folder} holds no run: what is known of data, splits and settings lies in the folder "
                "that --out named in training.",
                hint="A model alone, as from the Hub, can be used, served and exported.",
            ) from error

    @property
    def started_with(self) -> JsonObject:
        """Return what the settings left open when the run was started; empty where it was not."""
        return self.record.resolved if self.has_started else {}

    @property
    def has_images(self) -> bool:
        """Say whether the run knows its images; a model alone does not."""
        return (self.folder / "images.jsonl").is_file()

    @property
    def images(self) -> list[ImageRecord]:
        """Read its images.

        Raises:
            ModelError: The record is missing or damaged.
        """
        return load_lines(self.folder / "images.jsonl", ImageRecord)

    def settings(self, kind: type[S]) -> S:
        """Read the settings of its training; where files are, as seen from here.

        Paths are kept as they were typed. A relative one leads on from where the training was started, where
        that folder still has it; what is not there is where it lay as seen from the run, if the two were
        moved together.

        Args:
            kind: Of the training's settings.

        Raises:
            ModelError: The record is missing, or is not one of this kind.
        """
        record = self.record
        trained = load_settings(record, kind, self.folder / "config.json")
        there: JsonObject = {}
        for name in ("data", "images", "store"):
            path = getattr(trained, name)
            if isinstance(path, Path):
                there[name] = self._seen_from_here(record, path)
        return replace(trained, **there)

    @property
    def before(self) -> "Run | None":
        """Return the run that this one went on from; None where it began anew."""
        record = self.record
        path = record.config.get("from_run")
        return None if path is None else Run(self._seen_from_here(record, Path(path)))

    def _seen_from_here(self, record: RunRecord, path: Path) -> Path:
        start = Path(record.folder)
        places = [start / path, path, _beside(self.folder, start / record.config["out"], start / path)]
        return next((place for place in places if place.exists()), start / path)

    @contextmanager
    def claim(self, settings: TrainingSettings) -> Iterator[None]:
        """Make the folder and hold it for one training, or refuse one that holds another.

        Raises:
            ConfigError: The folder is not ours to write to.
        """
        if settings.resume and not self.folder.exists():
            raise ConfigError(
                f"{self.folder} holds no training to go on with.",
                hint="Name its folder by --out, or start anew without --resume.",
            )
        _refuse_place(settings)
        make_folder(self.folder)
        try:
            with lock_folder(self.folder):
                self._refuse_another(settings)
                yield
        except BlockingIOError as error:
            raise ConfigError(
                f"Another training writes into {self.folder} at this moment.",
                hint="Wait until it has ended, or name another folder by --out.",
            ) from error

    def _refuse_another(self, settings: TrainingSettings) -> None:
        """Refuse a folder that holds something else, or this training where it is not to go on."""
        if self.has_started and settings.resume:
            before = load_settings(self.record, type(settings), self.folder / "config.json")
            _refuse_changes(settings, as_json(before), as_json(settings))
        elif not settings.resume and (self.has_started or (self.folder / "checkpoints").exists()):
            raise ConfigError(
                f"{self.folder} holds a training already.",
                hint="Go on with it by --resume, or name another folder by --out.",
            )
        elif foreign := [name for name in _LAST if not self.has_started and (self.folder / name).exists()]:
            raise ConfigError(
                f"{self.folder} holds {' and '.join(foreign)} of something else, which training writes over.",
                hint="Name another folder by --out.",
            )

    @property
    def has_started(self) -> bool:
        """Whether a training has recorded here what it runs."""
        return (self.folder / "config.json").exists()

    def start(self, plan: TrainingPlan, console: Console) -> str:
        """Write what is run, on what and with what, before the first step; a resume leaves it as it is.

        Args:
            plan: What is run.
            console: Told what has changed since the start of a training that is resumed.

        Returns:
            The SHA-256 of all that shapes the training; checkpoints of another one are of no use to it.

        Raises:
            ConfigError: The training to resume was started with other constants.
        """
        if plan.settings.resume and self.has_started:
            self._compare(as_json(dict(plan.resolved)), console)
        else:
            save_lines(self.folder / "images.jsonl", plan.images())
            save_record(self.folder / "config.json", plan.record())
        return plan.fingerprint

    def _compare(self, resolved: JsonObject, console: Console) -> None:
        """Refuse other constants than those of the start, and say where the code is another."""
        before = self.record
        changed = [
            f"{name} {before.resolved.get(name)}, not {resolved.get(name)}"
            for name in sorted({*before.resolved, *resolved})
            if before.resolved.get(name) != resolved.get(name)
        ]
        if changed:
            raise ConfigError(
                f"{self.folder} was started with {'; '.join(changed)}.",
                hint="Resume with the same data and version of showtell, or start anew in another --out.",
            )
        here = environment()
        parts = [name for name in ("showtell", "code", "torch") if before.environment.get(name) != here[name]]
        if parts:
            points = (f"{name} {before.environment.get(name)}, now {here[name]}" for name in parts)
            console.say(f"Resumed by other code than at its start: {'; '.join(points)}")

    def save_evaluation(
        self, record: EvaluationRecord, lines: Iterable[Any], out: Path | None = None
    ) -> None:
        """Write ``evaluation-SPLIT.json``, and ``predictions-SPLIT.jsonl`` with a line per image.

        Args:
            record: The scores.
            lines: What is kept of each image.
            out: Another folder than the run's.
        """
        folder = out or self.folder
        folder.mkdir(parents=True, exist_ok=True)
        save_lines(folder / f"predictions-{record.split}.jsonl", list(lines))
        save_record(folder / f"evaluation-{record.split}.json", record)

    def evaluated(self, *splits: str) -> list[str]:
        """Return those of the splits that have scores."""
        return [split for split in splits if (self.folder / f"evaluation-{split}.json").exists()]

    def evaluation(self, split: str, kind: type[E]) -> E:
        """Read the scores of a split.

        Raises:
            ModelError: It was not scored, or by another version.
        """
        return self._scored(split, partial(load_record, self.folder / f"evaluation-{split}.json", kind))

    def predictions(self, split: str) -> list[JsonObject]:
        """Read what the model said of each image of a split.

        Raises:
            ModelError: It was not scored, or the record is damaged.
        """
        path = self.folder / f"predictions-{split}.jsonl"
        return self._scored(split, partial(load_lines, path, JsonObject))

    def _scored(self, split: str, load: Callable[[], T]) -> T:
        """Load what is kept of a split; say how it is made anew where it cannot be."""
        try:
            return load()
        except ModelError as error:
            again = f"showtell evaluate {shlex.quote(str(self.folder))} --split {split}"
            raise ModelError(error.what, run=again) from error

    def names_of(self, prepared: Prepared) -> dict[str, str]:
        """Return the names that the run knows images by, by their own, as far as it has their content."""
        recorded = {image.sha256: image.name for image in self.images}
        digests = {image.name: prepared.features.digests[image.name].hex() for image in prepared.images}
        return {name: recorded[digest] for name, digest in digests.items() if digest in recorded}

    def warn_of_learnt(self, prepared: Prepared, console: Console) -> None:
        """Say how many of some images, by their content, the run was trained on."""
        learnt = {image.sha256 for image in self.images if image.split == "train"}
        count = sum(prepared.features.digests[p.name].hex() in learnt for p in prepared.images)
        if count:
            console.say(
                f"Warning: {count:,} of these {len(prepared.images):,} images were trained on; "
                "scores on others are what counts"
            )


def _refuse_changes(settings: TrainingSettings, before: JsonObject, now: JsonObject) -> None:
    """Refuse to go on with other settings than those of the start, naming both."""
    changed = [name for name in sorted(now) if name not in WHERE and before[name] != now[name]]
    if changed:
        points = (
            f"{_typed(settings, name, before[name])}, not {_typed(settings, name, now[name])}"
            for name in changed
        )
        raise ConfigError(
            f"{settings.out} was started with {'; '.join(points)}.",
            hint="Resume with the settings of the first start, or start anew in another --out.",
        )


def _typed(settings: TrainingSettings, name: str, value: object) -> str:
    """Return a setting as it is typed: with its flag, or with its key where it has none."""
    key = spelled(settings, name)
    return str(value) if name == "data" else f"{key} {'unset' if value is None else value}"


def _refuse_place(settings: TrainingSettings) -> None:
    """Refuse a file, and the folder of what is learnt from."""
    if settings.out.exists() and not settings.out.is_dir():
        raise ConfigError(f"--out {settings.out} is a file.", hint="Expected a folder.")
    for place in (settings.data, settings.images):
        if place is not None and settings.out.resolve() == place.resolve():
            raise ConfigError(
                f"--out {settings.out} is the folder of what is learnt from.", hint="Name another one."
            )


def _beside(run: Path, out: Path, path: Path) -> Path:
    """Return where a path would be, had it been moved together with a run that was ``out``."""
    try:
        return Path(os.path.normpath(run.resolve() / os.path.relpath(path, out)))
    except ValueError:  # two drives of Windows
        return path
