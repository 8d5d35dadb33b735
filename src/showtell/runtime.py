"""What code runs on: threads, seeds, device, and the versions that a run records."""

import hashlib
import logging
import os
import platform
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from showtell.errors import ConfigError
from showtell.process import place

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_MAX_BATCHES = 4
"""Most batches that a network encodes side by side; each holds its layers' values in memory."""
_limiting = threading.Lock()


def limit_threads(count: int) -> None:
    """Let every operation that this thread starts use so many threads; call it as the thread starts.

    torch keeps the number for the thread that sets it, and takes the last one that any thread has set for
    those to come. Another thread sets that back, so that no thread but this one is limited.
    """
    with _limiting:
        usual = torch.get_num_threads()
        torch.set_num_threads(count)
        other = threading.Thread(target=torch.set_num_threads, args=(usual,))
        other.start()
        other.join()


@contextmanager
def computing_by(threads: int) -> Iterator[None]:
    """Let torch compute by so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def share_cores(device: torch.device, batches: int = _MAX_BATCHES) -> tuple[int, int]:
    """Return how many batches to encode side by side, and how many threads each gets.

    On a processor every batch has cores of its own: together on one batch, they would wait for each other
    after every layer, and for any that decodes an image meanwhile.

    Args:
        device: Where the network is.
        batches: How many there are.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu":
        return 1, threads
    count = max(n for n in range(1, min(batches, _MAX_BATCHES) + 1) if threads % n == 0)
    return count, threads // count


def in_order(
    workers: Executor, work: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[_Result]:
    """Yield the result of each item in their order, while others are worked on.

    Args:
        workers: Who works.
        work: What is done with an item.
        items: Taken as they are needed.
        ahead: How many are under way, or wait to be taken, beside the one that is yielded.
    """
    under_way: deque[Future[_Result]] = deque()
    try:
        for item in items:
            under_way.append(workers.submit(work, item))
            if len(under_way) > ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()


@contextmanager
def quiet(library: str | None) -> Iterator[None]:
    """Keep back what a library logs, but for errors.

    Args:
        library: Name of its logger; None for the root, which some talk through.
    """
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def choose_device(name: str = "auto") -> torch.device:
    """Return the named device, or for ``auto`` the best one there is.

    Raises:
        ConfigError: There is no such device here.
    """
    if name != "auto":
        try:
            torch.empty(0, device=name)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"The device {name!r} is not available here.",
                hint="Expected auto, cpu, or cuda or mps where there is one.",
            ) from error
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Say whether the processor multiplies bfloat16 natively, so that it pays in training."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capabilities = torch.backends.cpu.get_cpu_capability()
    flags = _cpu_flags()
    return capabilities.startswith("AVX512") and bool({"avx512_bf16", "amx_bf16"} & flags)


def processor_name() -> str:
    """Return what the processor is called."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_flags() -> set[str]:
    return set(_cpu_info("flags").split())


def _cpu_info(name: str) -> str:
    """Return what Linux says of the first core under a name; empty where it says nothing."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            line = next((line for line in file if line.startswith(name)), "")
    except OSError:
        return ""
    return line.partition(":")[2].strip()


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def code_version() -> str:
    """Return a SHA-256 over the package's own source files, which tells edits that no version number does."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def version_of(package: str) -> str:
    """Return the version of a package; of one that is installed under another name, words that say so."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed as a package"


def environment() -> dict[str, str | int]:
    """Return what a run must record to be repeated: versions, processor, threads, processes."""
    packages = ("showtell", "torch", "torchvision", "timm", "tokenizers", "numpy", "pillow", "lmdb")
    versions: dict[str, str | int] = {}
    versions |= {package: version_of(package) for package in packages}
    return versions | {
        "code": code_version(),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processes": place()[1],
        "cores": os.cpu_count() or 1,
    }
