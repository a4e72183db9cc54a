"""95 % intervals by a paired bootstrap over problems. They still cover where almost nothing has happened.

Problems are drawn with replacement, and each brings all it has: every method's score and all its repeats. So
differences are paired, and what repeats of one problem have in common is not taken for evidence. Repeats are not drawn
again within a problem, because their noise is in the problem's mean already (Davison & Hinkley 1997, section 3.8;
Field & Welsh 2007).

The plain bootstrap is too narrow on few problems, for two reasons:

- Its variance is (P - 1) / P of what it should be. So P - 1 problems are drawn (Rao & Wu 1988).
- An event that no problem shows is in no resample. Where vote and refinement never differ, the plain interval is
  [0, 0]. So each resample also has, on average, one imagined response whose outcomes are flips of a fair coin. The
  adjusted intervals for proportions do the same (Agresti & Coull 1998; for paired ones Agresti & Min 2005). The
  imagined response has the weight of one response of a problem that has several.

`bench/coverage.py` shows what each of the two contributes.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2_000
_SEED = 20_250_900
_CHUNK = 2_000_000  # drawn problems that are in memory at once

# Outcomes of the imagined response, each with its probability.
Coin = tuple[tuple[float, float], ...]
RATE: Coin = ((0.0, 0.5), (1.0, 0.5))
DIFFERENCE: Coin = ((-1.0, 0.25), (0.0, 0.5), (1.0, 0.25))
AMOUNT: Coin = ()  # such as tokens: an amount has no ends, so there is no imagined response


@dataclass(frozen=True)
class Statistic:
    """A statistic of P problems: sum(part_P) / sum(whole_P), which is a plain mean if `whole_P` is 1 everywhere.

    Attributes:
        part_P, whole_P: numerator and denominator, problem by problem.
        responses: mean number of scored responses behind a problem's part.
        coin: RATE, DIFFERENCE or AMOUNT.
    """

    part_P: Floats
    whole_P: Floats
    responses: float = 1.0
    coin: Coin = RATE

    @property
    def value(self) -> float | None:
        """The statistic; None, undefined, if any part is NaN or the whole is 0.

        >>> Statistic(part_P=np.array([1.0, 0.0, 1.0]), whole_P=np.array([1.0, 1.0, 2.0])).value
        0.5
        """
        return float(self.part_P.sum() / self.whole_P.sum()) if self._is_defined() else None

    def _is_defined(self) -> bool:
        # Sums of shares such as 1/3 leave noise where there should be 0.
        return not np.isnan(self.part_P).any() and self.whole_P.sum() > 1e-12


Statistics = dict[str, Statistic]  # by name; a name with "/" is a path into the result of `all_metrics.evaluate`


class Estimate(NamedTuple):
    """A statistic's value and its 95 % interval; all None where the statistic is undefined."""

    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """The estimate in the form in which it is written to files."""
        return {"value": self.value, "ci_low": self.low, "ci_high": self.high}


def mean_statistic(values_P: Floats, responses: float = 1.0, coin: Coin = RATE) -> Statistic:
    """The mean of a value over P problems; see `Statistic`.

    >>> mean_statistic(np.array([1.0, 0.0, 0.0, 0.0])).value
    0.25
    """
    return Statistic(values_P, np.ones_like(values_P), responses, coin)


