"""A block that a watch beside it interrupts: the block itself may wait where it would never notice."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupted_by(watch: Callable[[threading.Event], bool]) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block once `watch(left)` has returned True; only for the main thread.

    Args:
        watch: runs in a thread of its own. `left` is set when the block has ended.
    """
    left = threading.Event()
    # A shell makes its background jobs ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def run() -> None:
        if watch(left) and not left.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield
    finally:
        left.set()
        signal.signal(signal.SIGINT, before)
