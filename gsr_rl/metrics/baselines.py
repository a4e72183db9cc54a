"""The baselines of selfRef@K: other methods on the same responses, what each costs, and their accuracy by k."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.confidence import AMOUNT, DIFFERENCE, Floats, Statistic, Statistics, mean_statistic
from gsr_rl.metrics.estimators import best_at_each, maj_at_each, pass_at_each
from gsr_rl.metrics.gap import core_statistics, share_correct
from gsr_rl.metrics.problems import Problems, has_answers

_LARGEST_K = 64  # of the sweep


def method_statistics(problems: Problems, k: int) -> Statistics:
    """The statistics of `core_statistics`, and those of the baselines.

    "equal_budget_gap" is selfref@K - maj@(K+1). first@K samples candidates one after the other until one has an answer,
    K at most. shortest@K samples K at once, and the first that ends with an answer counts (Agarwal et al. 2025, arXiv
    2505.18149; Hassid et al. 2025, arXiv 2505.17813). bon@K takes the candidate with the highest `Response.score`; it
    is None unless all candidates have a score. first@K and shortest@K are None with a `k` below the number of
    candidates, and where no response has an answer.
    """
    statistics = core_statistics(problems, k)
    selfref, vote = statistics[f"selfref@{k}"], statistics[f"maj@{k + 1}"]
    statistics["equal_budget_gap"] = mean_statistic(selfref.part_P - vote.part_P, selfref.responses, DIFFERENCE)
    sets = problems.per_problem(lambda _: 1)
    scorers: dict[str, Callable[[Episode, int], float | None]] = {"first": _first, "shortest": _shortest, "bon": _best}
    voted = has_answers(problems.rows)
    for name, score in scorers.items():
        is_defined = voted or name == "bon"  # the others take a candidate that has an answer
        score_P = problems.mean(score(episode, k) if is_defined else None for episode in problems.rows)
        statistics[f"{name}@{k}"] = mean_statistic(score_P, sets)
    return statistics


def _first(episode: Episode, k: int) -> float | None:
    if k < len(episode.candidates):
        return None
    return next((float(candidate.correct) for candidate in episode.candidates if candidate.answer is not None), 0.0)


def _shortest(episode: Episode, k: int) -> float | None:
    """Shortest by tokens, or by characters where tokens are unknown; equal lengths count by their shares."""
    answered = [candidate for candidate in episode.candidates if candidate.answer is not None]
    lengths = _numbers(candidate.n_tokens for candidate in answered)
    if np.isnan(lengths).any():
        lengths = _numbers(len(candidate.text) or None for candidate in answered)
    if k < len(episode.candidates) or np.isnan(lengths).any():
        return None
    shortest = [candidate for candidate, length in zip(answered, lengths, strict=True) if length == lengths.min()]
    return share_correct(shortest) if shortest else 0.0


def _best(episode: Episode, k: int) -> float | None:
    return float(_best_at_each(episode.candidates, k)[-1])


def _best_at_each(responses_K: Sequence[Response], most: int) -> Floats:
    scores_K = _numbers(response.score for response in responses_K)
    if np.isnan(scores_K).any():
        return np.full(most, np.nan)
    return best_at_each(scores_K.tolist(), [response.correct for response in responses_K], most)


def _numbers(values: Iterable[float | None]) -> Floats:
    """The values as an array, with NaN for None."""
    return np.array([np.nan if value is None else value for value in values])


def token_statistics(problems: Problems, k: int, methods: Statistics) -> Statistics:
    """Tokens that each method generates per problem, without prompts, and its accuracy per thousand of them.

    Args:
        problems: the rows of one dataset.
        k: size of the candidate sets.
        methods: the statistics of `method_statistics`.
    """
    tokens_R = [_tokens(episode, k) for episode in problems.rows]
    statistics: Statistics = {}
    for name in tokens_R[0]:
        tokens_P = problems.mean(tokens[name] for tokens in tokens_R)
        statistics[f"tokens/{name}"] = mean_statistic(tokens_P, coin=AMOUNT)
        statistics[f"accuracy_per_1k_tokens/{name}"] = Statistic(methods[name].part_P, tokens_P / 1_000, coin=AMOUNT)
    return statistics


def _tokens(episode: Episode, k: int) -> dict[str, float]:
    candidates, extra, refinements = (
        _numbers(response.n_tokens for response in responses)
        for responses in (episode.candidates, episode.extra_candidates, episode.refinements)
    )
    each, whole = float(candidates.mean()), k == len(candidates)
    with_answer = [i for i, candidate in enumerate(episode.candidates) if candidate.answer is not None]
    answered = with_answer if whole else []
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


def sweep_statistics(problems: Problems) -> Statistics:
    """pass@k, maj@k and best-of-k for every k up to the size of the smallest pool, and up to 64.

    A pool is the candidates and extra candidates of a row, whichever of them the refiner saw. Each statistic is the
    mean over all subsets of size k.
    """
    pools = [episode.candidates + episode.extra_candidates for episode in problems.rows]
    most = min(_LARGEST_K, *map(len, pools))
    answers = [[response.answer for response in pool] for pool in pools]
    correct = [[response.correct for response in pool] for pool in pools]
    by_row = {
        "pass@k": [pass_at_each(correct_K, most) for correct_K in correct],
        "maj@k": [
            maj_at_each(answers_K, correct_K, most) for answers_K, correct_K in zip(answers, correct, strict=True)
        ],
        "bon@k": [_best_at_each(pool, most) for pool in pools],
    }
    if not has_answers(problems.rows):
        by_row["maj@k"] = [np.full(most, np.nan) for _ in pools]
    responses = problems.per_problem(lambda episode: len(episode.candidates) + len(episode.extra_candidates))
    return {
        f"by_k/{k}/{name}": mean_statistic(problems.mean(row[k - 1] for row in rows), responses / k)
        for k in range(1, most + 1)
        for name, rows in by_row.items()
    }
