"""Guard over the weight sync between actor and vLLM. With a broken sync a run trains on noise and does not fail."""

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from gsr_rl.metrics.logged import CORRELATION


class SyncError(RuntimeError):
    """Rollout and actor do not hold the same weights, or the sync did not end in time."""


def check_correlation(metrics: Mapping[str, Any], min_correlation: float, when: str) -> float:
    """verl's correlation between the token probabilities of rollout and actor, if it is high enough.

    Args:
        metrics: of the step, from verl.
        min_correlation: `gsr.sync_guard.min_correlation`, from -1 to below 1.
        when: begins the error message, such as "step 3".

    Raises:
        SyncError: it is below `min_correlation`, missing or NaN.
    """
    value = metrics.get(CORRELATION)
    if value is None or not math.isfinite(value) or value < min_correlation:
        raise SyncError(
            f"{when}: the correlation of rollout and actor probabilities is {value}, gsr.sync_guard.min_correlation is "
            f"{min_correlation}: vLLM does not hold the actor's weights, and training on its samples would be training "
            "on noise; check the vLLM version and rollout.dtype"
        )
    return float(value)


def with_deadline(work: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """The result of `work()`, with a limit in time: verl waits for ever for an update that has failed.

    Raises:
        SyncError: `work` has not ended after `timeout_s` seconds; `what` begins the message. `work` goes on running.
        BaseException: whatever `work` raises.
    """
    result: list[Any] = []
    error: list[BaseException] = []

    def target() -> None:
        try:
            result.append(work())
        except BaseException as raised:
            error.append(raised)

    thread = threading.Thread(target=target, daemon=True)  # a daemon, so that it does not keep a failed run alive
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise SyncError(f"{what} did not end within gsr.sync_guard.timeout_s={timeout_s}; see the vLLM log above")
    if error:
        raise error[0]
    return result[0]
