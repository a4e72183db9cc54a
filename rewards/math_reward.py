"""verl's reward function: 1.0 for a response whose final answer equals the ground truth, else 0.0."""

import numbers
from typing import Any

from rewards.verifier import verify


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | int | float,
    extra_info: dict[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, float]:
    """Score one response; all values are 0.0 or 1.0.

    `score` is the reward and `acc` the same under the name verl's validation reads; the others say why it is 0. Only
    `solution_str` and `ground_truth` count: the same rule holds for every data source.

    Raises:
        ValueError: the ground truth is neither text nor a number.
    """
    if not isinstance(ground_truth, str | numbers.Real):
        raise ValueError(f"ground_truth of {data_source!r} is a {type(ground_truth).__name__}; give text or a number")
    verdict = verify(solution_str, str(ground_truth))
    score = float(verdict.correct)
    diagnostics = {reason: float(verdict.reason == reason) for reason in ("no_answer", "too_long", "gold_unparseable")}
    return {"score": score, "acc": score, **diagnostics}
