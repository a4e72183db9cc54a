"""rewards.math_reward.compute_score: called as verl calls it; the keys and values of its result."""

from typing import Any

import pytest

from rewards.math_reward import compute_score

KEYS = {
    "score",
    "acc",
    "no_answer",
    "timeout",
    "too_long",
    "gold_unparseable",
    "unparsed",
    "pool_restarts",
    "pool_late",
}


@pytest.mark.parametrize(
    ("response", "truth", "ones"),
    [
        (r"\boxed{42}", "42", {"score", "acc"}),
        (r"\boxed{42}", 42, {"score", "acc"}),
        (r"\boxed{\frac{1}{4}}", 0.25, {"score", "acc"}),
        (r"\boxed{10000000000000000000000}", 1e22, {"score", "acc"}),
        (r"\boxed{41}", 42, set()),
        ("hm", "42", {"no_answer"}),
        (r"\boxed{9^{9^{9}}}", "42", {"too_long"}),
        (r"\boxed{42}", " ", {"gold_unparseable"}),
        (r"\boxed{\frac{1}}", "42", {"unparsed"}),
    ],
)
def test_values_are_zero_or_one(response: str, truth: str | int | float, ones: set[str]) -> None:
    result = compute_score("any", response, truth, extra_info={"index": 3}, reward_router_address=None)
    assert result == {key: float(key in ones) for key in KEYS}
    assert all(type(value) is float for value in result.values())


def test_a_ground_truth_that_is_no_answer_is_an_error() -> None:
    truth: Any = ["1"]
    with pytest.raises(ValueError, match=r"math500.*list"):
        compute_score("math500", r"\boxed{1}", truth)
