"""gsr_rl.metrics.confidence: against exact distributions, normal theory and simulated truth."""

import math
from itertools import product

import numpy as np
import pytest

from gsr_rl.metrics.confidence import AMOUNT, DIFFERENCE, RATE, Statistic, estimate, interval, mean_statistic, resample


def statistic_of(
    values: list[float], responses: float = 1.0, coin: tuple[tuple[float, float], ...] = RATE
) -> Statistic:
    return mean_statistic(np.array(values), responses, coin)


def exact_quantile(values: list[float], responses: float, coin: tuple[tuple[float, float], ...], share: float) -> float:
    """A quantile over two problems: one is drawn, with Poisson numbers of imagined responses of each outcome."""
    chances: dict[float, float] = {}
    for value in values:
        for times in product(range(9), repeat=len(coin)):
            chance = 1 / len(values)
            for (_, part), n in zip(coin, times, strict=True):
                rate = part / responses
                chance *= math.exp(-rate) * rate**n / math.factorial(n)
            mean = (value + sum(outcome * n for (outcome, _), n in zip(coin, times, strict=True))) / (1 + sum(times))
            chances[mean] = chances.get(mean, 0.0) + chance
    total = 0.0
    for mean in sorted(chances):
        total += chances[mean]
        if total >= share:
            return mean
    raise AssertionError("the chances do not add up to 1")


@pytest.mark.parametrize(
    ("values", "responses", "coin"),
    [([-1.0, 0.5], 1.0, DIFFERENCE), ([0.0, 0.0], 2.0, DIFFERENCE), ([0.0, 1.0], 4.0, RATE), ([1.0, 1.0], 1.0, RATE)],
)
def test_two_problems_exactly(values: list[float], responses: float, coin: tuple[tuple[float, float], ...]) -> None:
    found = np.sort(resample({"x": statistic_of(values, responses, coin)}, "toy")["x"])
    # 2,000 draws: the share below a quantile is within 4 standard errors of sqrt(q (1 - q) / 2000)
    for q in (0.025, 0.25, 0.5, 0.75, 0.975):
        error = 4 * math.sqrt(q * (1 - q) / 2_000)
        low, high = (exact_quantile(values, responses, coin, share) for share in (q - error, q + error))
        assert low <= found[int(2_000 * q)] <= high, q


def test_against_the_normal_interval() -> None:
    # 400 gaps, a quarter of them 1 and the rest 0: standard error sqrt(.25 * .75 / 400) = 0.02165
    low, high = interval(resample({"gap": statistic_of([1.0, 0, 0, 0] * 100, coin=DIFFERENCE)}, "toy")["gap"])
    assert (low, high) == pytest.approx((0.25 - 1.96 * 0.02165, 0.25 + 1.96 * 0.02165), abs=0.004)


def test_a_ratio_against_its_linear_approximation() -> None:
    # 600 problems, of which 200 are cases, half of them hits: 0.5 with standard error sqrt(.5 * .5 / 200) = 0.0354
    whole = np.array([1.0, 0.0, 0.0] * 200)
    part = whole * np.array([1.0, 0, 0, 0, 0, 0] * 100)
    estimates, _ = estimate({"toy": {"ratio": Statistic(part, whole)}})
    ratio = estimates["toy"]["ratio"]
    assert ratio.value == pytest.approx(0.5)
    assert (ratio.low, ratio.high) == pytest.approx((0.5 - 1.96 * 0.0354, 0.5 + 1.96 * 0.0354), abs=0.008)


def test_repeats_count_for_less_than_problems() -> None:
    """100 problems, always or never right: 16 repeats of each leave the interval as wide as one repeat does."""
    values = [1.0, 0.0] * 50
    once, often = (resample({"x": statistic_of(values, n)}, "toy")["x"] for n in (1, 16))
    widths = [high - low for low, high in map(interval, (once, often))]
    # standard error sqrt(.25 / 100) = 0.05, of 99 draws
    assert widths == pytest.approx([2 * 1.96 * 0.05] * 2, rel=0.06)


