"""Estimators from one pool of K responses to one problem: the mean score of a method over every subset of size k.

A pool of K responses holds C(K, k) subsets of size k. Each function averages over all of them, exactly, for every k at
once. This is the unbiased estimate for k fresh responses that has the least variance (a U-statistic). Subsets drawn at
random have more variance, and responses drawn with replacement give a biased estimate.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import comb

import numpy as np

from gsr_rl.errors import UsageError
from gsr_rl.metrics.confidence import Floats
from gsr_rl.metrics.voting import vote_classes


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate of the probability that at least one of k responses is correct.

    The k responses are drawn without replacement from n, of which c are correct. Source: Chen et al. 2021 (arXiv
    2107.03374), equation 1.

    Raises:
        UsageError: not 0 <= c <= n, or not 1 <= k <= n.

    >>> pass_at_k(n=4, c=1, k=2)
    0.5
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise UsageError(f"pass@k of n={n}, c={c}, k={k}: needs 0 <= c <= n and 1 <= k <= n")
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_at_each(correct_K: Sequence[bool], most: int) -> Floats:
    """pass@k for k = 1..most, of a pool of K >= most responses; see `pass_at_k`.

    >>> pass_at_each([True, False, False, False], most=4).tolist()
    [0.25, 0.5, 0.75, 1.0]
    """
    return np.array([pass_at_k(len(correct_K), sum(correct_K), k) for k in range(1, most + 1)])


def maj_at_each(answers_K: Sequence[str | None], correct_K: Sequence[bool], most: int) -> Floats:
    """maj@k for k = 1..most: the mean of `gsr_rl.metrics.voting.majority_score` over all subsets of size k.

    Equal answers vote together, tied answers win equally often, a response without an answer casts no vote.

    Raises:
        UsageError: the two sequences differ in length; not 1 <= most <= K; or there are more subsets than a float can
            count, as with a k in the hundreds and a K in the thousands.

    >>> maj_at_each(["1/2", "0.5", "3", None], [True, True, False, False], most=4).tolist()
    [0.5, 0.6666666666666666, 0.75, 1.0]
    """
    _check(len(answers_K), len(correct_K), most)
    classes = [(len(members), sum(correct_K[i] for i in members)) for members in vote_classes(answers_K)]
    silent = sum(answer is None for answer in answers_K)
    return _votes(tuple(sorted(classes, reverse=True)), silent, most)


@lru_cache(maxsize=16_384)
def _votes(classes: tuple[tuple[int, int], ...], silent: int, most: int) -> Floats:
    """maj@k for k = 1..most. Counts the subsets by their largest class: `top` votes, of one class or of several tied.

    Args:
        classes: number of members of each class, and of correct members among them.
        silent: number of responses without an answer.

    A class with fewer than `top` members can never reach `top` votes. It joins the silent responses, since any of its
    members may be drawn. Every other class gives either fewer than `top` votes, or exactly `top` and is then one of the
    tied classes. One tied class is marked as the winner. `ways[marked, tied, drawn]` counts the subsets of the classes
    so far; subsets with a mark are weighted by the winner's share of correct members. Each tied class wins equally
    often.
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
    """Best-of-k for k = 1..most: the correctness of the response with the highest score.

    Of responses with equal scores each is the best equally often.

    Raises:
        UsageError: as `maj_at_each`.

    >>> best_at_each([0.9, 0.1, 0.5], [True, False, False], most=3).tolist()
    [0.3333333333333333, 0.6666666666666666, 1.0]
    """
    _check(len(scores_K), len(correct_K), most)
    total, subsets = np.zeros(most + 1), _combinations(len(scores_K), most)
    lower = 0
    for score in sorted(set(scores_K)):
        right = [correct for other, correct in zip(scores_K, correct_K, strict=True) if other == score]
        # The best response of a subset has this score if no score of the subset is higher and at least one is this.
        upper = lower + len(right)
        total += (_combinations(upper, most) - _combinations(lower, most)) * sum(right) / len(right)
        lower = upper
    return total[1:] / subsets[1:]


def _check(n: int, flags: int, most: int) -> None:
    if n != flags:
        raise UsageError(f"{n} responses but {flags} correctness flags; give one flag per response")
    if not 1 <= most <= n:
        raise UsageError(f"k from 1 to {most} of {n} responses: needs at least one, and no more than there are")
