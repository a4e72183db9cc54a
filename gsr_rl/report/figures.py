"""The figures of one evaluated model, computed once for the numbers, the tables, the pictures and the page alike."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from gsr_rl.episode import Episode
from gsr_rl.errors import UsageError
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.metrics.gap import MACRO, episode_scores, paired_change

Figures = Mapping[str, Any]

TRAINED = ("base", "sft", "grpo")  # the stages of one run, in their order
# Each set of candidates with refinements is of one kind.
KINDS: dict[str, Callable[[Figures], bool]] = {
    "all wrong, and recovered": lambda s: s["pass@k"] == 0 and s["selfref@k"] > 0,
    "vote wrong, and mended": lambda s: s["pass@k"] == 1 and s["maj@k"] < 0.5 and s["selfref@k"] > 0,
    "vote right, and lost": lambda s: s["maj@k"] > 0.5 and s["selfref@k"] < 1,
    "vote right, and kept": lambda s: s["maj@k"] > 0.5 and s["selfref@k"] == 1,
    "vote wrong, and not mended": lambda s: s["maj@k"] < 0.5 and s["selfref@k"] == 0,
    "vote tied": lambda s: s["maj@k"] == 0.5,
}
NOT_REFINED = "not refined"


@dataclass(frozen=True)
class Evaluation:
    """A model's episodes and their figures.

    `mean` holds the figures of the unweighted mean over the datasets, `by_dataset` those of each;
    `kinds` one of KINDS, or NOT_REFINED, for each of the episodes.
    """

    name: str
    episodes: Sequence[Episode]
    mean: Figures
    by_dataset: Mapping[str, Figures]
    kinds: Sequence[str]

    @classmethod
    def of(cls, name: str, episodes: Sequence[Episode]) -> "Evaluation":
        """All figures of a model.

        Raises:
            UsageError: the episodes do not go together (`gsr_rl.metrics.gap.summarize`); names the model.
        """
        try:
            figures = evaluate(episodes)
        except UsageError as error:
            raise UsageError(f"episodes/{name}.jsonl: {error}") from error
        return cls(name, episodes, figures.pop(MACRO), figures, [_kind(one) for one in episodes])

    def in_run(self, run: str) -> "Evaluation":
        """The same under a name that tells whose it is."""
        return replace(self, name=f"{run}: {self.name}")

    @property
    def k(self) -> int:
        return self.mean["k"]

    def methods(self) -> dict[str, str]:
        """Names of the methods, as this K has them, by what they are called for any K."""
        k = self.k
        names = {f"{method}@K": f"{method}@{k}" for method in ("pass", "maj", "selfref", "first", "shortest", "bon")}
        return names | {"pass@1": "pass@1", "maj@(K+1)": f"maj@{k + 1}"}

    @property
    def is_refined(self) -> bool:
        return self.mean["refinement_gap"] is not None

    @property
    def pool(self) -> int:
        """The most responses of a problem over which there are votes in every dataset."""
        return min(len(one["by_k"]) for one in self.by_dataset.values())

    def of_kind(self, kind: str) -> list[Episode]:
        return [one for one, own in zip(self.episodes, self.kinds, strict=True) if own == kind]

    def kind_counts(self) -> dict[str, int]:
        """How many sets there are of each kind, in the order of KINDS."""
        found = Counter(self.kinds)
        return {kind: found[kind] for kind in (*KINDS, NOT_REFINED) if kind != NOT_REFINED or found[kind]}

    def entry(self) -> dict[str, Any]:
        """An entry of "stages" in report.json."""
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
        }


def estimate(figures: Figures, key: str) -> Figures:
    """A figure at the top of an evaluation's with its interval, in the form of the nested ones."""
    low, high = figures["ci"].get(key, (None, None))
    return {"value": figures[key], "ci_low": low, "ci_high": high}


def _kind(episode: Episode) -> str:
    if not episode.refinements:
        return NOT_REFINED
    scores = episode_scores(episode)
    return next(kind for kind, holds in KINDS.items() if holds(scores))


def changes(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """What each stage of training has changed of selfRef@K against the one before it."""
    trained = [one for one in evaluations if one.name in TRAINED]
    return [
        {"from": before.name, "to": after.name, **paired_change(before.episodes, after.episodes, "selfref@k")}
        for before, after in pairwise(trained)
    ]


def differences(first: Sequence[Evaluation], other: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """How a run's stages differ from the same stages of another, where they have problems but not episodes in common.

    "rival" sets the first run's selfRef@K against a vote of as many responses, maj@(K+1), of the other run's model.
    """
    by_name = {one.name: one.episodes for one in first}
    stages = [(one.name, by_name[one.name], one.episodes) for one in other if one.name in by_name]
    rows = [
        {
            "name": name,
            **{method: paired_change(before, after, method) for method in ("pass@1", "maj@k", "maj@k+1", "selfref@k")},
            "rival": paired_change(after, before, "selfref@k", before_method="maj@k+1"),
        }
        for name, before, after in stages
        if before != after
    ]
    return [row for row in rows if row["pass@1"]["n"]]
