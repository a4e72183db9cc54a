"""rewards.verifier: each way to fail gives a verdict with the right reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.verifier import Verdict, verify


@pytest.mark.parametrize(
    ("response", "gold", "reason", "answer"),
    [
        (r"\boxed{42}", "42", "correct", "42"),
        (r"\boxed{42}", r"so it is $\boxed{42}$", "correct", "42"),
        (r"\boxed{42}", "$42$", "correct", "42"),
        (r"\boxed{\frac12}", "0.5", "correct", r"\frac12"),
        (r"\boxed{41} or rather \boxed{42}", "41", "wrong", "42"),
        ("no idea", "42", "no_answer", None),
        (r"\boxed{", "42", "no_answer", None),
        (r"\boxed{10^{10^{10}}}", "42", "too_long", "10^{10^{10}}"),
        (r"\boxed{" + "1" * 5_000 + "}", "42", "too_long", "1" * 5_000),
        (r"\boxed{10^{10^{10}}}", "10^{10^{10}}", "correct", "10^{10^{10}}"),
        (r"\boxed{42}", "", "gold_unparseable", "42"),
        ("no idea", "", "gold_unparseable", None),
        (r"\boxed{42}", "10^{10^{10}}", "gold_unparseable", "42"),
    ],
)
def test_reasons(response: str, gold: str, reason: str, answer: str | None) -> None:
    verdict = verify(response, gold)
    assert (verdict.reason, verdict.answer) == (reason, answer)
    assert verdict.correct == (reason == "correct")


def test_listing_candidates_is_no_answer_but_the_last_box() -> None:
    response = r"Candidate 1: \boxed{42}. Candidate 2: \boxed{41}. The majority says \boxed{41}"
    assert verify(response, "42") == Verdict(False, "wrong", "41")
    assert verify(response, "41").correct


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(
        st.integers().map(str), st.fractions().map(str), st.from_regex(r"[1-9]\\sqrt\{[2-9]\} \+ [a-z]", fullmatch=True)
    )
)
def test_a_gold_in_a_box_is_correct(gold: str) -> None:
    assert verify(rf"It follows that $\boxed{{{gold}}}$.", gold) == Verdict(True, "correct", gold)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.text(max_size=20))
def test_never_raises(response: str, gold: str) -> None:
    verdict = verify(response, gold)
    assert verdict.correct == (verdict.reason == "correct")
    assert (verdict.answer is None) <= (verdict.reason in ("no_answer", "gold_unparseable"))
