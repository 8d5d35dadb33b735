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
    statuses: list[int] = []
    atexit.register(_leave, statuses)
    try:
        from showtell.cli import main

        main()
    except KeyboardInterrupt:  # before a command has begun
        statuses.append(130)
    except SystemExit as end:
        if isinstance(end.code, int):
            statuses.append(end.code)
        raise


def _leave(statuses: list[int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    for status in statuses:
        os._exit(status)


if __name__ == "__main__":
    program()
