"""gsr_rl.metrics.voting: classes, expected score of the vote, selection of candidate sets."""

import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_rl.errors import UsageError
from gsr_rl.metrics.voting import is_selected, majority_score, plurality, vote_classes

votes = st.lists(st.none() | st.sampled_from(["1", "2", "3", "4"]), max_size=8)


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        ([], []),
        ([None, None], []),
        (["1/2", "0.5", "3", r"\frac{1}{2}", None, "3.0"], [[0, 1, 3], [2, 5]]),
        (["2", "1", "2"], [[0, 2], [1]]),
    ],
)
def test_vote_classes(answers: list[str | None], classes: list[list[int]]) -> None:
    assert vote_classes(answers) == classes


@pytest.mark.parametrize(
    ("answers", "right", "score"),
    [
        (["2", "2", "3", "4"], "2", 1.0),
        (["3", "3", "2", "4"], "2", 0.0),
        (["2", "3", "2", "3"], "2", 0.5),
        (["2", "3", "4", None], "2", 1 / 3),
        ([None, None, None, "2"], "2", 1.0),  # abstentions do not outvote an answer
        ([None, None], "2", 0.0),
        ([], "2", 0.0),
    ],
)
def test_majority_score(answers: list[str | None], right: str, score: float) -> None:
    assert majority_score(answers, [answer == right for answer in answers]) == pytest.approx(score)


def test_equal_answers_in_other_words_vote_together() -> None:
    assert majority_score(["1/2", "3", "0.5", "4"], [True, False, True, False]) == 1.0


def test_own_notion_of_sameness() -> None:
    def same_length(a: str, b: str) -> bool:
        return len(a) == len(b)

    assert vote_classes(["a", "bb", "c"], same_length) == [[0, 2], [1]]


@given(votes, st.sampled_from(["1", "2", "3", "4"]))
def test_majority_against_a_count(answers: list[str | None], right: str) -> None:
    counts = Counter(answer for answer in answers if answer is not None)
    winners = [answer for answer, count in counts.items() if count == max(counts.values())]
    expected = Fraction(winners.count(right), len(winners)) if winners else Fraction(0)
    assert majority_score(answers, [answer == right for answer in answers]) == pytest.approx(float(expected))
    assert sorted(map(len, plurality(answers))) == [max(counts.values(), default=0)] * len(winners)


@given(votes)
def test_classes_partition_the_answered(answers: list[str | None]) -> None:
    classes = vote_classes(answers)
    assert sorted(i for members in classes for i in members) == [i for i, a in enumerate(answers) if a is not None]
    assert all(len({answers[i] for i in members}) == 1 for members in classes)


@given(votes, st.randoms())
def test_order_of_candidates_does_not_matter(answers: list[str | None], rng: random.Random) -> None:
    shuffled = rng.sample(answers, len(answers))
    score, again = (majority_score(a, [x == "1" for x in a]) for a in (answers, shuffled))
    assert score == pytest.approx(again)


def test_unequal_lengths() -> None:
    with pytest.raises(UsageError, match="2 answers but 1"):
        majority_score(["1", "2"], [True])


def test_selection() -> None:
    rng = random.Random(0)
    assert all(is_selected("all", majority, 0.0, rng) for majority in (0.0, 0.5, 1.0))
    assert all(is_selected("hard_first", majority, 0.0, rng) for majority in (0.0, 0.25, 0.49))
    assert not any(is_selected("hard_first", majority, 0.0, rng) for majority in (0.5, 1.0))
    assert is_selected("hard_first", 1.0, 1.0, rng)
    # 4,000 draws at 0.3: the standard deviation of the share is 0.007
    assert sum(is_selected("hard_first", 0.5, 0.3, rng) for _ in range(4_000)) / 4_000 == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(("selection", "probability"), [("easy_first", 0.5), ("all", 1.5)])
def test_bad_selection(selection: str, probability: float) -> None:
    with pytest.raises(UsageError):
        is_selected(selection, 0.0, probability, random.Random(0))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
