"""Estimators from one pool of responses to one problem: the mean score of a method over every subset of size k.

A pool of K responses holds C(K, k) sets of k, and each function here averages over all of them, exactly, for every k at
once. That is the unbiased estimate for k fresh responses of the least variance (a U-statistic); drawing sets at random
has more, and drawing responses with replacement has a bias.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from gsr_rl.errors import UsageError
from gsr_rl.metrics.voting import vote_classes

Floats = NDArray[np.float64]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that k responses, drawn without replacement from n of which c are correct, hold a correct one.

    Source: Chen et al. 2021 (arXiv 2107.03374), equation 1.

    Raises:
        UsageError: not 0 <= c <= n, or not 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise UsageError(f"pass@k of n={n}, c={c}, k={k}: needs 0 <= c <= n and 1 <= k <= n")
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_at_each(correct_K: Sequence[bool], most: int) -> Floats:
    """pass@k for k = 1..most, of a pool of K >= most responses; see `pass_at_k`."""
    return np.array([pass_at_k(len(correct_K), sum(correct_K), k) for k in range(1, most + 1)])


def maj_at_each(answers_K: Sequence[str | None], correct_K: Sequence[bool], most: int) -> Floats:
    """maj@k for k = 1..most: the mean of `gsr_rl.metrics.voting.majority_score` over all subsets of size k.

    Equal answers vote together, a tie counts by its share, a response without an answer casts no vote.

    Raises:
        UsageError: the two sequences differ in length; not 1 <= most <= K; or so many subsets that a float cannot count
            them, as with a k in the hundreds of a K in the thousands.
    """
    _check(len(answers_K), len(correct_K), most)
    classes = [(len(members), sum(correct_K[i] for i in members)) for members in vote_classes(answers_K)]
    silent = sum(answer is None for answer in answers_K)
    return _votes(tuple(sorted(classes, reverse=True)), silent, most)


@lru_cache(maxsize=16_384)
def _votes(classes: tuple[tuple[int, int], ...], silent: int, most: int) -> Floats:
    """Counts the subsets by their largest class: `top` votes, reached by one class or by several in a tie.

    Args:
        classes: number of members, and of correct ones among them.

    A class with fewer than `top` members can never reach it and joins the silent ones: any of its members may be drawn.
    Every other class gives fewer than `top` votes, or exactly that many, and is then one of the tied; one of the tied
    is marked as the winner. `ways[marked, tied, drawn]` counts the subsets of the classes so far, those with a mark
    weighted by the winner's share of correct members. Each of the tied wins equally often.
    """
    n = silent + sum(size for size, _ in classes)
    total, subsets = np.zeros(most + 1), _combinations(n, most)
    for top in range(1, min(most, max((size for size, _ in classes), default=0)) + 1):
        able = [(size, right) for size, right in classes if size >= top]
        most_tied = min(len(able), most // top)
        ways = np.zeros((2, most_tied + 1, most + 1))
        ways[0, 0] = _combinations(n - sum(size for size, _ in able), most)
        for size, right in able:
            before, ways = ways, np.zeros_like(ways)
            for votes in range(top):
                ways[:, :, votes:] += float(comb(size, votes)) * before[:, :, : most + 1 - votes]
            reached = float(comb(size, top)) * before[:, :-1, : most + 1 - top]
            ways[:, 1:, top:] += reached
            ways[1, 1:, top:] += reached[0] * right / size
        total += (ways[1, 1:] / np.arange(1, most_tied + 1)[:, None]).sum(axis=0)
    return total[1:] / subsets[1:]


def _combinations(n: int, most: int) -> Floats:
    try:
        return np.array([float(comb(n, k)) for k in range(most + 1)])
    except OverflowError as error:
        raise UsageError(
            f"{n} responses have more sets of {most} than a number can hold; choose a smaller k"
        ) from error


def best_at_each(scores_K: Sequence[float], correct_K: Sequence[bool], most: int) -> Floats:
    """Best-of-k for k = 1..most: the correctness of the response with the highest score; equal scores share.

    Raises:
        UsageError: as `maj_at_each`.
    """
    _check(len(scores_K), len(correct_K), most)
    total, subsets = np.zeros(most + 1), _combinations(len(scores_K), most)
    lower = 0
    for score in sorted(set(scores_K)):
        right = [correct for one, correct in zip(scores_K, correct_K, strict=True) if one == score]
        # the best of a subset is one of these if the subset has none above and one of these
        upper = lower + len(right)
        total += (_combinations(upper, most) - _combinations(lower, most)) * sum(right) / len(right)
        lower = upper
    return total[1:] / subsets[1:]


def _check(n: int, flags: int, most: int) -> None:
    if n != flags:
        raise UsageError(f"{n} responses but {flags} correctness flags; give one flag a response")
    if not 1 <= most <= n:
        raise UsageError(f"k from 1 to {most} of {n} responses: needs at least one, and no more than there are")
