"""Faults of the system below: a clear message, exit status 2, nothing lost; the next run ends equal.

    python trust/faults.py

Disks are small file systems in memory, which needs root on Linux; elsewhere they are left out.
"""

import ctypes
import errno
import fcntl
import os
import platform
import random
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import killing
from campaign import Attempt, Figures, Finding, Line, NotHere, run
from extracting import IMAGES, draw_images, extraction, records_of
from killing import emptied, forked

Wrong = Callable[[], None]
"""Makes something go wrong in the child that carries a command out."""
_CAPABILITY_VERSION, _DAC_OVERRIDE = 0x20080522, 1 << 1  # linux/capability.h


def _mounted(place: Path, options: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        raise NotHere("file systems cannot be mounted here")


def _remounted(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def _unmounted(place: Path) -> None:
    subprocess.run(["umount", "-l", place], check=False, capture_output=True)


@contextmanager
def _extraction(
    folder: Path,
    before: Callable[[Path, random.Random], None] = lambda place, chance: None,
    after: Callable[[Path], None] = lambda place: None,
    wrong: Callable[[random.Random], Wrong] = lambda chance: lambda: None,
    refused: bool = True,
    may_go_well: bool = False,
) -> Iterator[Attempt]:
    """Extract on a disk with a fault; then mend it, and extract again.

    Args:
        folder: To work in.
        before: Makes the disk, at the place of the store.
        after: Mends it.
        wrong: Makes something else go wrong.
        refused: Whether the command is to end with status 2, and not to go through.
        may_go_well: Whether it may also go through.
    """
    forked(partial(draw_images, folder / "data"), folder / "log")
    extract = extraction(folder)
    if forked(extract(folder / "whole"), folder / "log") != 0:
        raise RuntimeError((folder / "log").read_text())
    whole = records_of(folder / "whole", folder)

    def attempt(chance: random.Random) -> Figures:
        disk, log = folder / "disk", folder / "round.log"
        log.unlink(missing_ok=True)
        _unmounted(disk)
        emptied(disk)
        before(disk, chance)
        go_wrong, work = wrong(chance), extract(disk / "store")

        def faulty() -> int:
            go_wrong()
            return work()

        try:
            status = forked(faulty, log)
            said = log.read_text(errors="replace")
            if "Traceback" in said or "fault of showtell" in said:
                raise Finding(f"no message, but {said.strip().splitlines()[-1]}")
            allowed = {2} if refused and not may_go_well else {0, 2} if may_go_well else {0}
            if status not in allowed:
                raise Finding(f"status {status}: {said.strip().splitlines()[-1:]}")
            if status == 2 and "showtell: " not in said:
                raise Finding("nothing is said")
            after(disk)
            kept = records_of(disk / "store", folder) if (disk / "store").exists() else {}
            if kept.items() - whole.items():
                raise Finding("a record is served that is not what was computed")
            if forked(work, log) != 0 or records_of(disk / "store", folder) != whole:
                raise Finding("once it is mended, the next run does not end equal")
        finally:
            _unmounted(disk)
        return {"refused": int(status == 2), "records kept": len(kept)}

    try:
        yield attempt
    finally:
        _unmounted(folder / "disk")


def _without_permission(chance: random.Random) -> Wrong:
    """Take root's power to write where the modes forbid it, as everybody else is without it.

    The power to read stays: the package may lie where only root can see it.
    """
    if os.geteuid() != 0:
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "capset"):
        raise NotHere("root cannot be held to modes here")

    def drop() -> None:
        header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        sets[0] &= ~_DAC_OVERRIDE  # the first of the six words is what is in effect
        if libc.capset(header, sets) != 0:
            raise OSError(ctypes.get_errno(), "capset")

    return drop


def _quota(chance: random.Random) -> Wrong:
    limit = chance.randint(20_000, 60_000)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def _clock(chance: random.Random) -> Wrong:
    """Let the clock jump back by an hour, after the first few looks at it."""

    def jump() -> None:
        real, looks = time.time, iter(range(10**9))
        time.time = lambda: real() - (3600 if next(looks) > 5 else 0)

    return jump


def _no_locks(chance: random.Random) -> Wrong:
    """Let the system refuse locks, as some disks of networks do: showtell's own, those of LMDB, or both."""
    calls = {"x86_64": (72, 73), "aarch64": (25, 32)}.get(platform.machine())  # fcntl and flock
    if sys.platform != "linux" or calls is None:
        raise NotHere("calls cannot be refused here")
    fcntl_call, flock_call = calls
    commands = (fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW)
    refused = commands if chance.random() < 0.5 else ()
    load, equal, give = 0x20, 0x15, 0x06  # BPF: read a word, go on if equal, end (linux/bpf_common.h)
    refuse, allow = (give, 0, 0, 0x50000 | errno.ENOLCK), (give, 0, 0, 0x7FFF0000)  # linux/seccomp.h
    program = [
        (load, 0, 0, 0),  # the number of the call
        *(((equal, 0, 1, flock_call), refuse) if chance.random() < 0.5 or not refused else ()),
        (equal, 1, 0, fcntl_call),
        allow,
        (load, 0, 0, 24),  # its second argument, the lower half
        *(step for command in refused for step in ((equal, 0, 1, command), refuse)),
        allow,
    ]

    def refuse_from_here() -> None:
        steps = b"".join(struct.pack("=HBBI", *step) for step in program)
        kept = ctypes.create_string_buffer(steps)
        filtering = struct.pack("@HP", len(program), ctypes.addressof(kept))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filtering, 0, 0):  # no new rights; this filter
            raise OSError(ctypes.get_errno(), "prctl")

    return refuse_from_here


