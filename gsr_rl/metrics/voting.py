"""Majority vote over answers, and which candidate sets are refined."""

import random
from collections.abc import Callable, Sequence
from typing import Literal

from gsr_rl.episode import Response
from gsr_rl.errors import UsageError
from rewards.answers import equivalent

Same = Callable[[str, str], bool]
Selection = Literal["all", "hard_first"]


def vote_classes(answers_K: Sequence[str | None], same: Same = equivalent) -> list[list[int]]:
    r"""Group the K answers of a set into classes of equal answers.

    Args:
        answers_K: None (no final answer) casts no vote.
        same: whether two different texts are equal, taken as an equivalence relation. An answer joins the first class
            whose first member it equals.

    Returns:
        Indices into `answers_K`, ascending within a class; classes in order of first appearance.

    >>> vote_classes(["1/2", "3", None, r"\frac{1}{2}"])
    [[0, 3], [1]]
    """
    classes: dict[str, list[int]] = {}  # keyed by the text of the first member
    representative: dict[str, str] = {}
    for index, answer in enumerate(answers_K):
        if answer is None:
            continue
        if answer not in representative:
            representative[answer] = next((first for first in classes if same(first, answer)), answer)
        classes.setdefault(representative[answer], []).append(index)
    return list(classes.values())


def plurality(answers_K: Sequence[str | None], same: Same = equivalent) -> list[list[int]]:
    """The largest classes of `vote_classes`: one, or several in a tie, or none if nobody answered.

    >>> plurality(["1", "2", "2", None])
    [[1, 2]]
    >>> plurality(["1", "2"])
    [[0], [1]]
    """
    classes = vote_classes(answers_K, same)
    most = max(map(len, classes), default=0)
    return [members for members in classes if len(members) == most]


def majority_score(answers_K: Sequence[str | None], correct_K: Sequence[bool], same: Same = equivalent) -> float:
    """Expected correctness, 0 to 1, of the plurality answer: maj@K of one set of K answers (GSR, arXiv 2509.00084).

    In a tie every tied class wins equally often. Without any answer the score is 0.0.

    Raises:
        UsageError: the two sequences differ in length.

    >>> majority_score(["1/2", "0.5", "3"], [True, True, False])
    1.0
    >>> majority_score(["1/2", "3"], [True, False])
    0.5
    """
    if len(answers_K) != len(correct_K):
        raise UsageError(f"{len(answers_K)} answers but {len(correct_K)} correctness flags; give one flag per answer")
    tied = plurality(answers_K, same)
    if not tied:
        return 0.0
    # All members of a class should share one flag. Where they do not, their mean is that of a member drawn at random.
    return sum(sum(bool(correct_K[i]) for i in members) / len(members) for members in tied) / len(tied)


def majority_score_of(responses_K: Sequence[Response]) -> float:
    """`majority_score` of a set of K responses, such as the candidates of an episode.

    >>> majority_score_of([Response("so 3", "3", correct=True), Response("no idea", None, correct=False)])
    1.0
    """
    return majority_score([response.answer for response in responses_K], [response.correct for response in responses_K])


def is_selected(selection: Selection, majority: float, easy_probability: float, rng: random.Random) -> bool:
    """Whether a candidate set is refined.

    "all" takes every set. "hard_first" takes every hard set, which is one whose majority answer is more often wrong
    than right (`majority` < 0.5), and an easy set with `easy_probability` (AggLM, arXiv 2509.06870).

    Args:
        selection: "all" or "hard_first".
        majority: `majority_score` of the set, 0 to 1.
        easy_probability: 0 to 1.
        rng: draws which easy sets are taken.

    Raises:
        UsageError: unknown selection, or a probability outside 0 to 1.

    >>> is_selected("hard_first", majority=0.25, easy_probability=0.0, rng=random.Random(0))
    True
    >>> is_selected("hard_first", majority=1.0, easy_probability=0.0, rng=random.Random(0))
    False
    """
    if not 0.0 <= easy_probability <= 1.0:
        raise UsageError(f"easy_probability is {easy_probability}; give a number from 0 to 1")
    if selection == "all":
        return True
    if selection == "hard_first":
        return majority < 0.5 or rng.random() < easy_probability
    raise UsageError(f'selection is {selection!r}; choose "all" or "hard_first"')
