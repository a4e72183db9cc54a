"""Metrics of self-refinement over episodes: pass@k, maj@K, selfRef@K, the Refinement Gap and its transitions.

The Refinement Gap (GSR, arXiv 2509.00084) is selfRef@K - maj@K over the same candidate sets: a difference of
accuracies, not a relative one. All rates are fractions from 0 to 1. None stands for a rate without cases. `all_metrics`
has all other statistics.
"""

from collections.abc import Sequence

import numpy as np

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.metrics.confidence import DIFFERENCE, Estimate, Statistic, Statistics, estimate, mean_statistic
from gsr_rl.metrics.estimators import maj_at_each, pass_at_k
from gsr_rl.metrics.problems import Problems, group, has_answers
from gsr_rl.metrics.voting import majority_score_of, plurality
from rewards.answers import equivalent

Scores = dict[str, float | None]
Summary = dict[str, dict[str, float | None]]

MACRO = "macro"
_VOTES = ("maj@k", "maj@k+1")
_OF_THE_VOTE = (*_VOTES, "broken", "fixed")  # scores that are undefined where nobody has an answer
NO_VOTE = "no response has an answer, so there is no vote and no gap"


def episode_scores(episode: Episode, k: int | None = None) -> Scores:
    """Scores of one candidate set. Each is an expectation from 0 to 1, or None.

    Args:
        episode: the candidate set with its refinements.
        k: by default the number of candidates. With a smaller k, "pass@k" and both "maj" are means over all subsets of
            the candidates and extra candidates. All that follow them are then None: refinements saw more than k.

    Returns:
        "pass@1": the share of correct candidates.
        "pass@k": 1 if any candidate is correct, else 0.
        "maj@k": the majority vote's score.
        "maj@k+1": the same with one extra candidate, averaged over the extra candidates; None without any.
        "selfref@k": the share of correct refinements; None without any.
        "all_wrong": 1 if no candidate is correct.
        "recovered", "broken", "fixed": joint shares of all candidates wrong and the refinement right, of the majority
            right and the refinement wrong, and of the majority wrong and the refinement right.

    Raises:
        UsageError: the episode has no candidates, or fewer than k.

    >>> wrong, right = Response("", "1", correct=False), Response("", "0", correct=True)
    >>> scores = episode_scores(Episode("1", "toy", "?", "0", candidates=(wrong, wrong, right), refinements=(right,)))
    >>> {name: round(score, 2) for name, score in scores.items() if score}
    {'pass@1': 0.33, 'pass@k': 1.0, 'selfref@k': 1.0, 'fixed': 1.0}
    """
    size = len(episode.candidates)
    k = size if k is None else k
    if not 1 <= k <= size:
        raise UsageError(
            f"episode {episode.dataset}/{episode.id} has {size} candidates; k={k} must be from 1 to their number"
        )
    correct = sum(candidate.correct for candidate in episode.candidates)
    scores: Scores = dict.fromkeys(("pass@1", "pass@k", "maj@k", "maj@k+1", "selfref@k"))
    scores |= dict.fromkeys(("all_wrong", "recovered", "broken", "fixed"))
    scores["pass@1"] = correct / size
    if k < size:
        pool = episode.candidates + episode.extra_candidates
        correct_K = [response.correct for response in pool]
        votes = maj_at_each([response.answer for response in pool], correct_K, k + 1)
        any_right = pass_at_k(len(pool), sum(correct_K), k)
        return scores | {"pass@k": any_right, "maj@k": float(votes[-2]), "maj@k+1": float(votes[-1])}
    majority = majority_score_of(episode.candidates)
    scores |= {"pass@k": float(correct > 0), "maj@k": majority, "all_wrong": float(correct == 0)}
    if episode.extra_candidates:
        votes = [majority_score_of((*episode.candidates, extra)) for extra in episode.extra_candidates]
        scores["maj@k+1"] = sum(votes) / len(votes)
    if episode.refinements:
        refined = share_correct(episode.refinements)
        scores |= {"selfref@k": refined, "recovered": refined if correct == 0 else 0.0}
        scores |= {"broken": majority * (1 - refined), "fixed": (1 - majority) * refined}
    return scores


