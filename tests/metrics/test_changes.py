"""Changes between files of episodes: recursions, sets of other sizes, and datasets of other sizes."""

import pytest

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.metrics.gap import paired_change
from gsr_rl.report.results import Evaluation, changes, differences

RIGHT, WRONG = Response("5", "5", correct=True), Response("6", "6", correct=False)


def row(number: int, candidates: str, refined: bool, dataset: str = "d", round: int = 1, extra: str = "") -> Episode:
    sets = [tuple(RIGHT if sign == "r" else WRONG for sign in signs) for signs in (candidates, extra)]
    refinements = (RIGHT if refined else WRONG,)
    return Episode(str(number), dataset, "?", "5", sets[0], refinements, extra_candidates=sets[1], round=round)


def test_of_a_recursion_the_first_round_counts() -> None:
    before = [row(1, "ww", False), row(1, "rr", True, round=2), row(1, "rr", True, round=3)]
    after = [row(1, "rw", True)]
    assert paired_change(before, after, "pass@1")["change"] == 0.5
    assert paired_change(before, after, "selfref@k")["change"] == 1.0
    (difference,) = differences([Evaluation.of("sft", before)], [Evaluation.of("sft", after)])
    assert difference["pass@1"]["change"] == 0.5


def test_sets_of_other_sizes_are_compared_with_votes_of_the_same_size() -> None:
    first = [row(1, "wwww", True), row(2, "rrrr", True)]
    # Of 8 candidates the majority of every 5 is wrong, of every 4 it is wrong or tied.
    other = [row(1, "rrwwwwww", False, extra="w"), row(2, "rrrrrrrr", True, extra="r")]
    (found,) = differences([Evaluation.of("sft", first)], [Evaluation.of("sft", other)])
    assert found["k"] == [4, 8]
    # Of the 9 responses two are right: 21 of the 126 sets of four hold both, which is a tie.
    assert found["maj@k"]["change"] == pytest.approx((21 / 126 / 2 + 1) / 2 - 1 / 2)
    assert found["rival"]["change"] == pytest.approx(1 - (0 + 1) / 2)  # maj@5, not maj@9
    assert (found["selfref@k"]["n"], found["selfref@k"]["change"]) == (0, None)
    (back,) = differences([Evaluation.of("sft", other)], [Evaluation.of("sft", first)])
    assert (back["rival"]["n"], back["rival"]["change"]) == (0, None)  # 4 candidates make no vote of 9
    assert back["maj@k"]["change"] == pytest.approx(1 / 2 - (21 / 126 / 2 + 1) / 2)


def test_a_change_weighs_datasets_as_the_table_beside_it_does() -> None:
    """The table falls from 50 to 30 per cent; a mean over problems would rise by 7.7 points."""
    before = [row(i, "rw", i < 5) for i in range(10)] + [row(i, "rw", i < 1, "small") for i in range(2)]
    after = [row(i, "rw", i < 6) for i in range(10)] + [row(i, "rw", False, "small") for i in range(2)]
    evaluations = [Evaluation.of("base", before), Evaluation.of("sft", after)]
    (change,) = changes(evaluations, {"sft": "base"})
    table = [evaluate(rows)["macro"]["selfref@2"] for rows in (before, after)]
    assert table == [0.5, pytest.approx(0.3)]
    assert change["change"] == pytest.approx(-0.2)
    assert change["n"] == 12