def resample(statistics: Mapping[str, Statistic], stream: str) -> dict[str, Floats]:
    """RESAMPLES resampled values of each statistic that is defined.

    The same problems are drawn for all statistics.

    Args:
        statistics: all of the same P problems, in the same order.
        stream: names the random stream. A statistic's resamples depend on this name and on its own, but on no other
            statistic and no other dataset.

    >>> resampled = resample({"tokens": mean_statistic(np.array([7.0, 7.0, 7.0]), coin=AMOUNT)}, stream="aime")
    >>> resampled["tokens"].shape, set(resampled["tokens"].tolist())
    ((2000,), {7.0})
    """
    defined = {name: statistic for name, statistic in statistics.items() if statistic.value is not None}
    if not defined:
        return {}
    columns = [column for statistic in defined.values() for column in (statistic.part_P, statistic.whole_P)]
    sums_BC = _drawn_sums(np.stack(columns, axis=1), stream)
    resampled = {}
    for number, (name, statistic) in enumerate(defined.items()):
        part_B, whole_B = sums_BC[:, 2 * number], sums_BC[:, 2 * number + 1]
        for outcome, share in statistic.coin:
            times_B = _rng(stream, name, str(outcome)).poisson(share / max(statistic.responses, 1.0), RESAMPLES)
            part_B, whole_B = part_B + outcome * times_B, whole_B + times_B
        resampled[name] = np.divide(part_B, whole_B, out=np.full(RESAMPLES, np.nan), where=whole_B > 1e-12)
    return resampled


def _drawn_sums(columns_PC: Floats, stream: str) -> Floats:
    """Sum of each column over the drawn problems: shape (B, C)."""
    rng, problems = _rng(stream), len(columns_PC)
    draws = max(problems - 1, 1)
    sums: list[Floats] = []
    step = max(_CHUNK // problems, 1)
    for first in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - first)
        drawn = rng.integers(problems, size=(rows, draws)) + problems * np.arange(rows)[:, None]
        times_BP = np.bincount(drawn.ravel(), minlength=rows * problems).reshape(rows, problems)
        sums.append(times_BP.astype(np.float64) @ columns_PC)
    return np.concatenate(sums)


def _rng(*names: str) -> np.random.Generator:
    return np.random.default_rng([_SEED, *(zlib.crc32(name.encode("utf-8", "surrogatepass")) for name in names)])


def interval(resampled_B: Floats) -> tuple[float, float]:
    """The middle 95 % of resampled values. Resamples in which the statistic is undefined (NaN) do not count.

    >>> interval(np.arange(1001.0))
    (25.0, 975.0)
    """
    low, high = np.nanpercentile(resampled_B, [2.5, 97.5])
    return float(low), float(high)


def estimate(
    by_dataset: Mapping[str, Mapping[str, Statistic]],
) -> tuple[dict[str, dict[str, Estimate]], dict[str, Estimate]]:
    """Each dataset's statistics with their intervals, and those of the unweighted mean over the datasets.

    The mean of a statistic is over the datasets that define it. Datasets are independent samples of problems: the
    resamples of their mean are the means of their resamples.

    Returns:
        {dataset: {name: estimate}} and {name: estimate of the mean}.

    >>> gap = mean_statistic(np.array([1.0, 0.0, 0.0, 0.0]), coin=DIFFERENCE)
    >>> estimates, mean = estimate({"aime": {"gap": gap}, "math": {"gap": mean_statistic(np.array([0.5, 0.5]))}})
    >>> estimates["aime"]["gap"].value, mean["gap"].value
    (0.25, 0.375)
    >>> estimates["aime"]["gap"].low < 0.25 < estimates["aime"]["gap"].high
    True
    """
    estimates: dict[str, dict[str, Estimate]] = {}
    values: dict[str, list[float]] = {}
    resamples: dict[str, list[Floats]] = {}
    for dataset, statistics in by_dataset.items():
        resampled = resample(statistics, dataset)
        estimates[dataset] = {}
        for name, statistic in statistics.items():
            estimates[dataset][name] = _estimate(statistic.value, resampled.get(name))
            values.setdefault(name, [])
            if statistic.value is not None:
                values[name].append(statistic.value)
                resamples.setdefault(name, []).append(resampled[name])
    macro = {
        name: _estimate(sum(defined) / len(defined), np.mean(resamples[name], axis=0))
        if defined
        else _estimate(None, None)
        for name, defined in values.items()
    }
    return estimates, macro


def _estimate(value: float | None, resampled_B: Floats | None) -> Estimate:
    if value is None or resampled_B is None:
        return Estimate(None, None, None)
    return Estimate(value, *interval(resampled_B))
