"""All that is measured of a file of episodes: the gap, its rivals, and why; every figure with its interval.

A figure's name is its place in the result: "maj@4" stands at the top, "by_k/3/maj@k" under by_k and 3.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.metrics.baselines import Figures, method_figures, sweep_figures, token_figures
from gsr_rl.metrics.confidence import AMOUNT, DIFFERENCE, RATE, Coin, Estimate, Figure, estimate, mean_figure
from gsr_rl.metrics.gap import MACRO, Problems, agreement, check, core_counts, core_figures, group, share_correct

Counts = dict[str, int]


def evaluate(episodes: Sequence[Episode], k: int | None = None) -> dict[str, dict[str, Any]]:
    """All figures per dataset, and under "macro" their unweighted mean over the datasets in which they are defined.

    Args:
        episodes, k: as for `gsr_rl.metrics.gap.summarize`. Of several rounds the first counts;
            "rounds" has them all.

    Returns:
        {dataset: {...}}: the figures of `summarize` and those that docs/metrics.md lists. Those at the top have their
        intervals in "ci", {figure: [low, high]}; nested ones are {"value", "ci_low", "ci_high"}. None where undefined.
        Counts of "macro" are totals.

    Raises:
        UsageError: as `summarize`; or the rounds of a dataset are not of the same problems.
    """
    k = check(episodes, k)
    figures: dict[str, Figures] = {}
    counts: dict[str, Counts] = {}
    for dataset, rows in group(episodes, lambda episode: episode.dataset).items():
        rounds = _rounds(dataset, rows)
        problems = next(iter(rounds.values()))
        methods = method_figures(problems, k)
        figures[dataset] = methods | token_figures(problems, k, methods) | sweep_figures(problems)
        figures[dataset] |= why_figures(problems) | _round_figures(rounds, k)
        counts[dataset] = _counts(problems, methods["refinement_gap"], k)
    estimates, macro = estimate(figures)
    totals: Counts = {}
    for name, count in (item for one in counts.values() for item in one.items()):
        totals[name] = totals.get(name, 0) + count
    result = {dataset: _nested(counts[dataset], estimates[dataset]) for dataset in figures}
    return result | {MACRO: _nested(totals | {"k": k}, macro)}


def _nested(counts: Counts, estimates: dict[str, Estimate]) -> dict[str, Any]:
    top = {name: one for name, one in estimates.items() if "/" not in name}
    gap = top["refinement_gap"]
    result: dict[str, Any] = {name: count for name, count in counts.items() if "/" not in name}
    result |= {name: one.value for name, one in top.items()} | {"ci_low": gap.low, "ci_high": gap.high}
    result["ci"] = {name: [one.low, one.high] for name, one in top.items() if one.value is not None}
    nested = {name: one.as_dict() for name, one in estimates.items()} | counts
    for name, leaf in nested.items():
        *path, last = name.split("/")
        place = result
        for part in path:
            place = place.setdefault(part, {})
        if path:
            place[last] = leaf
    return result


def _counts(problems: Problems, gap: Figure, k: int) -> Counts:
    sets = [one for one in problems.rows if one.refinements]
    correct = [sum(r.correct for r in one.candidates) for one in sets]
    decided = gap.part_P[np.abs(gap.part_P) > 1e-12] if gap.value is not None else np.array([])
    return core_counts(problems.rows, k) | {
        "sets": len(problems.rows),
        "decided_n": len(decided),
        "decided_for_n": int((decided > 0).sum()),
        "agreement/n": len(sets),
        "controls/swapped_n": sum(bool(one.swapped_refinements) for one in problems.rows),
        **{f"by_correct/{c}/n": correct.count(c) for c in range(_most_candidates(problems) + 1)},
    }


def _most_candidates(problems: Problems) -> int:
    return max(len(one.candidates) for one in problems.rows)


# --- why: shares of sets and of responses, each of which weighs the same ----------------------------------------------


def why_figures(problems: Problems) -> Figures:
    """Why the gap is what it is.

    "by_correct": accuracy by the number of correct candidates (GSR, arXiv 2509.00084, analyses this as N_c);
    "agreement": see `gsr_rl.metrics.gap.agreement`; "controls": selfRef@K means something where it is above both,
    direct responses that the refiner did not see, and refinements of another problem's candidates; "lengths".
    """
    rows = problems.rows
    m = _mean_number([one.refinements for one in rows])
    correct = [sum(r.correct for r in one.candidates) for one in rows]
    accuracy = [_accuracy(one.refinements) for one in rows]
    figures: Figures = {}
    for count in range(_most_candidates(problems) + 1):
        of_count = [share if c == count else None for share, c in zip(accuracy, correct, strict=True)]
        figures[f"by_correct/{count}/accuracy"] = _share_of_sets(problems, of_count, m)
    shares = [agreement(one) if one.refinements else {} for one in rows]
    for name in ("majority", "any_candidate", "novel", "no_answer"):
        figures[f"agreement/{name}"] = _share_of_sets(problems, [one.get(name) for one in shares], m)
    controls = {"direct_again": "extra_candidates", "selfref_swapped": "swapped_refinements"}
    for name, key in controls.items():
        sets: list[Sequence[Response]] = [getattr(one, key) for one in rows]
        figures[f"controls/{name}"] = _share_of_sets(problems, [_accuracy(one) for one in sets], _mean_number(sets))
    return figures | _length_figures(problems)


def _accuracy(responses: Sequence[Response]) -> float | None:
    return share_correct(responses) if responses else None


def _mean_number(sets: Sequence[Sequence[Response]]) -> float:
    numbers = [len(one) for one in sets if one]
    return sum(numbers) / max(len(numbers), 1)


def _share_of_sets(problems: Problems, share_R: Sequence[float | None], responses: float) -> Figure:
    """Mean of a share over the rows that have it."""
    part_P = problems.sum(0.0 if share is None else share for share in share_R)
    return Figure(part_P, problems.sum(share is not None for share in share_R), responses)


def _length_figures(problems: Problems) -> Figures:
    numbers: dict[str, tuple[Callable[[Response], float | None], Coin]] = {
        "tokens": (lambda one: one.n_tokens, AMOUNT),
        "characters": (lambda one: None if one.answer is not None and not one.text else len(one.text), AMOUNT),
        "cut_off": (lambda one: one.cut_off, RATE),
        "no_answer": (lambda one: one.answer is None, RATE),
    }
    figures: Figures = {}
    for kind in ("candidates", "refinements"):
        sets: list[Sequence[Response]] = [getattr(one, kind) for one in problems.rows]
        for name, (number, coin) in numbers.items():
            known = [[number(one) for one in responses] for responses in sets]
            sums = [None if None in row else sum(one or 0 for one in row) for row in known]
            figures[f"lengths/{kind}/{name}"] = Figure(problems.sum(sums), problems.sum(map(len, sets)), coin=coin)
    return figures


# --- rounds of a recursion --------------------------------------------------------------------------------------------


def _rounds(dataset: str, rows: Sequence[Episode]) -> dict[int, Problems]:
    by_round: dict[int, list[Episode]] = {}
    for episode in rows:
        by_round.setdefault(episode.round, []).append(episode)
    rounds = {number: Problems(by_round[number]) for number in sorted(by_round)}
    asked = set().union(*(problems.ids for problems in rounds.values()))
    for number, problems in rounds.items():
        if missing := sorted(asked - set(problems.ids)):
            raise UsageError(
                f"round {number} of {dataset} lacks {len(missing)} problems, the first is {missing[0]}: rounds are "
                'compared problem by problem; add its rows, or leave the problem or the round out ("round" is 1 '
                "where a row does not say)"
            )
    return rounds


def _round_figures(rounds: dict[int, Problems], k: int) -> Figures:
    """The figures of `summarize` for each of several rounds, and its selfRef@K less the vote of the first."""
    if len(rounds) == 1:
        return {}
    figures: Figures = {}
    first_maj_P = core_figures(next(iter(rounds.values())), k)[f"maj@{k}"].part_P
    for number, problems in rounds.items():
        core = core_figures(problems, k)
        selfref = core[f"selfref@{k}"]
        core["gap_to_first_vote"] = mean_figure(selfref.part_P - first_maj_P, selfref.responses, DIFFERENCE)
        figures |= {f"rounds/{number}/{name}": figure for name, figure in core.items()}
    return figures
