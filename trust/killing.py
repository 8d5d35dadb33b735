"""Commands in children of a process that has everything loaded, killed at a moment drawn at random.

A start of Python with torch takes seconds, a fork of a process that has it milliseconds. Threads do not
survive a fork: whoever uses this computes with one thread and opens no store in the parent.
"""

import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from campaign import Finding

_WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "os.chmod", "os.utime"}
LONGEST = 240.0
"""Seconds after which a command hangs."""


class Undisturbed:
    """How a command runs whom nobody kills: how long, and how often it changes something on the disk.

    Attributes:
        seconds: By the clock.
        writes: Files opened to be written, renamed, removed, linked, and so on; commits of the store.
    """

    def __init__(self, work: Callable[[], object], log: Path) -> None:
        count = log.with_name("writes")
        started = time.monotonic()
        status = forked(work, log, count=count)
        if status not in (0, 3):
            raise RuntimeError(
                f"undisturbed, it ends with {status}:\n{log.read_text(errors='replace')[-2000:]}"
            )
        self.seconds = time.monotonic() - started
        self.writes = int(count.read_text())


def killed(work: Callable[[], object], log: Path, how_long: Undisturbed, chance: random.Random) -> bool:
    """Run something, and kill it and its children at a moment drawn at random; return whether it was reached.

    Half of the moments are drawn from the time, half from the writes: just before one of them.
    """
    if how_long.writes and chance.random() < 0.5:
        return forked(work, log, kill_at_write=chance.randint(1, how_long.writes)) == -signal.SIGKILL
    return forked(work, log, kill_after=chance.uniform(0, 1.05 * how_long.seconds)) == -signal.SIGKILL


def forked(
    work: Callable[[], object],
    log: Path,
    *,
    kill_after: float | None = None,
    kill_at_write: int | None = None,
    count: Path | None = None,
) -> int:
    """Run something in a child, a leader of its own group; return its exit status, or the negative signal.

    Args:
        work: Its result is the exit status.
        log: Takes what it says.
        kill_after: Seconds until the whole group is killed.
        kill_at_write: Before which of its writes the child kills its group.
        count: File to write the number of its writes to.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            seen = _count_writes(kill_at_write)
            status = int(work() or 0)  # type: ignore[call-overload]
            if count is not None:
                count.write_text(str(seen[0]))
        except SystemExit as error:
            status = int(error.code or 0)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    until = time.monotonic() + (LONGEST if kill_after is None else kill_after)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            _end_group(child)
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            _end_group(child)
            os.kill(child, signal.SIGKILL)  # which may lead no group yet
            os.waitpid(child, 0)
            if kill_after is None:
                raise RuntimeError(f"it hangs:\n{log.read_text(errors='replace')[-2000:]}")
            return -signal.SIGKILL
        time.sleep(0.001)


def _count_writes(kill_at: int | None) -> list[int]:
    """Count what this process changes on the disk from now on; kill its group before the one of a number."""
    seen, process = [0], os.getpid()

    def note(event: str, args: tuple[Any, ...]) -> None:
        writing = event in _WRITES or (
            event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )
        if writing and os.getpid() == process:
            seen[0] += 1
            if seen[0] == kill_at:
                os.killpg(0, signal.SIGKILL)

    sys.addaudithook(note)
    from showtell.store.environment import Environment

    write = Environment.write

    def counted(self: Environment, work: Callable[[Any], Any]) -> Any:
        note("os.rename", ())  # a commit begins
        result = write(self, work)
        note("os.rename", ())  # a commit has ended
        return result

    Environment.write = counted  # type: ignore[method-assign]
    return seen


def _end_group(leader: int) -> None:
    """Kill what is left of a group: workers, their servers."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def command(arguments: Sequence[str]) -> Callable[[], int]:
    """Return a function that runs a command of the command line."""

    def work() -> int:
        from showtell import cli

        return cli.run(list(arguments))

    return work


def warm() -> None:
    """Load what commands load, with one thread."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    from showtell import cli, flags  # noqa: F401
    from showtell.extraction import command, processes, threads  # noqa: F401
    from showtell.kinds.captioner import train  # noqa: F401
    from showtell.kinds.classifier import fine_tune  # noqa: F401
    from showtell.kinds.classifier import train as train_classifier  # noqa: F401
    from showtell.store import command as store  # noqa: F401


def emptied(folder: Path) -> Path:
    """Return a folder that is there and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def digests(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of files; of those that are there."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
        if (folder / name).is_file()
    }


def finish(work: Callable[[], object], log: Path, name: str) -> None:
    """Run something to its end.

    Raises:
        Finding: It fails after the kills.
    """
    status = forked(work, log)
    if status not in (0, 3):
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        raise Finding(f"{name} cannot go on after a kill: status {status}, {last}")
