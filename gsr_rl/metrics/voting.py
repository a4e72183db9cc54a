"""Majority vote over answers, and which candidate sets go on to refinement."""

import random
from collections.abc import Callable, Sequence
from typing import Literal

from gsr_rl.errors import UsageError
from rewards.answers import equivalent

Same = Callable[[str, str], bool]
Selection = Literal["all", "hard_first"]


def vote_classes(answers: Sequence[str | None], same: Same = equivalent) -> list[list[int]]:
    """Group the K answers into classes of equal ones.

    Args:
        answers: answers_K; None (no final answer) casts no vote.
        same: equality of two different texts, taken as an equivalence relation: an answer joins the first class whose
            first member it equals.

    Returns:
        Indices into `answers`, ascending within a class; classes in order of first appearance.
    """
    classes: dict[str, list[int]] = {}  # keyed by the text of the first member
    representative: dict[str, str] = {}
    for index, answer in enumerate(answers):
        if answer is None:
            continue
        if answer not in representative:
            representative[answer] = next((first for first in classes if same(first, answer)), answer)
        classes.setdefault(representative[answer], []).append(index)
    return list(classes.values())


def plurality(answers: Sequence[str | None], same: Same = equivalent) -> list[list[int]]:
    """The largest classes of `vote_classes`: one, or several in a tie, or none if nobody answered."""
    classes = vote_classes(answers, same)
    most = max(map(len, classes), default=0)
    return [members for members in classes if len(members) == most]


def majority_score(answers: Sequence[str | None], correct: Sequence[bool], same: Same = equivalent) -> float:
    """Expected correctness, 0 to 1, of the plurality answer: maj@K of one set of K answers (GSR, arXiv 2509.00084).

    A tie counts by its share: the winner is drawn evenly from the tied classes. Without any answer the score is 0.0.

    Raises:
        UsageError: the two sequences differ in length.
    """
    if len(answers) != len(correct):
        raise UsageError(f"{len(answers)} answers but {len(correct)} correctness flags; give one flag an answer")
    tied = plurality(answers, same)
    if not tied:
        return 0.0
    # all members of a class should share one flag; where they do not, the mean stands for a member drawn at random
    return sum(sum(bool(correct[i]) for i in members) / len(members) for members in tied) / len(tied)


def is_selected(selection: Selection, majority: float, easy_probability: float, rng: random.Random) -> bool:
    """Whether a candidate set goes on to refinement.

    "all" takes every set. "hard_first" takes every hard set, one whose majority answer is more often wrong than right
    (`majority` < 0.5), and an easy one with `easy_probability` (AggLM, arXiv 2509.06870).

    Raises:
        UsageError: unknown selection, or a probability outside 0 to 1.
    """
    if not 0.0 <= easy_probability <= 1.0:
        raise UsageError(f"easy_probability is {easy_probability}; give a number from 0 to 1")
    if selection == "all":
        return True
    if selection == "hard_first":
        return majority < 0.5 or rng.random() < easy_probability
    raise UsageError(f'selection is {selection!r}; choose "all" or "hard_first"')
