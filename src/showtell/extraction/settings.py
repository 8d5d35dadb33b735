"""Settings of the extraction of features: what to encode, and who encodes it."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from showtell.backbones.settings import BackboneSettings
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import Maybe, Rare, Settings, at_least, spelled

if TYPE_CHECKING:
    from showtell.extraction.executor import Executor

ExecutorName = Literal["threads", "processes", "ray"]
EXECUTORS: dict[ExecutorName, str] = {
    "threads": "threads.ThreadExecutor",
    "processes": "processes.ProcessExecutor",
    "ray": "ray_data.RayExecutor",
}
"""Who may carry out an extraction: path of the class within this room; see ``executor.Executor``."""


@dataclass(frozen=True)
class ExecutorSettings(Settings):
    """Who encodes images, on how many machines, and what is kept beside the features."""

    executor: ExecutorName = "threads"
    """Who encodes: threads, processes of this machine, or the actors of a Ray cluster (extra: ray)."""
    workers: Maybe[int] = None
    """Processes or actors that encode, or threads that decode, at least 1; by default as cores allow."""
    ray_address: Maybe[str] = None
    """A cluster to join: HOST:PORT, or auto for that of this machine. By default Ray is started here."""
    gpus_per_worker: Maybe[float] = None
    """GPUs of each actor of Ray's, or a share, such as 0.5; by default 1 if this machine computes on one."""

    keep_images: bool = False
    """Also keep decoded images in the store, about 2 MB a photo of 12 megapixels.
    Other backbones, sizes and views then decode none."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        at_least(self, workers=1, gpus_per_worker=0)
        if self.executor != "ray" and (self.ray_address, self.gpus_per_worker) != (None, None):
            raise ConfigError(
                f"{spelled(self, 'ray_address')} and {spelled(self, 'gpus_per_worker')} say something of a "
                f"Ray cluster, and {spelled(self, 'executor')} is {self.executor}.",
                hint="Expected the executor ray, or neither of them.",
            )

    @property
    def encodes_here(self) -> bool:
        """Whether this machine's processor encodes; what is fast on it may not be on those of a cluster."""
        return self.executor != "ray"

    def build_executor(self) -> "Executor":
        """Return who carries out extractions.

        Raises:
            MissingExtraError: Its package is not installed.
        """
        module, _, name = EXECUTORS[self.executor].rpartition(".")
        kind = getattr(import_module(f"showtell.extraction.{module}"), name)
        of_ray = (self.ray_address, self.gpus_per_worker) if self.executor == "ray" else ()
        built: Executor = kind(self.workers, *of_ray)
        return built


@dataclass(frozen=True)
class Extract(ExecutorSettings, BackboneSettings, DataSource):
    """Encode every image once and keep its features in the store.

    Example: showtell extract photos/captions.csv --backbone inception_v3

    Example: showtell extract photos --engine openvino
    """

    # To leave room for the flags of the executor; groups count in a split, which comes later.
    encoding: Rare[Maybe[str]] = None
    group_column: Rare[Maybe[str]] = None

    json: bool = False
    """Print the result as JSON."""
