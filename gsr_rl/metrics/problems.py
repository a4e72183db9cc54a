"""The rows of an evaluation, grouped into datasets and problems."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gsr_rl.episode import Episode
from gsr_rl.metrics.confidence import Floats


def group(episodes: Iterable[Episode], key: Callable[[Episode], str]) -> dict[str, list[Episode]]:
    """Episodes by `key`, with the keys in ascending order."""
    groups: dict[str, list[Episode]] = {}
    for episode in episodes:
        groups.setdefault(key(episode), []).append(episode)
    return dict(sorted(groups.items()))


class Problems:
    """The R rows of one dataset, grouped into its P problems.

    Attributes:
        rows: the episodes, in the order given.
        ids: of the problems, in ascending order, which is the order of P.
    """

    def __init__(self, rows: Sequence[Episode]) -> None:
        index = {name: number for number, name in enumerate(sorted({episode.id for episode in rows}))}
        self.rows = rows
        self.ids = list(index)
        self._problem_R = np.array([index[episode.id] for episode in rows])
        self._repeats_P = np.bincount(self._problem_R)

    def sum(self, values_R: Iterable[float | None]) -> Floats:
        """Sum of a value over the rows of each problem, shape (P,); NaN where a row's value is None."""
        values = np.array(list(values_R), dtype=np.float64)
        return np.bincount(self._problem_R, weights=values).astype(np.float64)

    def mean(self, values_R: Iterable[float | None]) -> Floats:
        """Mean of a value over the rows of each problem, shape (P,); NaN where a row's value is None."""
        return self.sum(values_R) / self._repeats_P

    def per_problem(self, number: Callable[[Episode], float]) -> float:
        """Mean over the problems of a number that is added up over the rows of each problem."""
        return float(self.sum(map(number, self.rows)).mean())


def has_answers(rows: Iterable[Episode]) -> bool:
    """Whether any response has an answer. Without any there is no vote, and so no gap: there is nothing to vote on."""
    return any(
        response.answer is not None
        for episode in rows
        for response in (*episode.candidates, *episode.extra_candidates, *episode.refinements)
    )
