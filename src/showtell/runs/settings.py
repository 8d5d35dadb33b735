"""What the trainings of all kinds of models are told."""

from dataclasses import dataclass
from pathlib import Path

from showtell.data.source import DataSource
from showtell.settings import Maybe


@dataclass(frozen=True)
class TrainingSettings(DataSource):
    """Stub until merged."""

    out: Path = Path("runs/model")
    store: Maybe[Path] = None
    weights: Maybe[str] = None
    seed: int = 0
    tensorboard: bool = False
    resume: bool = False
