"""Inputs that may do harm, handed to a function in children that are watched.

A child works through many inputs, since a start would cost more than all of them. It is watched for what
must not happen: an end of the interpreter, more than 5 s of processor time for one input, more memory than
twice the bound, an error that is not ours, and anything that Python audits beyond reading: a file written
elsewhere, another program, a connection, a pickle's class. What is left of the inputs goes to the next child.
"""

import ctypes
import hashlib
import json
import os
import random
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any, TypeVar

from campaign import Figures, Finding

Input = TypeVar("Input")

SECONDS = 5.0
"""Processor time that one input may take."""
_WALL = 60.0
"""Seconds by the clock, for what waits instead of computing; other work may hold the processor."""
_SLACK = 24 << 20
"""Bytes that the process may grow by beside an input's own: decoders that are loaded, caches."""
_SPACE = 12 << 30
"""Address space of a child, bytes: the machine itself is not to run out of memory."""
FOUND = Path(__file__).parents[1] / "build" / "trust"
"""Where inputs that have broken something are kept."""
_FORBIDDEN = (
    "subprocess.Popen os.system os.exec os.posix_spawn os.fork socket.connect pickle.find_class "
    "shutil.make_archive os.rename os.remove os.rmdir os.symlink os.link os.truncate"
)


@dataclass(frozen=True)
class Guard:
    """Watches a function.

    Attributes:
        work: What takes an input; may raise what is in ``refusals``, nothing else.
        refusals: Errors that say that an input is not accepted.
        bound: Bytes that an input may take, by its size on the disk; None where nothing is promised.
        writes: Whether the function may write below the folder ``inside``.
        inside: The only folder that may be written to.
        reads_outside: Folders below which no file may be opened.
    """

    work: Callable[[Any], object]
    refusals: tuple[type[Exception], ...]
    bound: Callable[[int], int] | None = None
    inside: Path | None = None
    forbidden: tuple[Path, ...] = ()

    def try_all(self, make: Callable[[random.Random], tuple[bytes, Any]], count: int, seed: str) -> Figures:
        """Hand over inputs.

        Args:
            make: Returns what an input is made of, to be kept if it breaks something, and the input.
            count: Of inputs.
            seed: From which they are drawn.

        Raises:
            Finding: Something happened that must not; each kind is named once, with the number of inputs.
        """
        shared = memoryview(mmap(-1, 16)).cast("d")  # number of the input under way, and since when
        found: dict[str, list[int]] = {}
        figures: dict[str, float] = {"inputs": 0, "refused": 0, "highest s": 0.0, "highest MB": 0.0}
        begin = 0
        while begin < count:
            begin = self._one_child(make, begin, count, seed, shared, found, figures)
        if found:
            raise Finding(
                "; ".join(_told(what, numbers, make, seed) for what, numbers in found.items()), figures
            )
        return figures

    def _one_child(
        self,
        make: Callable[[random.Random], tuple[bytes, Any]],
        begin: int,
        count: int,
        seed: str,
        shared: memoryview,
        found: dict[str, list[int]],
        figures: dict[str, float],
    ) -> int:
        """Let one child work until it ends; return the number of the next input."""
        hear, tell = os.pipe()
        shared[1], shared[0] = time.monotonic(), begin
        child = os.fork()
        if child == 0:
            os.close(hear)
            self._be_child(make, range(begin, count), seed, shared, tell)
        os.close(tell)
        told, ended = b"", False
        why, spent_at = "", (begin - 1, 0.0)
        while not ended:
            ready, _, _ = select.select([hear], [], [], 0.25)
            if ready:
                piece = os.read(hear, 1 << 16)
                ended = not piece
                told += piece
            number, since = int(shared[0]), shared[1]
            spent = _processor_time(child)
            if number != spent_at[0]:
                spent_at = (number, spent)
            if (
                not ended
                and not why
                and (spent - spent_at[1] > SECONDS + 0.5 or time.monotonic() - since > _WALL)
            ):
                why = f"it takes more than {SECONDS:.0f} s"
                os.kill(child, signal.SIGKILL)
        os.close(hear)
        status = os.waitpid(child, 0)[1]
        last = begin - 1
        for line in told.split(b"\n"):
            if not line:
                continue
            last, refused, seconds, megabytes, what = json.loads(line)
            figures["inputs"] += 1
            figures["refused"] += refused
            figures["highest s"] = max(figures["highest s"], seconds)
            figures["highest MB"] = max(figures["highest MB"], megabytes)
            if what:
                found.setdefault(what, []).append(last)
        if status != 0:
            number = int(shared[0])
            figures["inputs"] += 1
            name = (
                signal.Signals(os.WTERMSIG(status)).name
                if os.WIFSIGNALED(status)
                else f"status {status >> 8}"
            )
            found.setdefault(why or f"the interpreter ends by {name}", []).append(number)
            return number + 1
        return last + 1

    def _be_child(
        self,
        make: Callable[[random.Random], tuple[bytes, Any]],
        numbers: range,
        seed: str,
        shared: memoryview,
        tell: int,
    ) -> None:
        """Work through inputs; never returns."""
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (_SPACE, _SPACE))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders may write there
            broken: list[str] = []
            watching = [False]
            sys.addaudithook(lambda event, args: watching[0] and self._audit(event, args, broken))
            libc = ctypes.CDLL(None)
            first = _memory("VmRSS")
            for number in numbers:
                content, value = make(random.Random(f"{seed}/{number}"))
                if _memory("VmRSS") > first + _SLACK:
                    libc.malloc_trim(0)
                Path("/proc/self/clear_refs").write_text("5")
                before, started = _memory("VmRSS"), time.process_time()
                shared[1], shared[0] = time.monotonic(), number
                refused, what = False, ""
                watching[0] = True
                try:
                    self.work(value)
                except self.refusals:
                    refused = True
                except MemoryError:
                    what = "it asks for more memory than there is"
                except BaseException as error:
                    what = f"{type(error).__name__} ({_where(error)}) instead of a refusal"
                watching[0] = False
                seconds, taken = time.process_time() - started, _memory("VmHWM") - before
                if broken:
                    what = what or broken[0]
                    broken.clear()
                if not what and self.bound and taken > 2 * self.bound(len(content)) + _SLACK:
                    what = "it takes more than twice the memory of its bound"
                if not what and seconds > SECONDS:
                    what = f"it takes more than {SECONDS:.0f} s"
                line = json.dumps([number, refused, round(seconds, 3), round(taken / 1e6, 1), what])
                os.write(tell, line.encode() + b"\n")
            status = 0
        finally:
            os._exit(status)

    def _audit(self, event: str, args: tuple[Any, ...], broken: list[str]) -> None:
        """Note what a function does that must only read its input."""
        if event == "open" and isinstance(args[0], str | bytes):
            path = os.path.abspath(os.fsdecode(args[0]))  # noqa: PTH100
            flags = args[2] if isinstance(args[2], int) else 0
            writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writing and not path.startswith("/dev/") and not self._is_inside(path):
                broken.append(f"it writes to a file elsewhere ({Path(path).name})")
            elif any(Path(path).is_relative_to(one) for one in self.forbidden):
                broken.append(f"it reads a file outside of its folder ({Path(path).name})")
        elif event in _FORBIDDEN.split() and not (args and self._is_inside(str(args[0]))):
            broken.append(f"it does {event}")

    def _is_inside(self, path: str) -> bool:
        # A relative path is one below an open folder, as of rmtree.
        return self.inside is not None and (
            not path.startswith("/") or Path(path).is_relative_to(self.inside)
        )


def _told(
    what: str, numbers: list[int], make: Callable[[random.Random], tuple[bytes, Any]], seed: str
) -> str:
    """Return a find in words, after keeping the first input that shows it."""
    content, _ = make(random.Random(f"{seed}/{numbers[0]}"))
    FOUND.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(content).hexdigest()[:12]
    (FOUND / name).write_bytes(content)
    return f"{what} ({len(numbers)} inputs, such as number {numbers[0]}, kept as build/trust/{name})"


def _where(error: BaseException) -> str:
    """Return the innermost line of ours."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "showtell" in file:
            place = f"{Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _memory(what: str) -> int:
    """Return the bytes that this process has now (VmRSS), or had at most (VmHWM)."""
    with open("/proc/self/status") as lines:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def _processor_time(process: int) -> float:
    """Return the seconds of processor time that a process has taken."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
