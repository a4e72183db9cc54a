"""The reward function for verl: 1.0 for a response whose final answer equals the ground truth, else 0.0."""

import asyncio
import numbers
from typing import Any

from rewards.pool import shared
from rewards.verifier import Reason, verify

_DIAGNOSTICS: tuple[Reason, ...] = ("no_answer", "timeout", "too_long", "gold_unparseable")


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | int | float,
    extra_info: dict[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    r"""Score one response. Any thread, process or Ray actor may call this.

    Only `solution_str` and `ground_truth` count: the same rules hold for every data source.

    Returns:
        `score` is the reward, 0.0 or 1.0; `acc` is the same under the name that verl's validation reads. `no_answer`,
        `timeout`, `too_long`, `gold_unparseable` and `unparsed` (an answer that nothing could read), each 0.0 or 1.0,
        say why the score is 0. `pool_restarts` counts the worker processes replaced since the last call, and
        `pool_late` the comparisons that a busy machine delayed, which were tried again.

    Raises:
        ValueError: the ground truth is neither text nor a number.
        OSError: the worker processes cannot be started.

    >>> result = compute_score("math500", r"Hence \boxed{0.25}.", r"\frac{1}{4}")
    >>> result["score"], result["acc"], result["no_answer"]
    (1.0, 1.0, 0.0)
    """
    if not isinstance(ground_truth, str | numbers.Real):
        raise ValueError(f"ground_truth of {data_source!r} is a {type(ground_truth).__name__}; give text or a number")
    verdict = verify(solution_str, str(ground_truth))
    score = float(verdict.correct)
    diagnostics = {reason: float(verdict.reason == reason) for reason in _DIAGNOSTICS}
    diagnostics |= {"unparsed": float(verdict.unparsed), "pool_restarts": float(shared.new_restarts())}
    diagnostics["pool_late"] = float(shared.new_late())
    return {"score": score, "acc": score, **diagnostics}


async def compute_score_async(*args: Any, **kwargs: Any) -> dict[str, float]:
    """Do the same as `compute_score`, without blocking the event loop while a worker process computes."""
    return await asyncio.to_thread(compute_score, *args, **kwargs)
