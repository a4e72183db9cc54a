"""All statistics of a file of episodes, each with its interval: the gap, its baselines, and what explains it.

A statistic's name is its place in the result: "maj@4" is at the top, "by_k/3/maj@k" is under by_k and 3.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.metrics.baselines import method_statistics, sweep_statistics, token_statistics
from gsr_rl.metrics.confidence import (
    AMOUNT,
    DIFFERENCE,
    RATE,
    Coin,
    Estimate,
    Statistic,
    Statistics,
    estimate,
    mean_statistic,
)
from gsr_rl.metrics.gap import (
    MACRO,
    NO_VOTE,
    agreement,
    check,
    core_counts,
    core_statistics,
    share_correct,
)
from gsr_rl.metrics.problems import Problems, group, has_answers

Counts = dict[str, int]
Results = Mapping[str, Any]  # of one dataset, or a nested part of it such as {"value", "ci_low", "ci_high"}


def evaluate(episodes: Sequence[Episode], k: int | None = None) -> dict[str, dict[str, Any]]:
    """All statistics per dataset, and under "macro" their unweighted mean over the datasets that define them.

    Args:
        episodes, k: as for `gsr_rl.metrics.gap.summarize`. Where there are several rounds, all statistics are of the
            first, but for "rounds", which has them all.

    Returns:
        {dataset: {...}} with the statistics of `summarize` and those that docs/metrics.md lists. The intervals of those
        at the top are in "ci", {name: [low, high]}; nested ones are {"value", "ci_low", "ci_high"}. None where
        undefined. Counts of "macro" are totals. Where no response has an answer, "no_vote" says why vote and gap are
        None.

    Raises:
        UsageError: as `summarize`; or the rounds of a dataset are not of the same problems.
    """
    k = check(episodes, k)
    statistics: dict[str, Statistics] = {}
    counts: dict[str, Counts] = {}
    by_dataset = group(episodes, lambda episode: episode.dataset)
    for dataset, rows in by_dataset.items():
        rounds = _rounds(dataset, rows)
        problems = next(iter(rounds.values()))
        methods = method_statistics(problems, k)
        statistics[dataset] = methods | token_statistics(problems, k, methods) | sweep_statistics(problems)
        statistics[dataset] |= diagnostic_statistics(problems) | _round_statistics(rounds, k)
        counts[dataset] = _counts(problems, methods["refinement_gap"], k)
    estimates, macro = estimate(statistics)
    totals: Counts = {}
    for of_dataset in counts.values():
        for name, count in of_dataset.items():
            totals[name] = totals.get(name, 0) + count
    result = {dataset: _nested(counts[dataset], estimates[dataset]) for dataset in statistics}
    result |= {MACRO: _nested(totals | {"k": k}, macro)}
    without = {dataset for dataset, rows in by_dataset.items() if not has_answers(rows)}
    for dataset in without | ({MACRO} if len(without) == len(by_dataset) else set()):
        result[dataset]["no_vote"] = NO_VOTE
    return result


def _nested(counts: Counts, estimates: dict[str, Estimate]) -> dict[str, Any]:
    top = {name: found for name, found in estimates.items() if "/" not in name}
    gap = top["refinement_gap"]
    result: dict[str, Any] = {name: count for name, count in counts.items() if "/" not in name}
    result |= {name: found.value for name, found in top.items()} | {"ci_low": gap.low, "ci_high": gap.high}
    result["ci"] = {name: [found.low, found.high] for name, found in top.items() if found.value is not None}
    leaves = {name: found.as_dict() for name, found in estimates.items()} | counts
    for name, leaf in leaves.items():
        *path, last = name.split("/")
        place = result
        for part in path:
            place = place.setdefault(part, {})
        if path:
            place[last] = leaf
    return result


def _counts(problems: Problems, gap: Statistic, k: int) -> Counts:
    refined = [episode for episode in problems.rows if episode.refinements]
    correct = [_number_correct(episode) for episode in refined]
    decided = gap.part_P[np.abs(gap.part_P) > 1e-12] if gap.value is not None else np.array([])
    return core_counts(problems.rows, k) | {
        "sets": len(problems.rows),
        "decided_n": len(decided),
        "decided_for_n": int((decided > 0).sum()),
        "agreement/n": len(refined),
        "controls/swapped_n": sum(bool(episode.swapped_refinements) for episode in problems.rows),
        **{f"by_correct/{count}/n": correct.count(count) for count in range(_most_candidates(problems) + 1)},
    }


def _number_correct(episode: Episode) -> int:
    return sum(candidate.correct for candidate in episode.candidates)


def _most_candidates(problems: Problems) -> int:
    return max(len(episode.candidates) for episode in problems.rows)


# --- diagnostics: shares of sets and of responses, each set or response with the same weight --------------------------


def diagnostic_statistics(problems: Problems) -> Statistics:
    """Statistics that explain the gap.

    "by_correct" is the accuracy by the number of correct candidates (GSR, arXiv 2509.00084, analyses this as N_c). For
    "agreement" see `gsr_rl.metrics.gap.agreement`. "controls" are the accuracies of direct responses that the refiner
    did not see, and of refinements of another problem's candidates: selfRef@K means something where it is above both.
    "lengths" are the lengths of responses.
    """
    rows = problems.rows
    refinements = _mean_number([episode.refinements for episode in rows])
    correct_R = [_number_correct(episode) for episode in rows]
    accuracy_R = [_accuracy(episode.refinements) for episode in rows]
    statistics: Statistics = {}
    for count in range(_most_candidates(problems) + 1):
        share_R = [share if c == count else None for share, c in zip(accuracy_R, correct_R, strict=True)]
        statistics[f"by_correct/{count}/accuracy"] = _share_of_sets(problems, share_R, refinements)
    agreement_R = [agreement(episode) if episode.refinements else {} for episode in rows]
    for name in ("majority", "any_candidate", "novel", "no_answer"):
        share_R = [shares.get(name) for shares in agreement_R]
        statistics[f"agreement/{name}"] = _share_of_sets(problems, share_R, refinements)
    controls = {"direct_again": "extra_candidates", "selfref_swapped": "swapped_refinements"}
    for name, key in controls.items():
        sets: list[Sequence[Response]] = [getattr(episode, key) for episode in rows]
        statistics[f"controls/{name}"] = _share_of_sets(problems, list(map(_accuracy, sets)), _mean_number(sets))
    return statistics | _length_statistics(problems)


def _accuracy(responses: Sequence[Response]) -> float | None:
    return share_correct(responses) if responses else None


def _mean_number(sets: Sequence[Sequence[Response]]) -> float:
    """Mean number of responses of the sets that are not empty."""
    numbers = [len(responses) for responses in sets if responses]
    return sum(numbers) / max(len(numbers), 1)


def _share_of_sets(problems: Problems, share_R: Sequence[float | None], responses: float) -> Statistic:
    """Mean of a share over the rows that have it."""
    part_P = problems.sum(0.0 if share is None else share for share in share_R)
    return Statistic(part_P, problems.sum(share is not None for share in share_R), responses)


def _length_statistics(problems: Problems) -> Statistics:
    numbers: dict[str, tuple[Callable[[Response], float | None], Coin]] = {
        "tokens": (lambda response: response.n_tokens, AMOUNT),
        "characters": (_characters, AMOUNT),
        "cut_off": (lambda response: response.cut_off, RATE),
        "no_answer": (lambda response: response.answer is None, RATE),
    }
    statistics: Statistics = {}
    for kind in ("candidates", "refinements"):
        sets: list[Sequence[Response]] = [getattr(episode, kind) for episode in problems.rows]
        for name, (number, coin) in numbers.items():
            known = [[number(response) for response in responses] for responses in sets]
            sum_R = [None if None in values else sum(value or 0 for value in values) for values in known]
            whole_P = problems.sum(map(len, sets))
            statistics[f"lengths/{kind}/{name}"] = Statistic(problems.sum(sum_R), whole_P, coin=coin)
    return statistics


def _characters(response: Response) -> int | None:
    """Length of the text; None where a file gives the answer without the text."""
    return None if response.answer is not None and not response.text else len(response.text)


# --- rounds of a recursion --------------------------------------------------------------------------------------------


def _rounds(dataset: str, rows: Sequence[Episode]) -> dict[int, Problems]:
    by_round: dict[int, list[Episode]] = {}
    for episode in rows:
        by_round.setdefault(episode.round, []).append(episode)
    rounds = {number: Problems(by_round[number]) for number in sorted(by_round)}
    ids = set().union(*(problems.ids for problems in rounds.values()))
    for number, problems in rounds.items():
        if missing := sorted(ids - set(problems.ids)):
            raise UsageError(
                f"round {number} of {dataset} lacks {len(missing)} problems, the first is {missing[0]}: rounds are "
                'compared problem by problem; add its rows, or leave the problem or the round out ("round" is 1 '
                "where a row does not say)"
            )
    return rounds


def _round_statistics(rounds: dict[int, Problems], k: int) -> Statistics:
    """The statistics of `summarize` for each of several rounds, and its selfRef@K minus the vote of the first round."""
    if len(rounds) == 1:
        return {}
    statistics: Statistics = {}
    first_maj_P = core_statistics(next(iter(rounds.values())), k)[f"maj@{k}"].part_P
    for number, problems in rounds.items():
        core = core_statistics(problems, k)
        selfref = core[f"selfref@{k}"]
        core["gap_to_first_vote"] = mean_statistic(selfref.part_P - first_maj_P, selfref.responses, DIFFERENCE)
        statistics |= {f"rounds/{number}/{name}": statistic for name, statistic in core.items()}
    return statistics
