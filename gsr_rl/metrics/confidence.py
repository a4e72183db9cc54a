"""95 % intervals: a paired bootstrap over problems, which still covers where next to nothing has happened.

Problems are drawn with replacement and bring all they have: every method's score, and all repeats. So differences are
paired, and what repeats of a problem have in common is not taken for evidence. Repeats are not drawn again inside a
problem, since their noise is in its mean already (Davison & Hinkley 1997, section 3.8; Field & Welsh 2007).

Two things make the plain bootstrap too narrow on few problems. Its variance is (P - 1) / P of what it should be: P - 1
problems are drawn (Rao & Wu 1988). And what no problem shows no resample shows: where vote and refinement
never differ its interval is [0, 0]. So each resample also has, on average, one imagined response whose outcomes are the
flips of a fair coin, as in the adjusted intervals for proportions (Agresti & Coull 1998; for paired ones Agresti & Min
2005). It weighs as much as one response of a problem that has several. `bench/coverage.py` shows what either brings.
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
_CHUNK = 2_000_000  # drawn problems at a time: what they take in memory

# outcomes of the imagined response, and how likely they are
Coin = tuple[tuple[float, float], ...]
RATE: Coin = ((0.0, 0.5), (1.0, 0.5))
DIFFERENCE: Coin = ((-1.0, 0.25), (0.0, 0.5), (1.0, 0.25))
AMOUNT: Coin = ()  # such as tokens: without ends


@dataclass(frozen=True)
class Figure:
    """A figure over P problems: sum(part_P) / sum(whole_P), a plain mean if `whole_P` is 1 everywhere.

    Undefined, None, if any part is NaN or there is no whole. `responses` is the mean number of scored responses behind
    a problem's part; `coin` says what sort of figure it is.
    """

    part_P: Floats
    whole_P: Floats
    responses: float = 1.0
    coin: Coin = RATE

    @property
    def value(self) -> float | None:
        # sums of shares such as 1/3 leave noise where there should be nothing
        return float(self.part_P.sum() / self.whole_P.sum()) if self._is_defined() else None

    def _is_defined(self) -> bool:
        return not np.isnan(self.part_P).any() and self.whole_P.sum() > 1e-12


class Estimate(NamedTuple):
    """A figure and its 95 % interval; all None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        return {"value": self.value, "ci_low": self.low, "ci_high": self.high}


def mean_figure(values_P: Floats, responses: float = 1.0, coin: Coin = RATE) -> Figure:
    return Figure(values_P, np.ones_like(values_P), responses, coin)


def resample(figures: Mapping[str, Figure], stream: str) -> dict[str, Floats]:
    """2,000 resampled values of each figure that is defined; all figures are over the same P problems, in one order.

    The same problems are drawn for all figures. `stream` names the random stream, so that a figure's resamples hang on
    neither the other figures nor the other datasets.
    """
    defined = {name: figure for name, figure in figures.items() if figure.value is not None}
    if not defined:
        return {}
    sums_CF = _drawn_sums(np.stack([c for f in defined.values() for c in (f.part_P, f.whole_P)], axis=1), stream)
    resampled = {}
    for number, (name, figure) in enumerate(defined.items()):
        part, whole = sums_CF[:, 2 * number], sums_CF[:, 2 * number + 1]
        for outcome, share in figure.coin:
            times = _rng(stream, name, str(outcome)).poisson(share / max(figure.responses, 1.0), RESAMPLES)
            part, whole = part + outcome * times, whole + times
        resampled[name] = np.divide(part, whole, out=np.full(RESAMPLES, np.nan), where=whole > 1e-12)
    return resampled


def _drawn_sums(columns_PC: Floats, stream: str) -> Floats:
    """Sums over the drawn problems of each column: RESAMPLES rows."""
    rng, problems = _rng(stream), len(columns_PC)
    draws = max(problems - 1, 1)
    sums: list[Floats] = []
    step = max(_CHUNK // problems, 1)
    for first in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - first)
        drawn = rng.integers(problems, size=(rows, draws)) + problems * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * problems).reshape(rows, problems)
        sums.append(times.astype(np.float64) @ columns_PC)
    return np.concatenate(sums)


def _rng(*names: str) -> np.random.Generator:
    return np.random.default_rng([_SEED, *(zlib.crc32(name.encode("utf-8", "surrogatepass")) for name in names)])


def interval(resampled: Floats) -> tuple[float, float]:
    """The middle 95 % of resampled values; those in which the figure was undefined do not count."""
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def estimate(
    by_dataset: Mapping[str, Mapping[str, Figure]],
) -> tuple[dict[str, dict[str, Estimate]], dict[str, Estimate]]:
    """Each dataset's figures with their intervals, and those of the unweighted mean over the datasets that define them.

    The datasets are independent samples of problems: the resamples of their mean are the means of theirs.
    """
    estimates: dict[str, dict[str, Estimate]] = {}
    values: dict[str, list[float]] = {}
    resamples: dict[str, list[Floats]] = {}
    for dataset, figures in by_dataset.items():
        resampled = resample(figures, dataset)
        estimates[dataset] = {}
        for name, figure in figures.items():
            estimates[dataset][name] = _estimate(figure.value, resampled.get(name))
            values.setdefault(name, [])
            if figure.value is not None:
                values[name].append(figure.value)
                resamples.setdefault(name, []).append(resampled[name])
    macro = {
        name: _estimate(sum(defined) / len(defined), np.mean(resamples[name], axis=0))
        if defined
        else _estimate(None, None)
        for name, defined in values.items()
    }
    return estimates, macro


def _estimate(value: float | None, resampled: Floats | None) -> Estimate:
    if value is None or resampled is None:
        return Estimate(None, None, None)
    return Estimate(value, *interval(resampled))