def test_where_nothing_happened_the_interval_is_not_empty() -> None:
    low, high = interval(resample({"gap": statistic_of([0.0] * 30, coin=DIFFERENCE)}, "toy")["gap"])
    assert -0.08 < low < 0 < high < 0.08
    # a refinement in 16 of each problem is less to be surprised at
    low, high = interval(resample({"gap": statistic_of([0.0] * 30, 16, DIFFERENCE)}, "toy")["gap"])
    assert (low, high) == (0, 0)
    # an amount is not a matter of chance between two ends
    assert interval(resample({"tokens": statistic_of([7.0] * 30, coin=AMOUNT)}, "toy")["tokens"]) == (7, 7)


def test_statistics_are_paired_and_independent_of_each_other() -> None:
    """The same problems are drawn for all statistics of a dataset, whatever others there are."""
    rng = np.random.default_rng(0)
    x, y = rng.random(50), rng.random(50)
    amounts = {name: mean_statistic(v, coin=AMOUNT) for name, v in (("x", x), ("y", y), ("difference", x - y))}
    found = resample(amounts, "toy")
    assert found["difference"] == pytest.approx(found["x"] - found["y"])
    assert resample({"y": amounts["y"]}, "toy")["y"] == pytest.approx(found["y"])
    assert not np.array_equal(resample(amounts, "other")["x"], found["x"])


def test_undefined_statistics() -> None:
    statistics = {"nan": statistic_of([0.5, math.nan]), "empty": Statistic(np.zeros(2), np.zeros(2))}
    others = {"nan": statistic_of([0.5, 0.5]), "empty": statistics["empty"]}
    estimates, macro = estimate({"toy": statistics, "other": others})
    assert estimates["toy"]["nan"] == (None, None, None)
    assert estimates["toy"]["empty"] == macro["empty"] == (None, None, None)
    assert macro["nan"].value == 0.5  # of the other dataset alone


def test_the_mean_of_two_datasets() -> None:
    # variances .25 / 400 and .1875 / 100: the mean's standard error is half the root of their sum
    statistics = {"x": {"a": statistic_of([1.0, 0.0] * 200)}, "y": {"a": statistic_of([1.0, 0, 0, 0] * 25)}}
    _, macro = estimate(statistics)
    error = math.sqrt(0.25 / 400 + 0.1875 / 100) / 2
    assert macro["a"].value == pytest.approx((0.5 + 0.25) / 2)
    assert (macro["a"].low, macro["a"].high) == pytest.approx((0.375 - 1.96 * error, 0.375 + 1.96 * error), abs=0.01)


def test_many_problems_are_drawn_in_parts() -> None:
    values = np.random.default_rng(1).random(3_000)  # two parts of RESAMPLES
    low, high = interval(resample({"x": mean_statistic(values, coin=AMOUNT)}, "toy")["x"])
    error = values.std(ddof=1) / math.sqrt(3_000)
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.2 * error)


@pytest.mark.parametrize(("n", "fixed", "lost"), [(200, 0.12, 0.07), (30, 0.12, 0.07), (30, 0.03, 0.02)])
def test_coverage(n: int, fixed: float, lost: float) -> None:
    """500 evaluations in which a problem is fixed or lost with known chances: the truth is the difference."""
    rng = np.random.default_rng(n)
    gaps = rng.choice([1.0, -1.0, 0.0], p=[fixed, lost, 1 - fixed - lost], size=(500, n))
    found = resample({str(i): mean_statistic(row, coin=DIFFERENCE) for i, row in enumerate(gaps)}, "coverage")
    ends = [interval(values) for values in found.values()]
    share = sum(low <= fixed - lost <= high for low, high in ends) / len(ends)
    # the standard error of a share of 95 % of 500 is 1 %; rare events leave steps, and the interval errs to the wide
    assert 0.93 < share < (0.97 if n == 200 else 1.0), share
