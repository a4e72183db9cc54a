"""What selfRef@K is measured against: other methods on the same responses, what each costs, and all of it by k."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.confidence import AMOUNT, DIFFERENCE, Figure, Floats, mean_figure
from gsr_rl.metrics.estimators import best_at_each, maj_at_each, pass_at_each
from gsr_rl.metrics.gap import Problems, core_figures, share_correct

Figures = dict[str, Figure]

_MOST_K = 64  # of the sweep


def method_figures(problems: Problems, k: int) -> Figures:
    """Those of `core_figures`, and its rivals.

    "equal_budget_gap" is selfref@K - maj@(K+1). first@K: candidates are sampled one after the other until one has an
    answer, at most K. shortest@K: they are sampled at once, and the first that ends with an answer counts (Agarwal et
    al. 2025, arXiv 2505.18149; Hassid et al. 2025, arXiv 2505.17813). bon@K: the best by `Response.score`, where all
    have one. First and shortest are None with a `k` below the number of candidates.
    """
    figures = core_figures(problems, k)
    selfref, rival = figures[f"selfref@{k}"], figures[f"maj@{k + 1}"]
    figures["equal_budget_gap"] = mean_figure(selfref.part_P - rival.part_P, selfref.responses, DIFFERENCE)
    sets = problems.per_problem(lambda _: 1)
    rivals: dict[str, Callable[[Episode, int], float | None]] = {"first": _first, "shortest": _shortest, "bon": _best}
    for name, score in rivals.items():
        figures[f"{name}@{k}"] = mean_figure(problems.mean(score(one, k) for one in problems.rows), sets)
    return figures


def _first(episode: Episode, k: int) -> float | None:
    if k < len(episode.candidates):
        return None
    return next((float(one.correct) for one in episode.candidates if one.answer is not None), 0.0)


def _shortest(episode: Episode, k: int) -> float | None:
    """By tokens, or by characters where tokens are unknown; equal lengths share."""
    answered = [one for one in episode.candidates if one.answer is not None]
    lengths = _numbers(one.n_tokens for one in answered)
    if np.isnan(lengths).any():
        lengths = _numbers(len(one.text) or None for one in answered)
    if k < len(episode.candidates) or np.isnan(lengths).any():
        return None
    shortest = [one for one, length in zip(answered, lengths, strict=True) if length == lengths.min()]
    return share_correct(shortest) if shortest else 0.0


def _best(episode: Episode, k: int) -> float | None:
    return float(_best_at_each(episode.candidates, k)[-1])


def _best_at_each(responses: Sequence[Response], most: int) -> Floats:
    scores = _numbers(one.score for one in responses)
    if np.isnan(scores).any():
        return np.full(most, np.nan)
    return best_at_each(scores.tolist(), [one.correct for one in responses], most)


def _numbers(values: Iterable[float | None]) -> Floats:
    """Unknown ones as NaN."""
    return np.array([np.nan if value is None else value for value in values])


def token_figures(problems: Problems, k: int, methods: Figures) -> Figures:
    """Tokens that each method generates for a problem, and its accuracy for a thousand of them; prompts not counted."""
    rows = [_tokens(one, k) for one in problems.rows]
    figures: Figures = {}
    for name in rows[0]:
        tokens_P = problems.mean(row[name] for row in rows)
        figures[f"tokens/{name}"] = mean_figure(tokens_P, coin=AMOUNT)
        figures[f"accuracy_per_1k_tokens/{name}"] = Figure(methods[name].part_P, tokens_P / 1_000, coin=AMOUNT)
    return figures


def _tokens(episode: Episode, k: int) -> dict[str, float]:
    candidates, extra, refinements = (
        _numbers(one.n_tokens for one in responses)
        for responses in (episode.candidates, episode.extra_candidates, episode.refinements)
    )
    each, whole = float(candidates.mean()), k == len(candidates)
    answered = [i for i, one in enumerate(episode.candidates) if one.answer is not None] if whole else []
    return {
        "pass@1": each,
        f"maj@{k}": k * each,
        f"maj@{k + 1}": k * each + (_mean(extra) if whole else each),
        f"selfref@{k}": k * each + _mean(refinements) if whole else np.nan,
        f"first@{k}": float(candidates[: answered[0] + 1].sum()) if answered else k * each,
        f"shortest@{k}": k * float(candidates[answered].min()) if answered else k * each,
        f"bon@{k}": k * each,
    }


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else np.nan


def sweep_figures(problems: Problems) -> Figures:
    """pass@k, maj@k and best-of-k for every k up to the smallest pool, and 64.

    A pool is a row's candidates and extra candidates, whichever of them the refiner saw; each figure is the mean over
    all subsets of size k.
    """
    pools = [one.candidates + one.extra_candidates for one in problems.rows]
    most = min(_MOST_K, *map(len, pools))
    flags = [[one.correct for one in pool] for pool in pools]
    by_row = {
        "pass@k": [pass_at_each(correct, most) for correct in flags],
        "maj@k": [
            maj_at_each([one.answer for one in pool], correct, most) for pool, correct in zip(pools, flags, strict=True)
        ],
        "bon@k": [_best_at_each(pool, most) for pool in pools],
    }
    responses = problems.per_problem(lambda one: len(one.candidates) + len(one.extra_candidates))
    return {
        f"by_k/{k}/{name}": mean_figure(problems.mean(row[k - 1] for row in rows), responses / k)
        for k in range(1, most + 1)
        for name, rows in by_row.items()
    }
