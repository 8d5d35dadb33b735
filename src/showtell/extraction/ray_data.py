"""Ray Data carries out a plan on the actors of a cluster, or on those that it starts on this machine."""

import importlib.util
import logging
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import torch

from showtell.backbones.backbone import Backbone
from showtell.engines.base import Engine
from showtell.errors import ConfigError, MissingExtraError, WorkerError
from showtell.extraction.executor import Status
from showtell.extraction.jobs import claim_job, parts_of, statuses_of
from showtell.extraction.plan import Plan
from showtell.extraction.worker import Job, Rows, Worker
from showtell.process import TUNED_HEAP
from showtell.runtime import quiet

_PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Ray tells nobody what runs here."""
_QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Ray Data's actors make Ray warn of something that does not happen to them; a level that is set stays."""
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""A cluster of this machine alone: with this, Ray listens on 127.0.0.1 and nowhere else."""


class RayExecutor:
    """Runs a plan on Ray; see :class:`showtell.extraction.executor.Executor`.

    Where the program has called ``ray.init`` itself, that cluster is used, and left running.

    Args:
        workers: Actors; None for one a GPU, or one for every four cores.
        address: Of a cluster; None starts one on this machine, and ends it with the extraction.
        gpus_per_worker: GPUs of each actor, or a share of one; None for 1 where this process computes on one.

    Raises:
        MissingExtraError: Ray Data is not installed.
    """

    worker: type[Worker] = Worker

    def __init__(
        self, workers: int | None = None, address: str | None = None, gpus_per_worker: float | None = None
    ) -> None:
        if importlib.util.find_spec("ray") is None or importlib.util.find_spec("pyarrow") is None:
            raise MissingExtraError("ray[data]", "ray", "--executor ray")
        self._workers, self._address, self._gpus = workers, address, gpus_per_worker

    def pace(self, plan: Plan, backbone: Backbone, engine: Engine) -> float:
        """Return 0: what a cluster does in a second shows when it does it."""
        return 0.0

    def run(self, plan: Plan, backbone: Backbone, engine: Engine) -> Generator[Status]:
        """Yield what becomes of each image; at the end all of it is on the disk."""
        with claim_job(plan, backbone) as job, closing(self._answers(plan, job)) as answers:
            yield from statuses_of(plan, answers)

    def _answers(self, plan: Plan, job: Job) -> Generator[Rows]:
        with _cluster(self._address, max(torch.get_num_threads(), self._workers or 1)):
            import pyarrow
            import ray

            gpus = float(job.device.startswith("cuda")) if self._gpus is None else self._gpus
            count, cores = _share(self._workers, gpus)
            job = replace(job, threads=cores, device="cuda" if gpus else "cpu")
            parts = [pyarrow.table(part) for part in parts_of(plan, count, job.device)]
            found = ray.data.from_arrow(parts).map_batches(
                _Actor,
                fn_constructor_args=(self.worker, job),
                compute=ray.data.ActorPoolStrategy(size=min(count, len(parts))),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=cores,
                num_gpus=gpus,
                runtime_env={"env_vars": TUNED_HEAP},
            )
            found.context.enable_progress_bars = found.context.print_on_execution_start = False
            try:
                for answer in found.iter_batches(batch_size=None, batch_format="pyarrow"):
                    yield answer.to_pydict()
            except ray.exceptions.RayError as error:
                raise WorkerError(
                    f"Ray gave up: {str(error).strip().splitlines()[-1]}",
                    hint="Its logs say why. What is finished is kept, and the same command goes on.",
                ) from error


def _share(workers: int | None, gpus: float) -> tuple[int, int]:
    """Return how many actors there are to be, each with so many GPUs, and how many cores each gets.

    Raises:
        ConfigError: The cluster has too little for so many.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    all_cores, all_gpus = ([int(node.get(kind, 0)) for node in nodes] for kind in ("CPU", "GPU"))
    count = workers or max(1, int(sum(all_gpus) / gpus) if gpus else sum(all_cores) // 4)
    # As many cores each as leave all of them a place: an actor is on one machine.
    fitting = [n for n in range(1, max(all_cores) + 1) if sum(cores // n for cores in all_cores) >= count]
    if not fitting or gpus * count > sum(all_gpus):
        raise ConfigError(
            f"{count} workers of {gpus:g} GPUs do not fit into the cluster of {sum(all_cores)} cores and "
            f"{sum(all_gpus)} GPUs.",
            hint="Expected a core for each worker, and the GPUs: lower --workers or --gpus-per-worker.",
        )
    return count, fitting[-1]


@contextmanager
def _cluster(address: str | None, cores: int) -> Iterator[None]:
    """Join a cluster, or start one on this machine; one that the program has joined is used and left.

    Args:
        address: Of the cluster to join; None to start one.
        cores: That the started one has.

    Raises:
        WorkerError: There is none at the address.
    """
    with _environment(_QUIET | os.environ | _PRIVATE | ({} if address else _LOCAL)), quiet("ray"):
        import ray
        import ray.data

        own = not ray.is_initialized()
        try:
            if own:
                started = {} if address else {"num_cpus": cores, "include_dashboard": False}
                ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **started)
        except Exception as error:  # Ray's have no common kind
            if not address:
                raise WorkerError(
                    f"Ray cannot be started on this machine: {error}",
                    hint="Run the same command again when less else runs here, or by --executor processes.",
                ) from error
            raise WorkerError(
                f"There is no Ray cluster to join at {address}: {error}",
                hint="Expected HOST:PORT of its head, or auto on a machine that belongs to it.",
                run="ray status",
            ) from error
    try:
        with quiet("ray.data"):
            yield
    finally:
        if own:
            ray.shutdown()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, which Ray's processes inherit, until the block ends."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Actor:
    """A worker as Ray Data calls it; Ray keeps an actor's identity when it starts it again."""

    def __init__(self, worker: type[Worker], job: Job) -> None:
        import ray

        self._encode = worker(job, ray.get_runtime_context().get_actor_id())

    def __call__(self, part: Any) -> Any:
        import pyarrow

        return pyarrow.table(self._encode(part.to_pydict()))
