"""A problem's difficulty for the student, measured by its pass rate: the share of its own samples that are right."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from data_prep.tables import iter_rows
from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError

ProblemKey = tuple[str, str]  # dataset and id


def pass_rates(path: str | Path) -> dict[ProblemKey, float]:
    """The share of right candidates of each problem, over all its episodes in a .jsonl file.

    Candidates that the refiner did not see (`extra_candidates`) count too. Problems without any candidate are left
    out. Episodes are read one by one, so that a file of any length takes little memory.

    Raises:
        UsageError: the file cannot be read, or a line is not an episode. The error names the file and the row.
    """
    right: dict[ProblemKey, int] = {}
    sampled: dict[ProblemKey, int] = {}
    for number, row in iter_rows(path, ["dataset", "id", "candidates"]):
        try:
            episode = Episode.from_dict(row)
        except UsageError as error:
            raise UsageError(f"{path}: row {number}: {error}") from error
        key, samples = (episode.dataset, episode.id), (*episode.candidates, *episode.extra_candidates)
        right[key] = right.get(key, 0) + sum(response.correct for response in samples)
        sampled[key] = sampled.get(key, 0) + len(samples)
    return {key: right[key] / n for key, n in sampled.items() if n}


def select(
    problems: Sequence[Problem],
    rates: Mapping[ProblemKey, float],
    *,
    lowest: float,
    highest: float,
    keep_unsampled: bool,
) -> tuple[list[Problem], dict[str, int]]:
    """Keep the problems whose pass rate is from `lowest` to `highest`, in order.

    Args:
        keep_unsampled: whether problems without a pass rate stay.

    Returns:
        The problems that stay; and how many are kept, below, above and unsampled.
    """
    kept: list[Problem] = []
    counts = {"kept": 0, "below": 0, "above": 0, "unsampled": 0}
    for problem in problems:
        rate = rates.get((problem.dataset, problem.id))
        if rate is None:
            counts["unsampled"] += 1
            stays = keep_unsampled
        else:
            counts["below"] += rate < lowest
            counts["above"] += rate > highest
            stays = lowest <= rate <= highest
        if stays:
            kept.append(problem)
    counts["kept"] = len(kept)
    return kept, counts
