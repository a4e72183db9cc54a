"""Metrics of self-refinement over episodes: pass@k, maj@K, selfRef@K, the Refinement Gap and its transitions.

Refinement Gap (GSR, arXiv 2509.00084): selfRef@K - maj@K of the same candidate sets, in accuracy, not relative.
All rates are fractions from 0 to 1; None stands for a rate that has no cases. `all_metrics` has the rest.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.metrics.confidence import DIFFERENCE, Estimate, Figure, Floats, estimate, mean_figure
from gsr_rl.metrics.estimators import maj_at_each, pass_at_k
from gsr_rl.metrics.voting import majority_score, plurality
from rewards.answers import equivalent

Scores = dict[str, float | None]
Summary = dict[str, dict[str, float | None]]

MACRO = "macro"


def episode_scores(episode: Episode, k: int | None = None) -> Scores:
    """Scores of one candidate set, each an expectation, 0 to 1, or None.

    "pass@1" is the share of correct candidates, "pass@k" 1 if any is, "maj@k" the majority vote's score, "maj@k+1" the
    same with an extra candidate, averaged over them (None without one), "selfref@k" the share of correct refinements
    (None without any). The rest are joint shares: "all_wrong" (no candidate correct), "recovered" (and the refinement
    correct), "broken" (majority right, refinement wrong), "mended" (the reverse).

    With a `k` below the number of candidates, pass@k and both maj are means over all subsets of the candidates and
    extra candidates, and what is of refinements is None: they saw more than k.

    Raises:
        UsageError: the episode has no candidates, or fewer than k.
    """
    size = len(episode.candidates)
    k = size if k is None else k
    if not 1 <= k <= size:
        raise UsageError(f"episode {episode.dataset}/{episode.id} has {size} candidates; k={k} must be from 1 to that")
    correct = sum(r.correct for r in episode.candidates)
    scores: Scores = dict.fromkeys(("pass@1", "pass@k", "maj@k", "maj@k+1", "selfref@k"))
    scores |= dict.fromkeys(("all_wrong", "recovered", "broken", "mended"))
    scores["pass@1"] = correct / size
    if k < size:
        pool = episode.candidates + episode.extra_candidates
        votes = maj_at_each([r.answer for r in pool], [r.correct for r in pool], k + 1)
        any_right = pass_at_k(len(pool), sum(r.correct for r in pool), k)
        return scores | {"pass@k": any_right, "maj@k": float(votes[-2]), "maj@k+1": float(votes[-1])}
    majority = _vote(episode.candidates)
    scores |= {"pass@k": float(correct > 0), "maj@k": majority, "all_wrong": float(correct == 0)}
    if episode.extra_candidates:
        votes = [_vote((*episode.candidates, extra)) for extra in episode.extra_candidates]
        scores["maj@k+1"] = sum(votes) / len(votes)
    if episode.refinements:
        refined = share_correct(episode.refinements)
        scores |= {"selfref@k": refined, "recovered": refined if correct == 0 else 0.0}
        scores |= {"broken": majority * (1 - refined), "mended": (1 - majority) * refined}
    return scores


def _vote(responses: Sequence[Response]) -> float:
    return majority_score([r.answer for r in responses], [r.correct for r in responses])


def share_correct(responses: Sequence[Response]) -> float:
    return sum(r.correct for r in responses) / len(responses)


def summarize(episodes: Sequence[Episode], k: int | None = None) -> Summary:
    """Metrics per dataset, and under "macro" their unweighted mean over the datasets in which they are defined.

    Args:
        episodes: rows with the same (dataset, id) are repeats of one problem and averaged first, so that each problem
            weighs the same.
        k: size of the candidate sets; by default the one that all rows share. With a smaller one see `episode_scores`.

    Returns:
        {dataset: {"n" (problems), "k", "all_wrong_n" (sets), "pass@1", "pass@K", "maj@K", "maj@K+1", "selfref@K",
        "refinement_gap", "all_wrong_recovery", "right_to_wrong", "wrong_to_right", "ci_low", "ci_high"}} with K as a
        number. ci_*: 95 % interval of the gap (`gsr_rl.metrics.confidence`); "macro" resamples within each dataset.
        right_to_wrong: share of refinements wrong where the majority is right, a tied vote counting by its share.
        maj@K+1 is None unless every row has an extra candidate; n and all_wrong_n of "macro" are totals.

    Raises:
        UsageError: no rows; a dataset called "macro"; rows of unequal K without k; a row with fewer than k candidates;
            a dataset with refinements in some rows only, which would compare different sets.
    """
    k = check(episodes, k)
    by_dataset = group(episodes, lambda episode: episode.dataset)
    figures = {dataset: core_figures(Problems(rows), k) for dataset, rows in by_dataset.items()}
    estimates, macro = estimate(figures)
    counts = {dataset: core_counts(rows, k) for dataset, rows in by_dataset.items()}
    totals = {key: sum(count[key] for count in counts.values()) for key in ("n", "all_wrong_n")}
    summary = {dataset: _flat(counts[dataset], estimates[dataset]) for dataset in by_dataset}
    return summary | {MACRO: _flat(totals | {"k": k}, macro)}


def _flat(counts: dict[str, int], estimates: dict[str, Estimate]) -> dict[str, float | None]:
    gap = estimates["refinement_gap"]
    first = {key: counts[key] for key in ("n", "k", "all_wrong_n")}
    return first | {key: one.value for key, one in estimates.items()} | {"ci_low": gap.low, "ci_high": gap.high}


def check(episodes: Sequence[Episode], k: int | None) -> int:
    """The size of the candidate sets, if the episodes can be summarized; see `summarize`."""
    if not episodes:
        raise UsageError("no episodes to summarize; give at least one")
    if any(episode.dataset == MACRO for episode in episodes):
        raise UsageError(f'dataset "{MACRO}" is the name of the mean over datasets; rename it')
    fewest, most = (extreme(episodes, key=lambda one: len(one.candidates)) for extreme in (min, max))
    sizes = len(fewest.candidates), len(most.candidates)
    if k is None and sizes[0] < sizes[1]:
        raise UsageError(
            f"rows have {sizes[0]} to {sizes[1]} candidates (episodes {fewest.dataset}/{fewest.id} and "
            f"{most.dataset}/{most.id}); choose k, at most {sizes[0]}"
        )
    for dataset, rows in group(episodes, lambda episode: episode.dataset).items():
        bare = [episode for episode in rows if not episode.refinements]
        if 0 < len(bare) < len(rows):
            raise UsageError(
                f"{len(bare)} of {len(rows)} rows of {dataset} have no refinement, the first is {bare[0].id}: selfref "
                "and maj would be of different sets; keep only rows with refinements, or remove the refinements"
            )
    return sizes[0] if k is None else k


def group(episodes: Iterable[Episode], key: Callable[[Episode], str]) -> dict[str, list[Episode]]:
    """Episodes by `key`, in the order of the keys."""
    groups: dict[str, list[Episode]] = {}
    for episode in episodes:
        groups.setdefault(key(episode), []).append(episode)
    return dict(sorted(groups.items()))


class Problems:
    """The rows of one dataset, with those of a problem together."""

    def __init__(self, rows: Sequence[Episode]) -> None:
        index = {name: number for number, name in enumerate(sorted({episode.id for episode in rows}))}
        self.rows = rows
        self.ids = list(index)
        self._row_problem = np.array([index[episode.id] for episode in rows])
        self._repeats_P = np.bincount(self._row_problem)

    def sum(self, values: Iterable[float | None]) -> Floats:
        """Sums over a problem's rows of one value a row; NaN where one is None."""
        return np.bincount(self._row_problem, weights=np.array(list(values), dtype=np.float64)).astype(np.float64)

    def mean(self, values: Iterable[float | None]) -> Floats:
        """Means over a problem's rows, likewise."""
        return self.sum(values) / self._repeats_P

    def per_problem(self, number: Callable[[Episode], float]) -> float:
        """Mean over the problems of a number that adds up over a problem's rows."""
        return float(self.sum(map(number, self.rows)).mean())


