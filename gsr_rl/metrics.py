"""Metrics of self-refinement over episodes: pass@k, maj@K, selfRef@K, the Refinement Gap and its transitions.

Refinement Gap (GSR, arXiv 2509.00084): selfRef@K - maj@K of the same candidate sets, in accuracy, not relative.
All rates are fractions from 0 to 1; None stands for a rate that has no cases.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.voting import majority_score, plurality
from rewards.answers import equivalent

Scores = dict[str, float | None]
Summary = dict[str, dict[str, float | None]]
Floats = NDArray[np.float64]

MACRO = "macro"
_RESAMPLES = 2_000
_SEED = 20_250_900
_COUNTS = ("n", "all_wrong_n")
# the columns of one row that `summarize` averages over the repeats of a problem
_COLUMNS = ("pass@1", "pass@k", "maj@k", "maj@k+1", "selfref@k", "all_wrong", "recovered", "broken", "mended")


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that k responses, drawn without replacement from n of which c are correct, hold a correct one.

    Source: Chen et al. 2021 (arXiv 2107.03374), equation 1.

    Raises:
        UsageError: not 0 <= c <= n, or not 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise UsageError(f"pass@k of n={n}, c={c}, k={k}: needs 0 <= c <= n and 1 <= k <= n")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def episode_scores(episode: Episode, k: int | None = None) -> Scores:
    """Scores of one candidate set, of its first k candidates if k is given; each is an expectation, 0 to 1, or None.

    "pass@1" is the share of correct candidates, "pass@k" 1 if any is, "maj@k" the majority vote's score, "maj@k+1" the
    same with the first extra candidate (None without one), "selfref@k" the share of correct refinements (None without
    any, or if they saw more than k candidates). The rest are joint shares: "all_wrong" (no candidate correct),
    "recovered" (and the refinement correct), "broken" (majority right, refinement wrong), "mended" (the reverse).

    Raises:
        UsageError: the episode has no candidates, or fewer than k.
    """
    size = len(episode.candidates)
    k = size if k is None else k
    if not 1 <= k <= size:
        raise UsageError(f"episode {episode.dataset}/{episode.id} has {size} candidates; k={k} must be from 1 to that")
    candidates, extra = episode.candidates[:k], episode.extra_candidates[:1]
    majority = majority_score([r.answer for r in candidates], [r.correct for r in candidates])
    correct = sum(r.correct for r in candidates)
    scores: Scores = dict.fromkeys(_COLUMNS)
    scores |= {"pass@1": correct / k, "pass@k": float(correct > 0), "maj@k": majority, "all_wrong": float(correct == 0)}
    if extra:
        voters = candidates + extra
        scores["maj@k+1"] = majority_score([r.answer for r in voters], [r.correct for r in voters])
    if episode.refinements and k == size:
        refined = sum(r.correct for r in episode.refinements) / len(episode.refinements)
        scores |= {"selfref@k": refined, "recovered": refined if correct == 0 else 0.0}
        scores |= {"broken": majority * (1 - refined), "mended": (1 - majority) * refined}
    return scores


def summarize(episodes: Sequence[Episode], k: int | None = None) -> Summary:
    """Metrics per dataset, and under "macro" their unweighted mean over the datasets in which they are defined.

    Args:
        episodes: rows with the same (dataset, id) are repeats of one problem and averaged first, so that each problem
            weighs the same.
        k: size of the candidate sets; by default the one that all rows share. With a smaller k the first k candidates
            of each row count, and there is no refinement to score, since it saw them all.

    Returns:
        {dataset: {"n" (problems), "k", "pass@1", "pass@K", "maj@K", "maj@K+1", "selfref@K", "refinement_gap", "ci_low",
        "ci_high", "all_wrong_n" (sets), "all_wrong_recovery", "right_to_wrong", "wrong_to_right"}} with K as a number.
        ci_*: 95 % percentile bootstrap of the gap over problems, fixed seed; "macro" resamples within each dataset.
        right_to_wrong: share of refinements wrong where the majority is right, a tied vote counting by its share.
        maj@K+1 is None unless every row has an extra candidate; n and all_wrong_n of "macro" are totals.

    Raises:
        UsageError: no rows; a dataset called "macro"; rows of unequal K without k; a row with fewer than k candidates;
            refinements in some rows only, which would compare different sets.
    """
    _check(episodes, k)
    k = len(episodes[0].candidates) if k is None else k
    with_extra = all(episode.extra_candidates for episode in episodes)
    by_dataset: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_dataset.setdefault(episode.dataset, []).append(episode)

    summary: Summary = {}
    macro_means: list[Floats] = []
    for dataset, rows in sorted(by_dataset.items()):
        table, all_wrong_n = _problem_table(rows, k)
        if not with_extra:
            table["maj@k+1"][:] = np.nan
        gap_means = _resampled_means(table["selfref@k"] - table["maj@k"], dataset)
        macro_means.append(gap_means)
        summary[dataset] = _dataset_summary(table, k, all_wrong_n) | _interval(gap_means)
    keys = next(iter(summary.values()))
    macro = {key: _mean_defined([row[key] for row in summary.values()]) for key in keys}
    macro |= {key: sum(row[key] or 0 for row in summary.values()) for key in _COUNTS} | {"k": k}
    defined = [means for means in macro_means if not np.isnan(means).any()]
    summary[MACRO] = macro | _interval(np.mean(defined or macro_means, axis=0))
    return summary


def _check(episodes: Sequence[Episode], k: int | None) -> None:
    if not episodes:
        raise UsageError("no episodes to summarize; give at least one")
    if any(episode.dataset == MACRO for episode in episodes):
        raise UsageError(f'dataset "{MACRO}" is the name of the mean over datasets; rename it')
    sizes = {len(episode.candidates) for episode in episodes}
    if k is None and len(sizes) > 1:
        raise UsageError(f"rows have {min(sizes)} to {max(sizes)} candidates; choose k, at most {min(sizes)}")
    refined = sum(bool(episode.refinements) for episode in episodes)
    if 0 < refined < len(episodes):
        raise UsageError(
            f"{len(episodes) - refined} of {len(episodes)} rows have no refinement, so that selfref and maj would be "
            "of different sets; keep only rows with refinements, or remove the refinements"
        )


def _problem_table(rows: Sequence[Episode], k: int) -> tuple[dict[str, Floats], int]:
    """Columns of P problems, each the mean over the problem's rows (NaN where undefined), and the all-wrong rows."""
    scores = [episode_scores(episode, k) for episode in rows]
    index = {name: number for number, name in enumerate(dict.fromkeys(episode.id for episode in rows))}
    problem = np.array([index[episode.id] for episode in rows])
    repeats = np.bincount(problem)
    table: dict[str, Floats] = {}
    for column in _COLUMNS:
        values = np.array([row[column] for row in scores], dtype=np.float64)  # None becomes NaN
        table[column] = np.bincount(problem, weights=values) / repeats
    return table, sum(row["all_wrong"] == 1.0 for row in scores)


