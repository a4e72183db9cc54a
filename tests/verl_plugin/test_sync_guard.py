"""The weight-sync guard: a low, missing or NaN correlation, a sync that never ends, and errors of a sync."""

import math
import threading
from typing import Any

import pytest

from gsr_rl.verl_plugin.sync_guard import CORRELATION, SyncError, check_correlation, with_deadline


@pytest.mark.parametrize("value", [0.95, 0.999, 1.0])
def test_a_high_correlation_passes(value: float) -> None:
    assert check_correlation({CORRELATION: value}, 0.95, "step 1") == value


@pytest.mark.parametrize(
    "metrics",
    [{}, {CORRELATION: None}, {CORRELATION: math.nan}, {CORRELATION: 0.9499}, {CORRELATION: -1.0}],
)
def test_a_low_missing_or_nan_correlation_stops_the_run(metrics: dict[str, Any]) -> None:
    with pytest.raises(SyncError, match=r"step 3: .* correlation of .*gsr\.sync_guard\.min_correlation is 0\.95"):
        check_correlation(metrics, 0.95, "step 3")


def test_the_result_comes_through() -> None:
    assert with_deadline(lambda: 17, 30, "the sync") == 17
    assert with_deadline(lambda: None, 30, "the sync") is None


def test_the_work_s_own_error_comes_through() -> None:
    def work() -> None:
        raise ConnectionError("worker gone")

    with pytest.raises(ConnectionError, match="worker gone"):
        with_deadline(work, 30, "the sync")


def test_work_that_never_ends_is_an_error_after_the_deadline() -> None:
    for_ever = threading.Event()
    with pytest.raises(SyncError, match=r"weight sync 4 did not end within gsr\.sync_guard\.timeout_s=0\.05"):
        with_deadline(for_ever.wait, 0.05, "weight sync 4")
    for_ever.set()