def share_correct(responses_K: Sequence[Response]) -> float:
    """Share of correct responses, of at least one."""
    return sum(response.correct for response in responses_K) / len(responses_K)


def summarize(episodes: Sequence[Episode], k: int | None = None) -> Summary:
    """Metrics per dataset, and under "macro" their unweighted mean over the datasets in which they are defined.

    Args:
        episodes: rows with the same (dataset, id) are repeats of one problem. They are averaged first, so that each
            problem has the same weight.
        k: size of the candidate sets, by default the size that all rows share. For a smaller one see `episode_scores`.

    Returns:
        {dataset: {"n" (problems), "k", "all_wrong_n" (sets), "pass@1", "pass@K", "maj@K", "maj@K+1", "selfref@K",
        "refinement_gap", "all_wrong_recovery", "right_to_wrong", "wrong_to_right", "ci_low", "ci_high"}} with K as a
        number. "right_to_wrong" is the share of refinements that are wrong where the majority is right, and a tied
        vote counts by its share. "maj@K+1" is None unless every row has an extra candidate. All that depends on a vote
        is None for a dataset in which no response has an answer. "ci_low" and "ci_high" are
        the 95 % interval of the gap (`gsr_rl.metrics.confidence`); "macro" resamples within each dataset. "n" and
        "all_wrong_n" of "macro" are totals.

    Raises:
        UsageError: no rows; a dataset called "macro"; rows of unequal K without k; a row with fewer than k candidates;
            a dataset with refinements in some rows only, where selfRef and maj would be of different sets.

    >>> wrong, right = Response("", "1", correct=False), Response("", "0", correct=True)
    >>> summary = summarize([Episode("1", "toy", "?", "0", candidates=(right, wrong), refinements=(right,))])
    >>> summary["toy"]["selfref@2"], summary["toy"]["maj@2"], summary["macro"]["refinement_gap"]
    (1.0, 0.5, 0.5)
    """
    k = check(episodes, k)
    by_dataset = group(episodes, lambda episode: episode.dataset)
    statistics = {dataset: core_statistics(Problems(rows), k) for dataset, rows in by_dataset.items()}
    estimates, macro = estimate(statistics)
    counts = {dataset: core_counts(rows, k) for dataset, rows in by_dataset.items()}
    totals = {key: sum(count[key] for count in counts.values()) for key in ("n", "all_wrong_n")}
    summary = {dataset: _flat(counts[dataset], estimates[dataset]) for dataset in by_dataset}
    return summary | {MACRO: _flat(totals | {"k": k}, macro)}


def _flat(counts: dict[str, int], estimates: dict[str, Estimate]) -> dict[str, float | None]:
    gap = estimates["refinement_gap"]
    first = {key: counts[key] for key in ("n", "k", "all_wrong_n")}
    return first | {name: found.value for name, found in estimates.items()} | {"ci_low": gap.low, "ci_high": gap.high}


