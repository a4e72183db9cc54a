"""How hard a problem is for the student: the share of its own samples that were right."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.tables import iter_rows
from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError

Key = tuple[str, str]  # dataset and id


def pass_rates(path: str | Path) -> dict[Key, float]:
    """The share of right candidates of each problem, over all its episodes in a .jsonl file, one read at a time.

    Candidates that the refiner did not see (`extra_candidates`) count too.

    Raises:
        UsageError: the file cannot be read, or a line is no episode; names file and row.
    """
    right: dict[Key, int] = {}
    sampled: dict[Key, int] = {}
    for number, row in enumerate(iter_rows(path, ["dataset", "id", "candidates"]), start=1):
        try:
            episode = Episode.from_dict(row)
        except UsageError as error:
            raise UsageError(f"{path}: row {number}: {error}") from error
        key, samples = (episode.dataset, episode.id), (*episode.candidates, *episode.extra_candidates)
        right[key] = right.get(key, 0) + sum(one.correct for one in samples)
        sampled[key] = sampled.get(key, 0) + len(samples)
    return {key: right[key] / n for key, n in sampled.items() if n}


def select(
    problems: Sequence[Problem], rates: Mapping[Key, float], *, lowest: float, highest: float, keep_unsampled: bool
) -> tuple[list[Problem], dict[str, int]]:
    """The problems whose pass rate is from `lowest` to `highest`, in order, and the counts of all.

    Returns:
        The problems, and how many were kept, below, above and unsampled.
    """
    kept: list[Problem] = []
    counts = {"kept": 0, "below": 0, "above": 0, "unsampled": 0}
    for problem in problems:
        rate = rates.get((problem.dataset, problem.id))
        counts["unsampled"] += rate is None
        counts["below"] += rate is not None and rate < lowest
        counts["above"] += rate is not None and rate > highest
        if keep_unsampled if rate is None else lowest <= rate <= highest:
            kept.append(problem)
    counts["kept"] = len(kept)
    return kept, counts
