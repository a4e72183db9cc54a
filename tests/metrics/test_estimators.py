"""gsr_rl.metrics.estimators against brute force over all subsets, and closed forms."""

from collections import Counter
from fractions import Fraction
from itertools import combinations
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_rl.errors import UsageError
from gsr_rl.metrics.estimators import best_at_each, maj_at_each, pass_at_each, pass_at_k


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_against_all_subsets(case: tuple[int, int, int]) -> None:
    n, c, k = case
    subsets = list(combinations(range(n), k))
    hits = sum(any(index < c for index in subset) for subset in subsets)
    assert pass_at_k(n, c, k) == pytest.approx(hits / len(subsets))
    assert pass_at_each([index < c for index in range(n)], n)[k - 1] == pass_at_k(n, c, k)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0)])
def test_pass_at_k_out_of_range(n: int, c: int, k: int) -> None:
    with pytest.raises(UsageError, match=f"n={n}"):
        pass_at_k(n, c, k)


def vote(subset: tuple[tuple[str | None, bool], ...]) -> Fraction:
    """Expected correctness of the vote, counted out."""
    votes = Counter(answer for answer, _ in subset if answer is not None)
    winners = [answer for answer, count in votes.items() if count == max(votes.values())]
    shares = [[right for answer, right in subset if answer == winner] for winner in winners]
    return sum((Fraction(sum(flags), len(flags)) for flags in shares), Fraction()) / max(len(winners), 1)


# Correctness is drawn apart from the answer: in files of other programs members of a class may differ in it.
pools = st.lists(st.tuples(st.none() | st.sampled_from("0123"), st.booleans()), min_size=1, max_size=9)


@settings(max_examples=200)
@given(pools)
def test_maj_at_k_against_all_subsets(pool: list[tuple[str | None, bool]]) -> None:
    found = maj_at_each([answer for answer, _ in pool], [right for _, right in pool], len(pool))
    for k in range(1, len(pool) + 1):
        expected = sum((vote(subset) for subset in combinations(pool, k)), Fraction()) / comb(len(pool), k)
        assert found[k - 1] == pytest.approx(float(expected), abs=1e-12), k


@given(pools, st.integers(1, 9))
def test_a_shorter_sweep_is_the_start_of_a_longer_one(pool: list[tuple[str | None, bool]], most: int) -> None:
    answers, correct = [answer for answer, _ in pool], [right for _, right in pool]
    most = min(most, len(pool))
    assert maj_at_each(answers, correct, most) == pytest.approx(maj_at_each(answers, correct, len(pool))[:most])


def test_maj_at_k_where_equal_answers_are_written_differently() -> None:
    # two right ones in two spellings against one wrong one: of the three pairs one is right and two are tied
    found = maj_at_each(["1/2", "3", "0.5"], [True, False, True], 3)
    assert found == pytest.approx([2 / 3, (1 + 1 / 2 + 1 / 2) / 3, 1])


def test_maj_at_k_of_two_classes_is_a_hypergeometric_tail() -> None:
    """40 of 64 responses are right and 24 agree on a wrong answer: the vote is right where most of k are."""
    n, right = 64, 40
    found = maj_at_each(["1"] * right + ["2"] * (n - right), [True] * right + [False] * (n - right), n)
    for k in range(1, n + 1):
        wins = sum(comb(right, i) * comb(n - right, k - i) for i in range(k + 1) if 2 * i > k)
        ties = comb(right, k // 2) * comb(n - right, k // 2) if k % 2 == 0 else 0
        assert found[k - 1] == pytest.approx((wins + ties / 2) / comb(n, k)), k


def test_maj_at_k_where_all_answers_differ() -> None:
    """A vote among k different answers is a draw of one of them: pass@1, whatever k is."""
    found = maj_at_each([str(i) for i in range(64)], [i < 16 for i in range(64)], 64)
    assert found == pytest.approx([0.25] * 64)


def test_maj_at_k_without_answers() -> None:
    # one of four has an answer, which wins wherever it is: k / 4 of the subsets
    assert maj_at_each([None, None, "1", None], [False, False, True, False], 4) == pytest.approx(
        [1 / 4, 1 / 2, 3 / 4, 1]
    )
    assert list(maj_at_each([None, None], [True, True], 2)) == [0.0, 0.0]


def test_a_large_pool() -> None:
    """10,000 responses, 60 % right and the rest in one wrong class; by the binomial tail where k is far below them."""
    found = maj_at_each(["1"] * 6_000 + ["2"] * 4_000, [True] * 6_000 + [False] * 4_000, 51)
    tail = sum(comb(51, i) * 0.6**i * 0.4 ** (51 - i) for i in range(26, 52))
    assert found[50] == pytest.approx(tail, abs=1e-3)


def test_more_subsets_than_a_float_can_count() -> None:
    with pytest.raises(UsageError, match="2000 responses have more sets of 1000 than a number can hold"):
        maj_at_each(["1"] * 2_000, [True] * 2_000, 1_000)


scored = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8)


@given(scored)
def test_best_of_k_against_all_subsets(pool: list[tuple[int, bool]]) -> None:
    found = best_at_each([score for score, _ in pool], [right for _, right in pool], len(pool))
    for k in range(1, len(pool) + 1):
        total = Fraction()
        for subset in combinations(pool, k):
            best = [right for score, right in subset if score == max(other for other, _ in subset)]
            total += Fraction(sum(best), len(best))
        assert found[k - 1] == pytest.approx(float(total / comb(len(pool), k))), k


def test_best_of_k_by_a_perfect_score_is_pass_at_k() -> None:
    correct = [True, False, False, True, False]
    assert best_at_each([float(flag) for flag in correct], correct, 5) == pytest.approx(pass_at_each(correct, 5))


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match="2 responses but 1 correctness flags"):
        maj_at_each(["1", "2"], [True], 1)
    for most in (0, 3):
        with pytest.raises(UsageError, match=f"from 1 to {most} of 2 responses"):
            best_at_each([1.0, 2.0], [True, False], most)
