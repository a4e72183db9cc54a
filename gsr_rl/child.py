"""Child processes that must not outlive this process, whatever ends it."""

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent() -> None:
    """Call in a child (`preexec_fn`): Linux then sends it SIGTERM when the thread that started it ends.

    That holds for any end of the thread, SIGKILL to its process included.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
