"""Ctrl-C that waits for a step to end."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def held_interrupt() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back to the end of the block, so that it never stops inside a step; a second one does.

    Yields:
        Says whether Ctrl-C was pressed.

    Raises:
        KeyboardInterrupt: It was.
    """
    pressed = threading.Event()

    def hold(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    # Whoever handles the signal otherwise, or ignores it as nohup does, has reasons.
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed.is_set
        return
    signal.signal(signal.SIGINT, hold)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if pressed.is_set():
        raise KeyboardInterrupt
