"""Guard over the weight sync between actor and vLLM: a broken one trains on noise without failing."""

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

CORRELATION = "training/rollout_actor_probs_pearson_corr"


class SyncError(RuntimeError):
    """Rollout and actor do not hold the same weights, or the sync never ended."""


def check_correlation(metrics: Mapping[str, Any], min_correlation: float, when: str) -> float:
    """verl's correlation of rollout and actor token probabilities; SyncError if it is low, missing or NaN."""
    value = metrics.get(CORRELATION)
    if value is None or not math.isfinite(value) or value < min_correlation:
        raise SyncError(
            f"{when}: rollout and actor probabilities correlate by {value}, gsr.sync_guard.min_correlation is "
            f"{min_correlation}: the weights did not reach vLLM as they are; training on its samples would be training "
            "on noise. Check the vLLM version and rollout.dtype"
        )
    return float(value)


def with_deadline(work: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """The result of `work()`, or SyncError after `timeout_s`: verl waits for a failed update for ever."""
    result: list[Any] = []
    error: list[BaseException] = []

    def target() -> None:
        try:
            result.append(work())
        except BaseException as raised:
            error.append(raised)

    thread = threading.Thread(target=target, daemon=True)  # a daemon: it must not keep a failed run alive
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise SyncError(f"{what} did not end within gsr.sync_guard.timeout_s={timeout_s}; see the vLLM log above")
    if error:
        raise error[0]
    return result[0]
