"""gsr_rl.metrics.gap: numbers worked out by hand, properties of the summary."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gsr_rl.episode import Episode, Response
from gsr_rl.errors import UsageError
from gsr_rl.metrics.gap import agreement, episode_scores, paired_change, summarize

GOLD = "0"


def responses(answers: str) -> tuple[Response, ...]:
    """One response per character: "0" is right, other digits are wrong, "-" is no answer."""
    return tuple(Response(a, None if a == "-" else a, a == GOLD) for a in answers)


def episode(candidates: str, refinements: str = "", extra: str = "", id: str = "1", dataset: str = "toy") -> Episode:
    return Episode(id, dataset, "?", GOLD, responses(candidates), responses(refinements), responses(extra))


def test_episode_scores() -> None:
    # a tie of 0 and 1 (maj 1/2) that an extra 1 breaks and an extra 3 does not; one of two refinements is right
    assert episode_scores(episode("0101", "02", extra="13")) == {
        "pass@1": 0.5,
        "pass@k": 1.0,
        "maj@k": 0.5,
        "maj@k+1": 0.25,
        "selfref@k": 0.5,
        "all_wrong": 0.0,
        "recovered": 0.0,
        "broken": 0.25,
        "fixed": 0.25,
    }
    # of the pairs of 0, 1, 1, 2 two are 01 and one is 02, each worth 1/2; the other three are wrong
    scores = episode_scores(episode("0112", "0"), k=1)
    assert (scores["pass@1"], scores["pass@k"], scores["maj@k"]) == (0.25, 0.25, 0.25)
    assert (scores["maj@k+1"], scores["selfref@k"], scores["all_wrong"]) == (0.25, None, None)
    # with an extra 0 the pool is 0, 0, 1, 1, 2; of its ten pairs one is 00, four are 01 and two are 02
    assert episode_scores(episode("0112", "0", "0"), k=2)["maj@k"] == pytest.approx((1 + 4 / 2 + 2 / 2) / 10)


# four problems of K = 4, two refinements each, worked out by hand:
#   id   candidates  pass@1  maj   selfref  broken (maj right, ref wrong)  fixed
#   a    0001        3/4     1     1        0                              0
#   b    1110        1/4     0     1        0                              1
#   c    0101        1/2     1/2   1/2      1/4                            1/4
#   d    123-        0       0     1/2      0                              1/2     (all wrong)
FOUR = [
    episode("0001", "00", "1", id="a"),
    episode("1110", "00", "0", id="b"),
    episode("0101", "01", "0", id="c"),
    episode("123-", "04", "0", id="d"),
]


def test_summary_by_hand() -> None:
    row = summarize(FOUR)["toy"]
    assert list(row) == [
        "n", "k", "all_wrong_n", "pass@1", "pass@4", "maj@4", "maj@5", "selfref@4", "refinement_gap",
        "all_wrong_recovery", "right_to_wrong", "wrong_to_right", "ci_low", "ci_high",
    ]  # fmt: skip
    assert (row["n"], row["k"], row["all_wrong_n"]) == (4, 4, 1)
    assert row["pass@1"] == pytest.approx(1.5 / 4)
    assert row["pass@4"] == pytest.approx(3 / 4)
    assert row["maj@4"] == pytest.approx(1.5 / 4)
    assert row["maj@5"] == pytest.approx((1 + 0 + 1 + 1 / 4) / 4)  # d becomes a tie of four
    assert row["selfref@4"] == pytest.approx(3 / 4)
    assert row["refinement_gap"] == pytest.approx(1.5 / 4)
    assert row["all_wrong_recovery"] == pytest.approx(1 / 2)
    assert row["right_to_wrong"] == pytest.approx(0.25 / 1.5)
    assert row["wrong_to_right"] == pytest.approx(1.75 / 2.5)


def test_repeats_of_a_problem_are_averaged_first() -> None:
    # problem a three times with gap 0, problem b once with gap 1: the mean over problems is 1/2, over rows 1/4
    rows = [*(episode("00", "0", id="a") for _ in range(3)), episode("11", "0", id="b")]
    row = summarize(rows)["toy"]
    assert (row["n"], row["refinement_gap"], row["maj@2"]) == (2, 0.5, 0.5)
    assert row["all_wrong_n"] == 1


def test_one_id_in_two_datasets_is_two_problems() -> None:
    rows = [episode("00", "0", dataset="x"), episode("11", "0", dataset="y"), episode("11", "1", dataset="y", id="2")]
    summary = summarize(rows)
    assert list(summary) == ["x", "y", "macro"]
    assert (summary["x"]["n"], summary["y"]["n"], summary["macro"]["n"]) == (1, 2, 3)
    assert (summary["x"]["refinement_gap"], summary["y"]["refinement_gap"]) == (0.0, 0.5)
    assert summary["macro"]["refinement_gap"] == 0.25
    assert summary["macro"]["all_wrong_recovery"] == 0.5  # undefined in x, so y alone
    assert summary["macro"]["wrong_to_right"] == 0.5


def test_interval_matches_the_normal_one() -> None:
    # 400 gaps, a quarter of them 1 and the rest 0: standard error sqrt(.25 * .75 / 400) = 0.02165
    rows = [episode("11", "0" if i % 4 == 0 else "1", id=str(i)) for i in range(400)]
    row = summarize(rows)["toy"]
    assert row["ci_low"] == pytest.approx(0.25 - 1.96 * 0.02165, abs=0.006)
    assert row["ci_high"] == pytest.approx(0.25 + 1.96 * 0.02165, abs=0.006)


def test_interval_is_reproducible_and_independent_of_other_datasets() -> None:
    other = [episode("1000", "0", "0", dataset="other", id=str(i)) for i in range(3)]
    summary, alone = summarize(FOUR + other), summarize(FOUR)
    assert summary["toy"] == alone["toy"]
    assert alone["macro"] == alone["toy"]


def test_macro_interval_is_narrower_than_that_of_equal_independent_datasets() -> None:
    # the mean of two independent estimates has 1/sqrt(2) of their standard error
    rows = [episode("11", "01"[i % 2], id=str(i), dataset=d) for d in ("x", "y") for i in range(400)]
    summary = summarize(rows)

    def width(name: str) -> float:
        low, high = summary[name]["ci_low"], summary[name]["ci_high"]
        assert low is not None and high is not None
        return high - low

    assert width("macro") == pytest.approx(width("x") / math.sqrt(2), rel=0.1)


def test_a_dataset_may_have_no_refinements_at_all() -> None:
    summary = summarize([episode("00", "0", dataset="x"), episode("01", dataset="y"), episode("11", dataset="y")])
    assert (summary["x"]["selfref@2"], summary["y"]["selfref@2"], summary["macro"]["selfref@2"]) == (1.0, None, 1.0)
    assert (summary["y"]["refinement_gap"], summary["y"]["ci_low"], summary["macro"]["maj@2"]) == (None, None, 0.625)


def test_undefined_rates_are_none() -> None:
    row = summarize([episode("00")])["toy"]
    for key in ("selfref@2", "refinement_gap", "ci_low", "ci_high", "maj@3", "all_wrong_recovery", "wrong_to_right"):
        assert row[key] is None, key
    assert summarize([episode("00", "0", "0"), episode("00", "0", id="2")])["toy"]["maj@3"] is None


def test_smaller_k_takes_all_subsets_and_no_refinement() -> None:
    row = summarize([episode("0111", "0"), episode("00", "0", id="2")], k=1)["toy"]
    assert (row["pass@1"], row["maj@1"], row["maj@2"]) == (0.625, 0.625, (3 / 2 / 6 + 1) / 2)
    assert (row["k"], row["selfref@1"], row["refinement_gap"], row["ci_low"]) == (1, None, None, None)


@pytest.mark.parametrize(
    ("rows", "k", "message"),
    [
        ([], None, "no episodes"),
        ([episode("")], None, "toy/1 has 0 candidates"),
        (
            [episode("00"), episode("000", id="2")],
            None,
            r"2 to 3 candidates \(episodes toy/1 and toy/2\); choose k, at most 2",
        ),
        ([episode("00")], 3, "toy/1 has 2 candidates; k=3"),
        ([episode("00")], 0, "k=0"),
        ([episode("00", dataset="macro")], None, '"macro"'),
        ([episode("00", "0"), episode("00", id="2")], None, "1 of 2 rows of toy have no refinement, the first is 2"),
    ],
)
def test_bad_input(rows: list[Episode], k: int | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        summarize(rows, k)


answer_strings = st.text("0123-", min_size=3, max_size=3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(answer_strings, st.text("01-", min_size=1, max_size=2), st.sampled_from("abc")), min_size=1))
def test_bounds_and_identities(cases: list[tuple[str, str, str]]) -> None:
    row = summarize([episode(candidates, refined, id=name) for candidates, refined, name in cases])["toy"]
    values = {key: value for key, value in row.items() if value is not None}
    rates = [
        v for key, v in values.items() if key not in ("n", "k", "all_wrong_n", "refinement_gap", "ci_low", "ci_high")
    ]
    assert all(-1e-12 <= rate <= 1 + 1e-12 for rate in rates)
    assert values["pass@1"] <= values["pass@3"] + 1e-12
    assert values["maj@3"] <= values["pass@3"] + 1e-12
    assert values["refinement_gap"] == pytest.approx(values["selfref@3"] - values["maj@3"])
    assert values["ci_low"] - 1e-12 <= values["refinement_gap"] <= values["ci_high"] + 1e-12
    # what is fixed minus what is broken is the gap
    fixed = values.get("wrong_to_right", 0.0) * (1 - values["maj@3"])
    broken = values.get("right_to_wrong", 0.0) * values["maj@3"]
    assert fixed - broken == pytest.approx(values["refinement_gap"])


@pytest.mark.parametrize(
    ("candidates", "refinements", "majority", "any_candidate", "novel", "no_answer"),
    [
        ("0001", "0", 1, 1, 0, 0),  # copies the majority
        ("1110", "0-", 0, 0.5, 0, 0.5),  # takes the minority, and writes nothing
        ("0101", "0", 0.5, 1, 0, 0),  # one of two that tie
        ("12-3", "4", 0, 0, 1, 0),
        ("--", "4", 0, 0, 1, 0),
    ],
)
def test_agreement(
    candidates: str, refinements: str, majority: float, any_candidate: float, novel: float, no_answer: float
) -> None:
    expected = {"majority": majority, "any_candidate": any_candidate, "novel": novel, "no_answer": no_answer}
    assert agreement(episode(candidates, refinements)) == expected


def test_agreement_is_mathematical() -> None:
    candidates = tuple(Response("", answer, False) for answer in ("1/2", "0.5", "3"))
    refined = (Response("", r"\frac{1}{2}", False),)
    expected = {"majority": 1, "any_candidate": 1, "novel": 0, "no_answer": 0}
    assert agreement(Episode("1", "toy", "?", "7", candidates, refined)) == expected


def test_a_change_is_paired_over_the_problems_of_both() -> None:
    before = [episode("00", "01", id="a"), episode("00", "1", id="a"), episode("00", "0", id="b"), episode("0", id="c")]
    after = [
        episode("00", "0", id="a"),
        episode("00", "1", id="b"),
        episode("0", "0", id="c"),
        episode("0", "0", id="d"),
    ]
    # a: from (1/2 + 0) / 2 to 1; b: from 1 to 0; c has no refinement before, d is not there.
    change = paired_change(before, after, "selfref@k")
    assert (change["n"], change["change"]) == (2, pytest.approx((0.75 - 1) / 2))
    # One of the two is drawn, and the imagined responses come at a quarter, a half and a quarter of 1 in 1.5, the mean
    # number of refinements of a problem. So -1 or less comes more than 2.5 % of the time; more than 0.75 does with an
    # imagined 1, (0.75 + 1) / 2 = 0.875 (4.3 % of the time), and more than that does 0.4 % of the time.
    assert (change["ci_low"], change["ci_high"]) == (-1, 0.875)
    assert paired_change(before, [], "selfref@k") == {"n": 0, "change": None, "ci_low": None, "ci_high": None}


def test_a_change_from_one_method_to_another() -> None:
    before = [episode("011", id="a"), episode("001", id="a"), episode("001", id="b"), episode("000", id="d")]
    after = [episode("111", "0", id="a"), episode("111", "1", id="b"), episode("111", id="c"), episode("111", id="d")]
    # votes before, a: (0 + 1) / 2, b: 1; refinements after, a: 1, b: 0; d has none then
    change = paired_change(before, after, "selfref@k", before_method="maj@k")
    assert (change["n"], change["change"]) == (2, pytest.approx((0.5 - 1) / 2))
    assert paired_change(before, after, "pass@1")["change"] == pytest.approx(-(0.5 + 2 / 3 + 1) / 3)
