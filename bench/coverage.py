"""How often 95 % intervals hold the truth: ours and textbook ones, over simulated evaluations whose truth is known.

    python bench/coverage.py [--evaluations 2000] [--problems 30 200 500]

A model is a distribution of problems. The probability that a candidate is right is drawn from a beta distribution.
Wrong candidates give the same popular wrong answer with some probability. The more candidates are right, the more
likely the refinement is right. Each evaluation draws its problems, K = 4 candidates for each, and refinements. The
bench counts how often the interval holds the mean over all problems that could have been drawn.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from dataclasses import dataclass
from math import comb
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gsr_rl.metrics.confidence import DIFFERENCE, RATE, RESAMPLES, Statistic, interval, resample

Floats = NDArray[np.float64]
K = 4
NORMAL = NormalDist()
STUDENT = {30: 2.0452, 200: 1.9720, 500: 1.9647}  # 97.5 % points with n - 1 degrees of freedom


@dataclass(frozen=True)
class Model:
    name: str
    difficulty: tuple[float, float]  # beta distribution of the probability that a candidate is right
    attraction: float  # probability that a wrong candidate gives the popular wrong answer
    refined: tuple[float, float, float]  # probability that the refinement is right: at 0 of K, at K of K, and the bend


MODELS = (
    Model("even", (1, 1), 0.5, (0.08, 0.98, 0.5)),
    Model("hard", (0.3, 1.2), 0.3, (0.05, 0.95, 0.5)),
    Model("easy", (4, 0.5), 0.5, (0.1, 0.995, 0.4)),
    Model("either easy or hard", (0.15, 0.15), 0.5, (0.02, 0.998, 0.5)),
    Model("worse than the vote", (0.5, 0.5), 0.6, (0.01, 0.999, 1.2)),
)


def vote(right: int, popular: int) -> float:
    """maj@K of a set whose other wrong answers all differ."""
    others = K - right - popular
    sizes = [right, popular] + [1] * others
    return (right == max(sizes)) / sizes.count(max(sizes)) if right else 0.0


VOTE = np.array([[vote(r, p) if r + p <= K else 0.0 for p in range(K + 1)] for r in range(K + 1)])


def refined(model: Model) -> Floats:
    low, high, bend = model.refined
    return low + (high - low) * (np.arange(K + 1) / K) ** bend


def sums(maj: Floats, selfref: Floats, none_right: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Part and whole of each statistic."""
    ones = np.ones_like(maj)
    return {
        "gap": (selfref - maj, ones),
        "selfref@4": (selfref, ones),
        "right to wrong": (maj * (1 - selfref), maj),
        "all-wrong recovery": (none_right * selfref, none_right),
    }


def truth(model: Model, rng: np.random.Generator) -> dict[str, float]:
    """The true statistics: exact for each problem, averaged over a million problems."""
    p = rng.beta(*model.difficulty, 1_000_000)
    totals: dict[str, tuple[float, float]] = {}
    for right in range(K + 1):
        for popular in range(K - right + 1):
            chance = comb(K, right) * (p**right * (1 - p) ** (K - right)).mean() * comb(K - right, popular)
            chance *= model.attraction**popular * (1 - model.attraction) ** (K - right - popular)
            outcome = sums(VOTE[right, popular], refined(model)[right], np.float64(right == 0))
            for name, (part, whole) in outcome.items():
                before = totals.get(name, (0.0, 0.0))
                totals[name] = before[0] + chance * part, before[1] + chance * whole
    return {name: part / whole for name, (part, whole) in totals.items()}


def simulate(
    model: Model, shape: tuple[int, int], repeats: int, m: int, rng: np.random.Generator
) -> dict[str, tuple[Floats, Floats]]:
    """Part and whole of each statistic, shape (evaluations, problems); means over the repeats of a problem."""
    p = rng.beta(*model.difficulty, shape)
    totals: dict[str, tuple[Floats, Floats]] = {}
    for _ in range(repeats):
        right = rng.binomial(K, p)
        popular = rng.binomial(K - right, model.attraction)
        selfref = rng.binomial(m, refined(model)[right]) / m
        for name, (part, whole) in sums(VOTE[right, popular], selfref, (right == 0).astype(float)).items():
            before = totals.get(name, (0.0, 0.0))
            totals[name] = before[0] + part / repeats, before[1] + whole / repeats
    return totals


def ours(part: Floats, whole: Floats, responses: int, of_gap: bool) -> tuple[Floats, Floats]:
    coin = DIFFERENCE if of_gap else RATE
    statistics = {str(i): Statistic(*rows, responses, coin) for i, rows in enumerate(zip(part, whole, strict=True))}
    found = resample(statistics, "coverage")
    pairs = [interval(found[name]) if name in found else (np.nan, np.nan) for name in statistics]
    low, high = np.array(pairs).T
    return low, high


