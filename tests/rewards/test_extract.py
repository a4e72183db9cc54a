"""rewards.extract: which text of a response is its final answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.extract import extract_answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{1}, no: \boxed{2}.", "2"),
        (r"\fbox{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\left\{x : x > 0\right.}", r"\left\{x : x > 0\right."),
        (r"\boxed{\boxed{5}+1}", r"\boxed{5}+1"),
        (r"put it in \boxed{ as told: \boxed{3}", "3"),
        (r"first \boxed{3}, then \boxed{4", None),
        (r"first \boxed{3}, then \boxed{}", None),
        (r"<think>\boxed{1}</think> Hence \boxed{2}", "2"),
        (r"<think>\boxed{1}</think> Done.", None),
        (r"<think> so far \boxed{1}", None),
        (r"a</think>\boxed{1}</think>The answer is 7.", "7"),
        ("}" * 3 + r"{\boxed{5}", "5"),
        (r"the roots are \boxed{3} and \boxed{8}", "8"),  # boxes are not merged: only the last one counts
        ("", None),
    ],
)
def test_the_last_box_after_the_reasoning(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The final answer is $\\sqrt{2}$.", r"\sqrt{2}"),
        ("**Answer:** 12\n", "12"),
        ("Answer:\n\n12", "12"),
        ("**Final Answer**\n\n$\\frac{2}{9}$", r"\frac{2}{9}"),
        ("6 + 7 = 13\n#### 13", "13"),
        ("The answer is 3. Wait, the answer is 4.", "4"),
        ("The final answer is 8. I hope it is correct.", "8"),
        ("Final answer: the smallest such $k$ equals 19.", "19"),
        ("The answer is 20, because 4 times 5 is 20.", "20"),
        ("The answer is $x = 4$ metres from the wall.", "x = 4"),
        ("The answer is 3.\na\nb\nc", None),
        ("Is 7 the answer? I do not know.", None),
        ("Nobody knows whether the answer is 6", None),
        ("Candidate 2 says that the answer is 6", None),
        ("The answer is not 6", None),
        ("I do not know.", None),
    ],
)
def test_a_final_phrase_counts_without_any_box(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    "quotation",
    [
        "```\nprint(r'\\boxed{9}')\n```",
        "```python\nanswer = r'\\boxed{9}'",  # never closed
        "`\\boxed{9}`",
        "\\verb|\\boxed{9}|",
        "<!-- \\boxed{9} -->",
        "\n% \\boxed{9}\n",
        "`the answer is 9`",
    ],
)
def test_quotations_are_no_answers(quotation: str) -> None:
    assert extract_answer(quotation) is None
    assert extract_answer(rf"\boxed{{4}} {quotation}") == "4"


def test_a_per_cent_sign_in_prose_is_no_comment() -> None:
    assert extract_answer(r"That is 20 % of them, so \boxed{5}") == "5"
    assert extract_answer(r"What % remain? \boxed{5}%") == "5"


@pytest.mark.parametrize(
    "flood",
    [
        r"\boxed{",
        "{",
        "\\",
        "<think>",
        "</think>",
        "answer is ",
        r"\boxed{1}",
        "answer: ",
        "\n",
        " ",
        "```",
        "`",
        "<!--",
    ],
)
def test_floods_end(flood: str) -> None:
    assert extract_answer(flood * 20_000) in (None, "1")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.text("0123456789", min_size=1, max_size=5))
def test_a_box_at_the_end_is_found_whatever_stands_before(prose: str, digits: str) -> None:
    if "`" not in prose and "<!--" not in prose and "<think>" not in prose:
        assert extract_answer(f"{prose}\n\\boxed{{{digits}}}") == digits
