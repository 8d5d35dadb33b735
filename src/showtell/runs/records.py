"""What a run writes down, typed: its settings and constants, its images, its evaluations.

A record has a format number. ``migrate`` is the one place where an older one becomes a newer one.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from showtell.backbones.description import BackboneDescription
from showtell.errors import ModelError
from showtell.files import parse_json, write_atomic

RUN_FORMAT = 1
"""Of the records of a run; a reader refuses later ones."""

Record = TypeVar("Record")
JsonObject = dict[str, Any]
"""An object of JSON whose keys are not ours to fix: settings of a kind, or what goes out to a script."""


class ProblemRecord(msgspec.Struct):
    """Problems of one kind in the data: how many, and a few of them in full."""

    kind: str
    count: int
    examples: list[str]


class DataRecord(msgspec.Struct):
    """The data of a training: SHA-256 over names, contents, words and splits; format; problems."""

    fingerprint: str
    format: str = ""
    problems: list[ProblemRecord] = []


class RunRecord(msgspec.Struct):
    """``config.json``: what was run, before its first step.

    Attributes:
        format: Version of the records of a run.
        kind: Of the model.
        started: When, ISO 8601, UTC.
        folder: Where the command was started; relative paths start there.
        config: The settings as given.
        resolved: Every other number that shaped the model: what settings left open, and constants.
        backbone: What encoded the images.
        data: What it was trained on.
        environment: Versions, processor, threads, and a hash of the package's code.
    """

    format: int
    kind: str
    started: str
    folder: str
    config: JsonObject
    resolved: JsonObject
    backbone: BackboneDescription
    data: DataRecord
    environment: dict[str, str | int] = {}

    @property
    def command(self) -> str:
        """Return the command that made the run."""
        return f"train-{self.kind}"


class ImageRecord(msgspec.Struct, omit_defaults=True):
    """A line of ``images.jsonl``: an image, its split and content, so that the same are used again.

    Attributes:
        name: As the data calls it.
        split: train, val or test.
        sha256: Of its content.
        label: Its class; None where it has none.
        group: What belongs together has the same number; None where it stands alone.
        leak: A training image of which this image of another split is a near-duplicate, by name.
    """

    name: str
    split: str | None
    sha256: str = ""
    label: str | None = None
    group: int | None = None
    leak: str | None = None


class RangeTestRecord(msgspec.Struct, kw_only=True):
    """``learning-rate.json``: the loss while the learning rate grows from step to step.

    Attributes:
        rates: Learning rate of each step.
        losses: Of the same steps, on their batches.
        smoothed: The same without noise.
        suggested: Where the smoothed loss falls most steeply; None where it falls no further than by chance.
        valley: Where two thirds of its fall are made; None likewise.
        diverged: At which the test was stopped; None where it went to its end.
        present: The learning rate of the settings.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggested: float | None
    valley: float | None
    diverged: float | None
    present: float


class EvaluationRecord(msgspec.Struct, kw_only=True):
    """``evaluation-SPLIT.json``, as far as all kinds of models share it.

    Attributes:
        split: Which split, or ``all`` of other data.
        images: How many images.
        scores: Figures by name.
        intervals_95: Their 95% intervals.
        beam_size: Captions searched side by side; 0 where nothing is searched.
        folds: Of cross-validation; 0 where one model was scored.
        doubt: Why this is not a score that says anything; empty where it does.
    """

    split: str
    images: int
    scores: dict[str, float]
    intervals_95: dict[str, tuple[float, float]] = {}
    beam_size: int = 0
    folds: int = 0
    doubt: str = ""


def as_json(value: Any) -> Any:
    """Return settings or a record as JSON values, as they are read again: paths as text, tuples as lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    found = msgspec.to_builtins(value, enc_hook=str)
    if isinstance(found, dict):
        return {name: as_json(one) for name, one in found.items()}
    return [as_json(one) for one in found] if isinstance(found, list | tuple) else found


def save_record(path: Path, record: Any) -> None:
    """Write a record as JSON, whole or not at all."""
    text = json.dumps(as_json(record), ensure_ascii=False, indent=1) + "\n"
    write_atomic(path, text, errors="surrogateescape")  # the name of a file may not be UTF-8


def save_lines(path: Path, records: list[Any]) -> None:
    """Write records as JSON lines, whole or not at all."""
    lines = (json.dumps(as_json(record), ensure_ascii=False) + "\n" for record in records)
    write_atomic(path, "".join(lines), errors="surrogateescape")


def load_record(path: Path, kind: type[Record]) -> Record:
    """Read a record.

    Raises:
        ModelError: It is missing, damaged, of a later format, or not of this kind.
    """
    try:
        raw = parse_json(path.read_text(encoding="utf-8", errors="surrogateescape"))
        return msgspec.convert(migrate(raw, path), kind, str_keys=True)
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise ModelError(f"{path} cannot be read as a run's record: {error}.") from error


def load_lines(path: Path, kind: type[Record]) -> list[Record]:
    """Read records from JSON lines.

    Raises:
        ModelError: They are missing, damaged, or not of this kind.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        # A name or a caption may hold what Python, but no JSON line, takes for the end of a line.
        return [msgspec.convert(parse_json(line), kind) for line in text.split("\n") if line]
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise ModelError(f"{path} cannot be read as a run's record: {error}.") from error


def migrate(raw: Any, path: Path) -> Any:
    """Return a record as this version writes it.

    Raises:
        ModelError: It is of a later format.
    """
    if isinstance(raw, dict) and isinstance(raw.get("format"), int) and raw["format"] > RUN_FORMAT:
        raise ModelError(
            f"{path} has format {raw['format']}; this showtell reads up to {RUN_FORMAT}.",
            run="pip install --upgrade showtell",
        )
    return raw


def load_settings(record: RunRecord, kind: type[Record], path: Path) -> Record:
    """Return the settings that a run recorded.

    Raises:
        ModelError: There are unknown ones, or of wrong types.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(record.config.keys() - names):
        raise ModelError(f"{path} has settings that {kind.__name__} does not know: {', '.join(unknown)}.")
    try:
        return msgspec.convert(record.config, kind, dec_hook=_decode)
    except (ModelError, ValueError, TypeError, msgspec.ValidationError) as error:
        raise ModelError(f"{path} cannot be read as a run's record: {error}.") from error


def _decode(kind: Any, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"no conversion to {kind}")
