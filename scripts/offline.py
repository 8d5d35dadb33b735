"""Run a command where there is no network but this machine itself; its exit status is the command's.

The command gets a network namespace of its own, in which only the loopback is up (Linux).

Usage: python scripts/offline.py COMMAND [ARGUMENT ...]
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

INSIDE = "--inside"
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP


def namespace() -> list[str] | None:
    """Return the command before a command that leaves the network behind; None where that is not allowed."""
    if shutil.which("unshare") is None:
        return None
    for way in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
            return [*way, sys.executable, __file__, INSIDE]
    return None


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        before = fcntl.ioctl(asked, _GET_FLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", before)[1] | _UP
        fcntl.ioctl(asked, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags))


def main() -> None:
    """Become the command."""
    if sys.argv[1:2] == [INSIDE]:
        _raise_loopback()
        os.execvp(sys.argv[2], sys.argv[2:])
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    before = namespace()
    if before is None:
        sys.exit("This machine lets nobody have a network namespace of their own (unshare --net).")
    os.execvp(before[0], [*before, *sys.argv[1:]])


if __name__ == "__main__":
    main()