def check(episodes: Sequence[Episode], k: int | None) -> int:
    """The size of the candidate sets, `k` or the size that all rows share.

    Raises:
        UsageError: as `summarize`, but for a row with fewer than k candidates.
    """
    if not episodes:
        raise UsageError("no episodes to summarize; give at least one")
    if any(episode.dataset == MACRO for episode in episodes):
        raise UsageError(f'dataset "{MACRO}" is the name of the mean over datasets; rename it')
    fewest = min(episodes, key=lambda episode: len(episode.candidates))
    most = max(episodes, key=lambda episode: len(episode.candidates))
    smallest, largest = len(fewest.candidates), len(most.candidates)
    if k is None and smallest < largest:
        raise UsageError(
            f"rows have {smallest} to {largest} candidates (episodes {fewest.dataset}/{fewest.id} and "
            f"{most.dataset}/{most.id}); choose k, at most {smallest}"
        )
    for dataset, rows in group(episodes, lambda episode: episode.dataset).items():
        bare = [episode for episode in rows if not episode.refinements]
        if 0 < len(bare) < len(rows):
            raise UsageError(
                f"{len(bare)} of {len(rows)} rows of {dataset} have no refinement, the first is {bare[0].id}: selfref "
                "and maj would be of different sets; keep only rows with refinements, or remove the refinements"
            )
    return smallest if k is None else k


def core_counts(rows: Sequence[Episode], k: int) -> dict[str, int]:
    """The counts of `summarize` for one dataset: "n" (problems), "k", "all_wrong_n" (sets)."""
    all_wrong = sum(not any(candidate.correct for candidate in episode.candidates) for episode in rows)
    return {"n": len({episode.id for episode in rows}), "k": k, "all_wrong_n": all_wrong}


def core_statistics(problems: Problems, k: int) -> Statistics:
    """The statistics of `summarize` for one dataset."""
    rows = [episode_scores(episode, k) for episode in problems.rows]
    if not has_answers(problems.rows):
        rows = [row | dict.fromkeys(_OF_THE_VOTE) for row in rows]
    mean = {key: problems.mean(row[key] for row in rows) for key in rows[0]}
    candidates = problems.per_problem(lambda episode: len(episode.candidates))
    refinements = problems.per_problem(lambda episode: len(episode.refinements))
    ones_P = np.ones_like(mean["pass@1"])
    return {
        "pass@1": mean_statistic(mean["pass@1"], candidates),
        f"pass@{k}": mean_statistic(mean["pass@k"], candidates / k),
        f"maj@{k}": mean_statistic(mean["maj@k"], candidates / k),
        f"maj@{k + 1}": mean_statistic(mean["maj@k+1"], candidates / k),
        f"selfref@{k}": mean_statistic(mean["selfref@k"], refinements),
        "refinement_gap": mean_statistic(mean["selfref@k"] - mean["maj@k"], refinements, DIFFERENCE),
        "all_wrong_recovery": Statistic(mean["recovered"], mean["all_wrong"], refinements),
        "right_to_wrong": Statistic(mean["broken"], mean["maj@k"], refinements),
        "wrong_to_right": Statistic(mean["fixed"], ones_P - mean["maj@k"], refinements),
    }


def paired_change(
    before: Sequence[Episode],
    after: Sequence[Episode],
    method: str,
    before_method: str | None = None,
    before_k: int | None = None,
    after_k: int | None = None,
) -> dict[str, float | None]:
    """The change of a method's accuracy, paired over the problems that are in both files.

    It is the unweighted mean over the datasets of the mean over their problems, as every other figure over several
    datasets. Of a recursion only the first round counts.

    Args:
        before, after: episodes of two models. Rows of the same problem are averaged first.
        method: a method's name in `episode_scores`. Rows without this score do not count, and neither do votes of a
            dataset in which no response has an answer.
        before_method: the method of `before`, if it is another one.
        before_k, after_k: size of the candidate sets for the votes and pass@k; by default that of each row.

    Returns:
        {"n" (problems), "change" (after - before), "ci_low", "ci_high"} with the 95 % interval over problems; all but
        "n" are None where "n" is 0.

    >>> wrong, right = Response("", "1", correct=False), Response("", "0", correct=True)
    >>> before = [Episode("1", "toy", "?", "0", (wrong, right)), Episode("2", "toy", "?", "0", (wrong, wrong))]
    >>> after = [Episode("1", "toy", "?", "0", (right, right))]
    >>> change = paired_change(before, after, "pass@1")
    >>> change["n"], change["change"]
    (1, 0.5)
    """
    means = [_by_problem(before, before_method or method, before_k), _by_problem(after, method, after_k)]
    shared = [problem for problem in means[0] if problem in means[1]]
    if not shared:
        return {"n": 0, "change": None, "ci_low": None, "ci_high": None}
    statistics: dict[str, Statistics] = {}
    for dataset in sorted({dataset for dataset, _ in shared}):
        problems = [problem for problem in shared if problem[0] == dataset]
        statistics[dataset] = {"change": _change(means[0], means[1], problems)}
    change = estimate(statistics)[1]["change"]
    return {"n": len(shared), "change": change.value, "ci_low": change.low, "ci_high": change.high}