def core_counts(rows: Sequence[Episode], k: int) -> dict[str, int]:
    all_wrong = sum(not any(r.correct for r in episode.candidates) for episode in rows)
    return {"n": len({episode.id for episode in rows}), "k": k, "all_wrong_n": all_wrong}


def core_figures(problems: Problems, k: int) -> dict[str, Figure]:
    """The figures of `summarize` of one dataset."""
    rows = [episode_scores(episode, k) for episode in problems.rows]
    mean = {key: problems.mean(row[key] for row in rows) for key in rows[0]}
    candidates = problems.per_problem(lambda one: len(one.candidates))
    refinements = problems.per_problem(lambda one: len(one.refinements))
    one_P = np.ones_like(mean["pass@1"])
    return {
        "pass@1": mean_figure(mean["pass@1"], candidates),
        f"pass@{k}": mean_figure(mean["pass@k"], candidates / k),
        f"maj@{k}": mean_figure(mean["maj@k"], candidates / k),
        f"maj@{k + 1}": mean_figure(mean["maj@k+1"], candidates / k),
        f"selfref@{k}": mean_figure(mean["selfref@k"], refinements),
        "refinement_gap": mean_figure(mean["selfref@k"] - mean["maj@k"], refinements, DIFFERENCE),
        "all_wrong_recovery": Figure(mean["recovered"], mean["all_wrong"], refinements),
        "right_to_wrong": Figure(mean["broken"], mean["maj@k"], refinements),
        "wrong_to_right": Figure(mean["mended"], one_P - mean["maj@k"], refinements),
    }


