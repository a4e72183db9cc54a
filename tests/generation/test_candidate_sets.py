"""Sets of candidates that are drawn from a pool."""

import itertools
import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gsr_rl.episode import Episode, Response
from gsr_rl.generation.candidate_sets import draw_sets, show
from gsr_rl.prompts import PromptSet, Tokenizer, shown_order, shuffled_order


def episode(*correct: bool) -> Episode:
    return Episode("p", "d", "1 + 1?", "2", tuple(Response(f"text {i}", "2", c) for i, c in enumerate(correct)))


@given(st.integers(1, 7), st.integers(0, 4), st.integers(1, 40), st.integers(0, 9))
def test_sets_are_different_subsets_that_seed_and_problem_determine(k: int, more: int, sets: int, seed: int) -> None:
    pool = k + more
    sets = min(sets, math.comb(pool, k))
    drawn = draw_sets(pool, k, sets, seed, "p")
    assert len(drawn) == sets == len({frozenset(order) for order in drawn})
    assert all(len(order) == k and set(order) <= set(range(pool)) for order in drawn)
    assert draw_sets(pool, k, sets, seed, "p") == drawn


def test_all_sets_can_be_drawn_and_each_as_often_as_another() -> None:
    assert {frozenset(order) for order in draw_sets(5, 2, 10, 0, "p")} == {
        frozenset(pair) for pair in itertools.combinations(range(5), 2)
    }
    # One set for each of 6000 problems. Each of the 10 sets is expected 600 times; the standard deviation is
    # sqrt(6000 * 0.1 * 0.9) = 23.
    counts = Counter(frozenset(draw_sets(5, 2, 1, 0, str(i))[0]) for i in range(6000))
    assert len(counts) == 10 and all(600 - 5 * 23 < n < 600 + 5 * 23 for n in counts.values())


def test_a_pool_of_k_is_the_only_set_in_the_order_of_evaluation() -> None:
    for problem_id in ("a", "b", "c"):
        order = shown_order(4, 7, problem_id)
        assert order == shuffled_order(4, 7, "eval", problem_id, "order")  # as in journals of earlier runs
        assert draw_sets(4, 4, 1, 7, problem_id) == [order]


def test_a_set_is_shown_in_its_order(tokenizer: Tokenizer) -> None:
    pool = episode(True, False, True)
    shown, ids = show(pool, [2, 0], PromptSet(), tokenizer, 4096, {})
    assert [(candidate.text, candidate.correct) for candidate in shown.candidates] == [
        ("text 2", True),
        ("text 0", True),
    ]
    prompt = tokenizer.decode(ids, skip_special_tokens=True)
    assert "Candidate solution 1:\ntext 2\n\nCandidate solution 2:\ntext 0" in prompt and "text 1" not in prompt
