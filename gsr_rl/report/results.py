"""The results of one evaluated model, computed once for the numbers, the tables, the plots and the page."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gsr_rl.episode import Episode
from gsr_rl.errors import UsageError
from gsr_rl.metrics.all_metrics import Results, evaluate
from gsr_rl.metrics.gap import MACRO, episode_scores, paired_change

# Each set of candidates with refinements is of one kind. The tests are of its `episode_scores`.
KINDS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "all wrong, and recovered": lambda s: s["pass@k"] == 0 and s["selfref@k"] > 0,
    "vote wrong, and fixed": lambda s: s["pass@k"] == 1 and s["maj@k"] < 0.5 and s["selfref@k"] > 0,
    "vote right, and lost": lambda s: s["maj@k"] > 0.5 and s["selfref@k"] < 1,
    "vote right, and kept": lambda s: s["maj@k"] > 0.5 and s["selfref@k"] == 1,
    "vote wrong, and not fixed": lambda s: s["maj@k"] < 0.5 and s["selfref@k"] == 0,
    "vote tied": lambda s: s["maj@k"] == 0.5,
}
NOT_REFINED = "not refined"
WITHOUT_VOTE = "no answers, so no vote"


@dataclass(frozen=True)
class Evaluation:
    """A model's episodes and their results.

    Attributes:
        name: of the model, as its file of episodes is called.
        episodes: in the order of the file.
        mean: the results of the unweighted mean over the datasets, as of `gsr_rl.metrics.all_metrics.evaluate`.
        by_dataset: the results of each dataset.
        kinds: of each episode one of KINDS, or NOT_REFINED, or WITHOUT_VOTE.
    """

    name: str
    episodes: Sequence[Episode]
    mean: Results
    by_dataset: Mapping[str, Results]
    kinds: Sequence[str]

    @classmethod
    def of(cls, name: str, episodes: Sequence[Episode]) -> "Evaluation":
        """Evaluate a model's episodes.

        Raises:
            UsageError: the episodes do not belong together (`gsr_rl.metrics.gap.summarize`); names the model.
        """
        try:
            by_dataset = evaluate(episodes)
        except UsageError as error:
            raise UsageError(f"episodes/{name}.jsonl: {error}") from error
        mean = by_dataset.pop(MACRO)
        return cls(name, episodes, mean, by_dataset, [_kind(episode, by_dataset) for episode in episodes])

    def in_run(self, run: str) -> "Evaluation":
        """The same evaluation, with the name of its run in its name."""
        return replace(self, name=f"{run}: {self.name}")

    @property
    def k(self) -> int:
        """Number of candidates in a set."""
        return self.mean["k"]

    def methods(self) -> dict[str, str]:
        """Names of the methods for this K, by their names for any K: "maj@4" by "maj@K"."""
        k = self.k
        names = {f"{method}@K": f"{method}@{k}" for method in ("pass", "maj", "selfref", "first", "shortest", "bon")}
        return names | {"pass@1": "pass@1", "maj@(K+1)": f"maj@{k + 1}"}

    @property
    def is_refined(self) -> bool:
        """Whether the episodes have refinements."""
        return self.mean[f"selfref@{self.k}"] is not None

    @property
    def has_gap(self) -> bool:
        """Whether there are refinements and votes to compare."""
        return self.mean["refinement_gap"] is not None

    @property
    def pool(self) -> int:
        """The largest number of responses for which every dataset has a vote."""
        return min(len(results["by_k"]) for results in self.by_dataset.values())

    def of_kind(self, kind: str) -> list[Episode]:
        """The episodes of one kind."""
        return [episode for episode, own in zip(self.episodes, self.kinds, strict=True) if own == kind]

    def kind_counts(self) -> dict[str, int]:
        """The number of sets of each kind, in the order of KINDS."""
        found = Counter(self.kinds)
        return {kind: found[kind] for kind in (*KINDS, WITHOUT_VOTE, NOT_REFINED) if kind in KINDS or found[kind]}

    def entry(self) -> dict[str, Any]:
        """The entry of this model under "stages" in report.json."""
        k, mean = self.k, self.mean
        rates = ("pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"selfref@{k}")
        gap = ("refinement_gap", "ci_low", "ci_high")
        transitions = ("all_wrong_n", "all_wrong_recovery", "right_to_wrong", "wrong_to_right")
        return {
            "name": self.name,
            **{key: mean[key] for key in ("n", "k", *rates, *gap, *transitions)},
            "agrees_with_majority": mean["agreement"]["majority"]["value"],
            "agrees_with_none": mean["agreement"]["novel"]["value"],
            "direct_again": mean["controls"]["direct_again"]["value"],
            f"selfref_swapped@{k}": mean["controls"]["selfref_swapped"]["value"],
            "swapped_n": mean["controls"]["swapped_n"],
            **({"no_vote": mean["no_vote"]} if "no_vote" in mean else {}),
        }


def with_interval(results: Results, key: str) -> Results:
    """A statistic at the top of the results with its interval, in the form that nested statistics have."""
    low, high = results["ci"].get(key, (None, None))
    return {"value": results[key], "ci_low": low, "ci_high": high}


def _kind(episode: Episode, by_dataset: Mapping[str, Results]) -> str:
    if not episode.refinements:
        return NOT_REFINED
    if "no_vote" in by_dataset[episode.dataset]:
        return WITHOUT_VOTE
    scores = episode_scores(episode)
    return next(kind for kind, holds in KINDS.items() if holds(scores))


def changes(evaluations: Sequence[Evaluation], started_from: Mapping[str, str]) -> list[dict[str, Any]]:
    """The change of selfRef@K that each training made, compared with the model that it started from.

    Args:
        started_from: by the name of a model the evaluated model that its training started from. A model that is not in
            it is not compared.
    """
    by_name = {evaluation.name: evaluation for evaluation in evaluations}
    pairs = [
        (by_name[before], by_name[after]) for after, before in started_from.items() if {before, after} <= {*by_name}
    ]
    return [
        {"from": before.name, "to": after.name, **paired_change(before.episodes, after.episodes, "selfref@k")}
        for before, after in pairs
    ]


def differences(first: Sequence[Evaluation], other: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """How the stages of a run differ from the same stages of the first run.

    Stages with the same episodes, or without a problem in common, are left out. "rival" compares the first run's
    selfRef@K with maj@(K+1) of the other run's model, a vote of equally many responses. Of a recursion the first round
    counts. If the runs differ in K, votes are compared at the smaller K, and selfRef@K, which has no value for any
    other K than its own, is not compared; "rival" is a vote of K + 1 responses with the K of the first run.
    """
    by_name = {evaluation.name: evaluation for evaluation in first}
    shared = [evaluation for evaluation in other if evaluation.name in by_name]
    rows = [
        _difference(by_name[evaluation.name], evaluation)
        for evaluation in shared
        if by_name[evaluation.name].episodes != evaluation.episodes
    ]
    return [row for row in rows if row["pass@1"]["n"]]


def _difference(first: Evaluation, other: Evaluation) -> dict[str, Any]:
    before, after, k = first.episodes, other.episodes, min(first.k, other.k)
    row: dict[str, Any] = {
        "name": other.name,
        "k": [first.k, other.k],
        "pass@1": paired_change(before, after, "pass@1"),
    }
    for method in ("maj@k", "maj@k+1"):
        row[method] = paired_change(before, after, method, before_k=k, after_k=k)
    same_size = first.k == other.k
    row["selfref@k"] = paired_change(before, after if same_size else [], "selfref@k")
    row["rival"] = paired_change(after, before, "selfref@k", before_method="maj@k+1", before_k=first.k)
    return row