def paired_change(
    before: Sequence[Episode], after: Sequence[Episode], method: str, before_method: str | None = None
) -> dict[str, float | None]:
    """How far a method's accuracy has moved, paired over the problems that were asked both times.

    Args:
        before, after: episodes of two models; rows of the same problem are averaged first.
        method: a method's name in `episode_scores`; rows that have no such score do not count.
        before_method: that of `before`, if it is another one.

    Returns:
        {"n" (problems), "change" (after - before), "ci_low", "ci_high"}: 95 % interval over problems, as of the gap;
        None where n is 0.
    """
    means = [_by_problem(before, before_method or method), _by_problem(after, method)]
    asked = [problem for problem in means[0] if problem in means[1]]
    if not asked:
        return {"n": 0, "change": None, "ci_low": None, "ci_high": None}
    change_P = np.array([means[1][problem][0] - means[0][problem][0] for problem in asked])
    responses = np.mean([mean[problem][1] for mean in means for problem in asked])
    change = estimate({"change": {"change": mean_figure(change_P, float(responses), DIFFERENCE)}})[1]["change"]
    return {"n": len(asked), "change": change.value, "ci_low": change.low, "ci_high": change.high}


def _by_problem(episodes: Sequence[Episode], method: str) -> dict[tuple[str, str], tuple[float, int]]:
    """A method's mean over the problem's rows, and the number of what it scored: responses, or a vote a set."""
    rows: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for episode in episodes:
        score = episode_scores(episode)[method]
        scored = {"pass@1": len(episode.candidates), "selfref@k": len(episode.refinements)}.get(method, 1)
        if score is not None:
            rows.setdefault((episode.dataset, episode.id), []).append((score, scored))
    return {
        problem: (sum(score for score, _ in sets) / len(sets), sum(scored for _, scored in sets))
        for problem, sets in rows.items()
    }


def agreement(episode: Episode) -> dict[str, float]:
    """Control: does the refiner copy, or write something new? Shares of the refinements of one set.

    "majority": those whose answer is the plurality answer, a tie of t classes counting 1/t; "any_candidate": whose
    answer is that of any candidate; "novel": of none; "no_answer": without an answer, which is neither.
    """
    answers = [r.answer for r in episode.candidates]
    winners = [answers[members[0]] for members in plurality(answers)]
    refined = [r.answer for r in episode.refinements]
    with_winner = sum(_is_among(answer, winners) for answer in refined) / max(len(winners), 1)
    with_any, without = sum(_is_among(answer, answers) for answer in refined), refined.count(None)
    counts = {"majority": with_winner, "any_candidate": with_any, "novel": len(refined) - with_any - without}
    return {key: count / len(refined) for key, count in (counts | {"no_answer": without}).items()}


def _is_among(answer: str | None, others: Sequence[str | None]) -> bool:
    if answer is None:
        return False
    return answer in others or any(other is not None and equivalent(other, answer) for other in dict.fromkeys(others))