_Problem = tuple[str, str]  # dataset and id
_Means = dict[_Problem, tuple[float, int]]


def _change(before: _Means, after: _Means, problems: Sequence[_Problem]) -> Statistic:
    change_P = np.array([after[problem][0] - before[problem][0] for problem in problems])
    responses = np.mean([means[problem][1] for means in (before, after) for problem in problems])
    return mean_statistic(change_P, float(responses), DIFFERENCE)


def _by_problem(episodes: Sequence[Episode], method: str, k: int | None) -> _Means:
    """For each problem a method's mean over the rows, and how many responses it scored; a vote counts as one."""
    rows: dict[_Problem, list[tuple[float, int]]] = {}
    for of_dataset in group(episodes, lambda episode: episode.dataset).values():
        first = min(episode.round for episode in of_dataset)
        if method in _VOTES and not has_answers(of_dataset):
            continue
        for episode in of_dataset:
            if episode.round != first:
                continue
            score = _score(episode, method, k)
            scored = {"pass@1": len(episode.candidates), "selfref@k": len(episode.refinements)}.get(method, 1)
            if score is not None:
                rows.setdefault((episode.dataset, episode.id), []).append((score, scored))
    return {
        problem: (sum(score for score, _ in sets) / len(sets), sum(scored for _, scored in sets))
        for problem, sets in rows.items()
    }


def _score(episode: Episode, method: str, k: int | None) -> float | None:
    """A method's score of a set, of k candidates of it where the set has more."""
    size = len(episode.candidates)
    if k is None or k == size or method not in (*_VOTES, "pass@k"):
        return episode_scores(episode)[method]
    return episode_scores(episode, k)[method] if k < size else None


def agreement(episode: Episode) -> dict[str, float]:
    """Control: does the refiner copy, or write something new?

    Returns:
        Shares of the refinements of one set. "majority": refinements with the plurality answer, where a tie of t
        classes counts 1/t. "any_candidate": with the answer of any candidate. "novel": with an answer that no
        candidate has. "no_answer": without an answer; these are not "novel".

    >>> candidates = tuple(Response("", answer, correct=False) for answer in ("1/2", "0.5", "3"))
    >>> agreement(Episode("1", "toy", "?", "7", candidates, refinements=(Response("", "2/4", correct=False),)))
    {'majority': 1.0, 'any_candidate': 1.0, 'novel': 0.0, 'no_answer': 0.0}
    """
    answers_K = [candidate.answer for candidate in episode.candidates]
    winners = [answers_K[members[0]] for members in plurality(answers_K)]
    refined = [refinement.answer for refinement in episode.refinements]
    with_winner = sum(_is_among(answer, winners) for answer in refined) / max(len(winners), 1)
    with_any, without = sum(_is_among(answer, answers_K) for answer in refined), refined.count(None)
    counts = {"majority": with_winner, "any_candidate": with_any, "novel": len(refined) - with_any - without}
    return {key: count / len(refined) for key, count in (counts | {"no_answer": without}).items()}


def _is_among(answer: str | None, others: Sequence[str | None]) -> bool:
    if answer is None:
        return False
    return answer in others or any(other is not None and equivalent(other, answer) for other in dict.fromkeys(others))
