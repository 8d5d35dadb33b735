"""The process of the command line: tuned for long work, and ended at once.

Nothing here happens in a process that merely imports the package, loads a model or calls a verb.
"""

import atexit
import contextlib
import ctypes
import os
import platform
import sys
import time

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
"""Parameters of glibc's mallopt(3)."""
TUNED_HEAP = {"MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_MMAP_MAX_": "0", "MALLOC_ARENA_MAX": "1"}
"""The same, for the environment of a process that has threads, each with a heap, before our code runs."""
_TURN = 2.0
"""Seconds from one process's turn to speak to the next one's."""


def tune_process() -> None:
    """Tune this process for long work on a CPU, as the command line does; best before torch is imported.

    The package never does so by itself, since it concerns the whole process and cannot be undone:

    - The allocator. glibc gives every large tensor back to the kernel when it is freed, and pays a page fault
      for each 4 KiB of the next one; told not to, MobileNetV2 runs 1.6 to 2.4 times faster, and a training
      neither faster nor slower (docs/benchmarks.md). Threads would still have heaps of their own, which are
      given back all the same: they share the one that is kept. The process then keeps the most memory that
      it ever needed. Elsewhere than on glibc nothing happens.
    - ``GOMP_SPINCOUNT``, for this process and those that it starts. Threads of torch's that wait for one
      another turn in circles for 300,000 rounds before they sleep, on a core that the one they wait for
      needs. Beside another program a step of training takes 25 times as long then, and 4 times with fewer
      rounds (docs/log.md). OpenMP reads this when torch is imported; a number that is set is kept.
    - ``OMP_NUM_THREADS``, where it is the 1 that torchrun sets for several processes if its user has set
      nothing: training gives each process its part of the cores. Another number is kept.
    - ``OPENCV_LOG_LEVEL`` and ``OPENCV_FFMPEG_LOGLEVEL``: OpenCV keeps its decoders' messages to itself.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
        libc.mallopt(_M_ARENA_MAX, 1)
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    if place()[1] > 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        del os.environ["OMP_NUM_THREADS"]
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def speaks() -> bool:
    """Say whether this process is the only one or, of several that train together, the first."""
    return place()[0] == 0


def await_turn() -> None:
    """Wait before an error is told, so that of several processes one tells it.

    A mistake of the user's meets all of them. The first one tells it and ends; whoever has started them, such
    as torchrun, then ends the others while they wait here. An error of a single one is told late, but told.
    """
    time.sleep(_TURN * min(place()[0], 5))


def place() -> tuple[int, int]:
    """Return which process this is, from 0, and of how many that train together: (0, 1) where it is alone."""
    rank, count = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
    return (rank, count) if "RANK" in os.environ else (0, 1)


def end_at_once() -> list[int]:
    """Let this process end without taking its objects apart: the system frees their memory anyway.

    A million objects of torch's take Python longer than many a command. Threads are waited for, and whatever
    is registered with atexit from now on is done first. A process that is traced, measured or debugged ends
    as ever: its tool may have registered before what it does at the end.

    Returns:
        Where to put the exit status; while it is empty, the process ends as ever.
    """
    statuses: list[int] = []
    if not _is_watched():
        atexit.register(_leave, statuses)
    return statuses


def _is_watched() -> bool:
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    tools = monitoring and any(monitoring.get_tool(number) for number in range(6))
    return bool(sys.gettrace() or sys.getprofile() or tools or "coverage" in sys.modules)


def _leave(statuses: list[int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    for status in statuses:
        os._exit(status)
