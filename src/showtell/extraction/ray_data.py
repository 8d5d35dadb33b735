"""Ray Data carries out a plan on the actors of a cluster, or on those that it starts on this machine."""

import importlib.util
import logging
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from showtell.backbones.backbone import Backbone
from showtell.engines.base import Engine
from showtell.errors import ConfigError, MissingExtraError
from showtell.extraction.executor import Status
from showtell.extraction.jobs import RETRIES, WorkerError, adopt_jobs, claim_job, parts_of, statuses_of
from showtell.extraction.plan import Plan
from showtell.extraction.worker import Job, Rows, Worker
from showtell.runtime import quiet

_PRIVATE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""No word of what runs here leaves it; and what Ray's own code logs goes to no terminal."""
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""A cluster of this machine alone: with this, Ray listens on 127.0.0.1 and nowhere else."""


class RayExecutor:
    """Runs a plan on Ray; see :class:`showtell.extraction.executor.Executor`.

    Where the program has called ``ray.init`` itself, that cluster is used, and left running.

    Args:
        workers: Actors; None for one a GPU, or one for every four cores.
        address: Of a cluster; None starts one on this machine, and ends it with the extraction.
        gpus_per_worker: GPUs of each actor, or a share of one; None for 1 where there are any.

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
        """Yield what becomes of each image; at the end everything is committed."""
        with claim_job(plan, backbone) as job, closing(self._answers(plan, job)) as answers:
            yield from statuses_of(plan, answers)
        adopt_jobs(plan.space)

    def _answers(self, plan: Plan, job: Job) -> Generator[Rows]:
        with _cluster(self._address):
            import pyarrow
            import ray

            count, cores, gpus = _share(self._workers, self._gpus)
            job = replace(job, threads=cores, device="cuda" if gpus else "cpu")
            parts = [ray.put(pyarrow.table(part)) for part in parts_of(plan, count, job.device)]
            found = ray.data.from_arrow_refs(parts).map_batches(
                _Actor,
                fn_constructor_args=(self.worker, job),
                compute=ray.data.ActorPoolStrategy(size=min(count, len(parts))),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=cores,
                num_gpus=gpus,
                max_task_retries=RETRIES,
            )
            found.context.enable_progress_bars = found.context.print_on_execution_start = False
            try:
                for answer in found.iter_batches(batch_size=None, batch_format="pyarrow"):
                    yield answer.to_pydict()
            except ray.exceptions.RayError as error:
                raise WorkerError(
                    f"Ray gave up: {str(error).strip().splitlines()[-1]}",
                    hint=f"Its logs say why; a part of the images is tried {RETRIES + 1} times.",
                ) from error


def _share(workers: int | None, gpus: float | None) -> tuple[int, int, float]:
    """Share a cluster out: how many actors, and cores and GPUs of each.

    Raises:
        ConfigError: It has too little for so many.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    all_cores, all_gpus = ([int(node.get(kind, 0)) for node in nodes] for kind in ("CPU", "GPU"))
    each = float(sum(all_gpus) > 0) if gpus is None else gpus
    count = workers or max(1, int(sum(all_gpus) / each) if each else sum(all_cores) // 4)
    # As many cores each as leave all of them a place: an actor is on one machine.
    fitting = [n for n in range(1, max(all_cores) + 1) if sum(cores // n for cores in all_cores) >= count]
    if not fitting or each * count > sum(all_gpus):
        raise ConfigError(
            f"{count} workers do not fit into {sum(all_cores)} cores and {sum(all_gpus)} GPUs of the cluster.",
            hint="Expected a core for each, and the GPUs of gpus_per_worker: lower one of the two.",
        )
    return count, fitting[-1], each


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Join a cluster, or start one on this machine; one that the program has joined is used and left.

    Raises:
        WorkerError: There is none at the address.
    """
    with _environment(_PRIVATE | ({} if address else _LOCAL)), quiet("ray"):
        import ray
        import ray.data

        own = not ray.is_initialized()
        try:
            if own:
                ray.init(
                    address or "local",
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, ValueError, RuntimeError) as error:
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