def textbook(gap: Floats, rng: np.random.Generator) -> dict[str, tuple[Floats, Floats]]:
    """Intervals of each row's mean: percentile, BCa, studentised bootstrap (Efron & Tibshirani 1993), Student's t."""
    n = gap.shape[1]
    mean, error = gap.mean(axis=1), gap.std(axis=1, ddof=1) / np.sqrt(n)
    times = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    means = np.sort(gap @ times.T, axis=1)
    ends = np.percentile(means, [2.5, 97.5], axis=1)
    below = (means < mean[:, None]).mean(axis=1) + (means == mean[:, None]).mean(axis=1) / 2
    bias = np.array([NORMAL.inv_cdf(share) for share in below.clip(1 / RESAMPLES, 1 - 1 / RESAMPLES)])
    centred = gap - mean[:, None]
    acceleration = (centred**3).sum(axis=1) / (6 * ((centred**2).sum(axis=1) + 1e-12) ** 1.5)
    bca = []
    for z in (-1.96, 1.96):
        at = bias + (bias + z) / (1 - acceleration * (bias + z))
        rank = np.array([NORMAL.cdf(quantile) for quantile in at]) * RESAMPLES
        bca.append(np.take_along_axis(means, rank.astype(int).clip(0, RESAMPLES - 1)[:, None], axis=1)[:, 0])
    unsorted = gap @ times.T
    errors = np.sqrt(np.maximum((gap**2) @ times.T - unsorted**2, 0) / (n - 1))
    away = unsorted - mean[:, None]
    ratio = np.divide(away, errors, out=np.sign(away) * 1e9, where=errors > 1e-9)
    low_t, high_t = np.percentile(ratio, [2.5, 97.5], axis=1)
    wide = STUDENT[n] * error
    return {
        "percentile": (ends[0], ends[1]),
        "BCa": (bca[0], bca[1]),
        "bootstrap-t": (np.maximum(mean - high_t * error, -1), np.minimum(mean - low_t * error, 1)),
        "Student's t": (mean - wide, mean + wide),
    }


def macro(evaluations: int, rng: np.random.Generator, truths: dict[str, dict[str, float]]) -> str:
    """Coverage of the mean gap over five benchmarks of the sizes of AIME 24 and 25, AMC, MATH500 and OlympiadBench."""
    sizes = dict(zip(MODELS, (30, 30, 83, 500, 674), strict=True))
    totals = np.zeros((evaluations, RESAMPLES))
    for model, n in sizes.items():
        gap, whole = simulate(model, (evaluations, n), 1, 1, rng)["gap"]
        statistics = {str(i): Statistic(*rows, 1, DIFFERENCE) for i, rows in enumerate(zip(gap, whole, strict=True))}
        totals += np.stack(list(resample(statistics, model.name).values())) / len(sizes)
    low, high = np.array([interval(row) for row in totals]).T
    return covered((low, high), sum(truths[model.name]["gap"] for model in sizes) / len(sizes))


def covered(ends: tuple[Floats, Floats], value: float) -> str:
    defined = ~np.isnan(ends[0])
    holds = (ends[0] <= value + 1e-12) & (value - 1e-12 <= ends[1])
    return f"{100 * holds[defined].mean():.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=2_000)
    parser.add_argument("--problems", type=int, nargs="+", choices=list(STUDENT), default=list(STUDENT))
    options = parser.parse_args()
    rng, start = np.random.default_rng(0), time.perf_counter()
    truths = {model.name: truth(model, rng) for model in MODELS}
    print(
        "| problems | model | true gap | repeats x refinements | percentile | BCa | bootstrap-t | Student's t | ours |"
    )
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    others = []
    for n in options.problems:
        for model in MODELS:
            for repeats, m in ((1, 1), (4, 4)):
                drawn = simulate(model, (options.evaluations, n), repeats, m, rng)
                real, gap = truths[model.name], drawn["gap"][0]
                methods = textbook(gap, rng) | {"ours": ours(*drawn["gap"], repeats * m, of_gap=True)}
                cells = " | ".join(covered(ends, real["gap"]) for ends in methods.values())
                print(f"| {n} | {model.name} | {100 * real['gap']:+.1f} | {repeats} x {m} | {cells} |", flush=True)
                if repeats == 1:
                    rates = [covered(ours(*drawn[name], m, of_gap=False), real[name]) for name in list(drawn)[1:]]
                    others.append(f"| {n} | {model.name} | {' | '.join(rates)} |")
    print(
        "\n| problems | model | selfref@4 | right to wrong | all-wrong recovery |\n| ---: | --- | ---: | ---: | ---: |"
    )
    print("\n".join(others))
    print(f"\nThe mean gap over five benchmarks: {macro(options.evaluations, rng, truths)}")
    print(f"\n{options.evaluations} evaluations a row, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
