"""``python -m showtell``, and the program ``showtell``."""

import atexit
import contextlib
import os
import sys


def program() -> None:
    """Run the command line as a process that ends at once when its work is done.

    Taking a million objects of torch's apart one by one takes Python longer than many a command; the system
    frees their memory anyway. Threads are waited for and whatever else is registered to be done at the end is
    done first: what is registered first comes last.
    """
    _wait_briefly()
    statuses: list[int] = []
    atexit.register(_leave, statuses)
    from showtell.cli import main

    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            statuses.append(end.code)
        raise


def _wait_briefly() -> None:
    """Let threads that wait for one another fall asleep soon; torch reads this when it is imported.

    They would turn in circles for 300,000 rounds first, on a core that the one they wait for needs. A step of
    training beside another program takes 25 times as long that way, and 4 times so (docs/log.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def _leave(statuses: list[int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    for status in statuses:
        os._exit(status)


if __name__ == "__main__":
    program()