def _dataset_summary(table: dict[str, Floats], k: int, all_wrong_n: int) -> dict[str, float | None]:
    mean = {column: float(values.mean()) for column, values in table.items()}
    rates = {
        "pass@1": mean["pass@1"],
        f"pass@{k}": mean["pass@k"],
        f"maj@{k}": mean["maj@k"],
        f"maj@{k + 1}": mean["maj@k+1"],
        f"selfref@{k}": mean["selfref@k"],
        "refinement_gap": mean["selfref@k"] - mean["maj@k"],
        "all_wrong_recovery": _ratio(mean["recovered"], mean["all_wrong"]),
        "right_to_wrong": _ratio(mean["broken"], mean["maj@k"]),
        "wrong_to_right": _ratio(mean["mended"], 1.0 - mean["maj@k"]),
    }
    return {"n": len(table["pass@1"]), "k": k, "all_wrong_n": all_wrong_n} | {
        key: None if math.isnan(rate) else rate for key, rate in rates.items()
    }


def _ratio(cases: float, of: float) -> float:
    # a mean of exact 0s and 1s is exact; a tied vote leaves rounding noise in 1 - maj
    return cases / of if of > 1e-12 else math.nan


def _resampled_means(gap_P: Floats, dataset: str) -> Floats:
    """Means of 2,000 resamples of P problems; the stream hangs on the dataset alone, whatever else is in the file."""
    rng = np.random.default_rng([_SEED, zlib.crc32(dataset.encode())])
    size = len(gap_P)
    return np.array([gap_P[rng.integers(size, size=size)].mean() for _ in range(_RESAMPLES)])


def _interval(means: Floats) -> dict[str, float | None]:
    if np.isnan(means).any():
        return {"ci_low": None, "ci_high": None}
    low, high = np.percentile(means, [2.5, 97.5])
    return {"ci_low": float(low), "ci_high": float(high)}


