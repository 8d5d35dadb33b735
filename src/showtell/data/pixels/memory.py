"""How much memory is free for use: of the machine, and of the control groups that a container gives."""

import os
from contextlib import suppress
from pathlib import Path

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_memory() -> int | None:
    """Return the bytes of memory that are free or hold files only; None where the system does not say.

    The lowest counts of what the machine and each control group of this process have.
    """
    return min([*_of_machine(), *_of_groups(_GROUPS, _OWN)], default=None)


def _of_machine() -> list[int]:
    try:
        with open("/proc/meminfo", "rb") as lines:  # noqa: PTH123
            return [int(line.split()[1]) * 1024 for line in lines if line.startswith(b"MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass
    try:  # macOS says how much there is, not how much of it is free
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2]
    except (AttributeError, ValueError, OSError):
        return []


def _of_groups(root: Path, own: Path) -> list[int]:
    """Return what is left of the memory of each control group of this process, of both versions.

    Args:
        root: Where the groups are mounted.
        own: Which are this process's, in lines such as ``0::/user.slice``. A container may see its own group
            as the root.
    """
    places = {"": "/", "memory": "/"}
    with suppress(OSError, ValueError):
        for _, controllers, path in (line.split(":", 2) for line in own.read_text("utf-8").splitlines()):
            places |= {name: path for name in controllers.split(",") if name in places}
    found = []
    for version, (mount, *names) in (
        ("", (root, "memory.max", "memory.current", "inactive_file ")),
        (
            "memory",
            (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
        ),
    ):
        folder = mount / places[version].lstrip("/")
        for group in {folder, *folder.parents, mount}:
            if group.is_relative_to(mount):
                found += _left_of(group, *names)
    return found


def _left_of(group: Path, limit: str, used: str, files: str) -> list[int]:
    """Return the bytes that a group leaves; nothing where it sets no limit."""
    try:
        allowed = int((group / limit).read_text("ascii"))  # the word "max" where there is none
        stat = (group / "memory.stat").read_text("ascii").splitlines()
        cached = sum(int(line.split()[1]) for line in stat if line.startswith(files))
        return [max(0, allowed - int((group / used).read_text("ascii")) + cached)]
    except (OSError, ValueError, IndexError):
        return []
