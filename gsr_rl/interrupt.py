"""A block that is interrupted from beside it: the block itself may wait where it would never notice."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupted_when(over: Callable[[], bool], every_s: float) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block, which is in the main thread, once `over()` is true.

    Args:
        over: asked in a thread of its own, every `every_s` seconds.
    """
    left = threading.Event()
    # A shell makes its background jobs ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        while not left.wait(every_s):
            if over() and not left.is_set():
                return os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