def _at_read(change: Callable[[Path], None], chance: random.Random) -> Wrong:
    """Change an image just before or after its file is read."""
    number, early = chance.randrange(IMAGES), chance.random() < 0.5

    def patch() -> None:
        from showtell.extraction import executor

        read, reads = executor.read_content, iter(range(10**9))

        def changed(path: Path) -> bytes:
            mine = next(reads) == number
            if mine and early:
                change(path)
            content: bytes = read(path)
            if mine and not early:
                change(path)
            return content

        executor.read_content = changed  # type: ignore[assignment]

    return patch


@contextmanager
def _changing(change: str, folder: Path) -> Iterator[Attempt]:
    """Remove or replace an image while it is read: what is stored belongs to what was read."""
    extract = extraction(folder)

    def attempt(chance: random.Random) -> Figures:
        log = folder / "round.log"
        log.unlink(missing_ok=True)
        forked(partial(draw_images, emptied(folder / "data")), log)
        forked(partial(draw_images, emptied(folder / "others"), 8, 99), log)
        other = next((folder / "others").rglob("*.png"), None) or next((folder / "others").rglob("*.jpg"))
        emptied(folder / "stores")
        if forked(extract(folder / "stores/before"), log) != 0:
            raise RuntimeError(log.read_text())
        replace = (lambda path: path.write_bytes(other.read_bytes())) if change == "replaced" else Path.unlink
        go_wrong, work = _at_read(replace, chance), extract(folder / "stores/during")

        def faulty() -> int:
            go_wrong()
            return work()

        status, said = forked(faulty, log), log.read_text(errors="replace")
        if status not in (0, 2) or "Traceback" in said or "fault of showtell" in said:
            raise Finding(f"status {status}: {said.strip().splitlines()[-1:]}")
        forked(extract(folder / "stores/after"), log)
        before, during, after = (
            records_of(folder / "stores" / name, folder) for name in ("before", "during", "after")
        )
        if during.items() - (before | after).items():
            raise Finding("features of one content are stored under another one")
        return {"records": len(during)}

    yield attempt


def _full(disk: Path, chance: random.Random) -> None:
    _mounted(disk, f"size={chance.randint(70, 130)}k,mode=777")


LINES = (
    Line(
        "full disk",
        partial(_extraction, before=_full, after=lambda disk: _remounted(disk, "size=50m"), may_go_well=True),
    ),
    Line(
        "no inodes",
        partial(
            _extraction,
            before=lambda disk, chance: _mounted(disk, f"size=50m,nr_inodes={chance.randint(3, 9)}"),
            after=lambda disk: _remounted(disk, "nr_inodes=9999"),
        ),
        short=0,
    ),
    Line(
        "read-only disk",
        partial(
            _extraction,
            before=lambda disk, chance: (_mounted(disk, "size=50m"), _remounted(disk, "ro"))[0],
            after=lambda disk: _remounted(disk, "rw"),
        ),
        most=1,
        short=0,
    ),
    Line(
        "no permission",
        partial(
            _extraction, before=lambda disk, chance: disk.chmod(0o555),
            after=lambda disk: disk.chmod(0o755), wrong=_without_permission,
        ),
        most=1,
        short=0,
    ),
    Line("quota", partial(_extraction, wrong=_quota, may_go_well=True)),
    Line("clock that jumps back", partial(_extraction, wrong=_clock, refused=False), short=0),
    Line("disk without locks", partial(_extraction, wrong=_no_locks), short=0),
    Line("image removed while it is read", partial(_changing, "removed"), short=0),
    Line("image replaced while it is read", partial(_changing, "replaced")),
)  # fmt: skip

if __name__ == "__main__":
    killing.warm()
    sys.exit(run("faults", __doc__, LINES))