def _mean_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def selfref_change(before: Sequence[Episode], after: Sequence[Episode]) -> dict[str, float | None]:
    """How far training has moved selfRef@K, paired over the problems that both were asked.

    Returns:
        {"n" (problems), "change" (after - before), "ci_low", "ci_high"}: 95 % percentile bootstrap over problems, as of
        the gap; None where n is 0. Rows of the same problem are averaged first.
    """
    means = [_selfref_by_problem(episodes) for episodes in (before, after)]
    asked = [problem for problem in means[0] if problem in means[1]]
    if not asked:
        return {"n": 0, "change": None, "ci_low": None, "ci_high": None}
    change_P = np.array([means[1][problem] - means[0][problem] for problem in asked])
    return {"n": len(asked), "change": float(change_P.mean())} | _interval(_resampled_means(change_P, "change"))


def _selfref_by_problem(episodes: Sequence[Episode]) -> dict[tuple[str, str], float]:
    rows: dict[tuple[str, str], list[float]] = {}
    for episode in episodes:
        if episode.refinements:
            correct = [one.correct for one in episode.refinements]
            rows.setdefault((episode.dataset, episode.id), []).append(sum(correct) / len(correct))
    return {problem: sum(shares) / len(shares) for problem, shares in rows.items()}


def accuracy_by_correct(episodes: Sequence[Episode]) -> list[dict[str, float | None]]:
    """Accuracy of the refinement by the number of correct candidates (GSR, arXiv 2509.00084, analyses this as N_c).

    Returns:
        One row for each count 0..K: {"correct", "n" (sets with refinements), "accuracy" (None if n is 0)}; several
        refinements of a set are averaged first.
    """
    sets: list[list[float]] = [[] for _ in range(max((len(e.candidates) for e in episodes), default=0) + 1)]
    for episode in episodes:
        if episode.refinements:
            count = sum(r.correct for r in episode.candidates)
            sets[count].append(sum(r.correct for r in episode.refinements) / len(episode.refinements))
    return [{"correct": c, "n": len(hits), "accuracy": _mean_defined(hits)} for c, hits in enumerate(sets)]


def refinement_agreement(episodes: Sequence[Episode]) -> dict[str, float | None]:
    """Controls: does the refiner copy the majority, or write something new?

    Returns:
        {"n" (sets with refinements), "majority": share of refinements whose answer is the plurality answer, a tie of t
        classes counting 1/t, "novel": share whose answer is that of no candidate, "no_answer": share without an answer,
        which is neither}; shares are averaged over the refinements of a set, then over sets; None if n is 0.
    """
    rows = [np.mean([_agreement(e, r.answer) for r in e.refinements], axis=0) for e in episodes if e.refinements]
    if not rows:
        return {"n": 0, "majority": None, "novel": None, "no_answer": None}
    majority, novel, no_answer = (float(share) for share in np.mean(rows, axis=0))
    return {"n": len(rows), "majority": majority, "novel": novel, "no_answer": no_answer}


def refinement_controls(episodes: Sequence[Episode]) -> dict[str, float | None]:
    """Controls: does the refiner use its candidates, or just solve the problem again?

    Returns:
        {"direct_again": accuracy of direct responses that the refiner did not see, "selfref_swapped": accuracy of
        refinements that were given the candidates of another problem, "swapped_n": rows with such}; averaged over the
        responses of a row, then over rows; None if there are none. selfRef@K means something where it is above both.
    """
    return {
        "direct_again": _accuracy([episode.extra_candidates for episode in episodes]),
        "selfref_swapped": _accuracy([episode.swapped_refinements for episode in episodes]),
        "swapped_n": sum(bool(episode.swapped_refinements) for episode in episodes),
    }


def _accuracy(rows: Sequence[Sequence[Response]]) -> float | None:
    return _mean_defined([sum(one.correct for one in row) / len(row) for row in rows if row])


def _agreement(episode: Episode, answer: str | None) -> tuple[float, float, float]:
    if answer is None:
        return 0.0, 0.0, 1.0
    answers = [r.answer for r in episode.candidates]
    tied = plurality(answers)
    winners = [answers[members[0]] for members in tied]
    agrees = any(winner is not None and equivalent(winner, answer) for winner in winners)
    novel = not any(other is not None and equivalent(other, answer) for other in answers)
    return (1.0 / len(tied) if agrees else 0.0), float(novel), 0.0
