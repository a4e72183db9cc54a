"""Pools of candidates, sets drawn from them, and difficulty."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.generation.candidates import difficulty, draw_sets, show
from gsr_rl.prompts import PromptSet, Tokenizer, shuffled_order
from gsr_rl.settings.teach import check_sets


def episode(*correct: bool) -> Episode:
    return Episode("p", "d", "1 + 1?", "2", tuple(Response(f"text {i}", "2", c) for i, c in enumerate(correct)))


@given(st.integers(1, 7), st.integers(0, 4), st.integers(1, 40), st.integers(0, 9))
def test_sets_are_different_subsets_that_seed_and_problem_determine(k: int, more: int, sets: int, seed: int) -> None:
    pool = k + more
    sets = min(sets, math.comb(pool, k))
    drawn = draw_sets(pool, k, sets, seed, "p")
    assert len(drawn) == sets == len({frozenset(one) for one in drawn})
    assert all(len(one) == k and set(one) <= set(range(pool)) for one in drawn)
    assert draw_sets(pool, k, sets, seed, "p") == drawn


def test_all_sets_can_be_drawn_and_each_as_often_as_another() -> None:
    assert {frozenset(one) for one in draw_sets(5, 2, 10, 0, "p")} == {
        frozenset(pair) for pair in itertools.combinations(range(5), 2)
    }
    # Of 6000 problems a set each: 10 sets, 600 expected, standard deviation sqrt(6000 * 0.1 * 0.9) = 23.
    counts = Counter(frozenset(draw_sets(5, 2, 1, 0, str(i))[0]) for i in range(6000))
    assert len(counts) == 10 and all(600 - 5 * 23 < n < 600 + 5 * 23 for n in counts.values())


def test_a_pool_of_k_is_the_one_set_there_is_in_the_order_of_evaluation() -> None:
    for problem_id in ("a", "b", "c"):
        assert draw_sets(4, 4, 1, 7, problem_id) == [shuffled_order(4, 7, "eval", problem_id, "order")]


@pytest.mark.parametrize(
    ("pool", "sets", "said"),
    [
        (3, 1, "teach.pool=3: must be at least gsr.k=4"),
        (4, 2, "teach.sets_per_problem=2: must be from 1 to 1, the sets of 4 among 4"),
        (6, 16, "teach.sets_per_problem=16: must be from 1 to 15, the sets of 4 among 6"),
        (6, 0, "teach.sets_per_problem=0: must be from 1 to 15"),
    ],
)
def test_sets_that_cannot_be_drawn(pool: int, sets: int, said: str) -> None:
    check_sets(6, 4, 15)
    with pytest.raises(UsageError) as raised:
        check_sets(pool, 4, sets)
    assert str(raised.value).startswith(said)


def test_a_set_is_shown_in_its_order(tokenizer: Tokenizer) -> None:
    pool = episode(True, False, True)
    shown, ids = show(pool, [2, 0], PromptSet(), tokenizer, 4096, {})
    assert [(one.text, one.correct) for one in shown.candidates] == [("text 2", True), ("text 0", True)]
    prompt = tokenizer.decode(ids, skip_special_tokens=True)
    assert "Candidate solution 1:\ntext 2\n\nCandidate solution 2:\ntext 0" in prompt and "text 1" not in prompt


def test_difficulty() -> None:
    pools = [
        episode(False, False),
        episode(True, False),
        episode(False, True),
        episode(True, True),
        episode(False, False),
    ]
    assert difficulty(pools) == [2, 2, 1]
    assert difficulty([]) == [0]
