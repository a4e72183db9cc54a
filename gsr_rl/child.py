"""Child processes that must not outlive this one, whatever ends it."""

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent() -> None:
    """For `preexec_fn`: Linux sends the child SIGTERM when the thread that started it ends, by SIGKILL too."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
