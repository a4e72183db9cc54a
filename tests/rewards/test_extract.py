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
        "\\boxed 1 ",
        "\\boxed ",
        "$$",
        "\\[",
        "not the answer is ",
        "so, that ",
        "no doubt ",
        "'s answer is 5 ",
        "students think ",
    ],
)
def test_floods_end(flood: str) -> None:
    assert extract_answer(flood * 20_000) in (None, "1")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.text("0123456789", min_size=1, max_size=5))
def test_a_box_at_the_end_is_found_whatever_stands_before(prose: str, digits: str) -> None:
    if "`" not in prose and "<!--" not in prose and "<think>" not in prose:
        assert extract_answer(f"{prose}\n\\boxed{{{digits}}}") == digits


@pytest.mark.parametrize(
    "response",
    [
        "I doubt the answer is 5.", "One might think the answer is 5.", "I do not believe that the answer is 5.",
        "The wrong answer is 5.", "I don't think the answer is 5.", "It is false that the answer is 5.",
        "Nobody would say the answer is 5.", "The answer is not 5.", "The answer isn't 5.",
        "The answer is certainly not 5.", "The answer is never 5", "Is it true that the answer is 5?",
        "Some people think the answer is 5.", "The naive answer is 5.", "A tempting answer is 5.", "His answer is 5.",
        "Bob's answer is 5.", "The answer is 5? No.", "The answer is 5 is wrong.",
        "The answer is 5, which is incorrect.", "It is unlikely that the answer is 5.",
        "I would not say the answer is 5", "Suppose the answer is 5.", "An incorrect answer is 5.",
        "I disagree that the answer is 5.", "Many students believe the answer is 5",
        "We cannot conclude that the answer is 5.", "Contrary to Bob, I do not hold that the answer is 5.",
        "The previous answer is 5.", "If the answer is 5", "It would be wrong to say that the answer is 5",
        "The answer can't be 5", "The answer is unlikely to be 5", "The answer could be 5.", "The answer may be 5.",
        "The answer is neither 5 nor 6", "Perhaps the answer is 5.", "The answer is anything but 5",
        "A common wrong answer is $5$.", "I'm not sure that the answer is 5", "The answer is hardly 5",
    ],
)  # fmt: skip
def test_a_phrase_that_denies_doubts_or_reports_gives_no_five(response: str) -> None:
    assert extract_answer(response) != "5"


@pytest.mark.parametrize(
    "response",
    [
        "So the answer is 5.", "The answer is 5.", "Therefore, the final answer is $5$.",
        "3 is not prime, so the answer is 5.", "It cannot be 4. The answer is 5.",
        "There is no doubt that the answer is 5.", "Since x is not zero, the answer is 5.", "I think the answer is 5.",
        "We may conclude that the answer is 5.", "Answer: 5", "**Answer**: 5", "The final answer is:\n\n$$\n5\n$$",
        "**Final Answer**\n\n\\[\n5\n\\]", "**Final Answer:** \\(5\\)", "Final Answer:\n\n\\[5\\]\n\nDone.",
        "The answer is $$5$$", "#### 5", "I made a wrong turn before, but the answer is 5.", "Not 4: the answer is 5.",
        "Contrary to what one might think, the answer is 5.", "My answer is 5", "The problem's answer is 5.",
        "That would be wrong; the answer is 5.", "x does not matter here.\nThe answer is 5.",
        "The correct answer is 5", "No, the answer is 5",
        "Final Answer: The final answer is $5$. I hope it is correct.", "Wait, that's not right. The answer is 5.",
        "Therefore $\\boxed 5$.", "$\\boxed 5$", "\\fbox 5",
    ],
)  # fmt: skip
def test_a_phrase_that_states_gives_five(response: str) -> None:
    assert extract_answer(response) == "5"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"Put it in \boxed. So $\boxed{8}$, marked with \boxed.", "8"),  # the command alone is no box
        (r"$\boxed 72$", "72"),
        (r"$\boxed x$", "x"),
        (r"Use \boxed and then stop.", None),
        (r"\boxed{3}, not \boxed 4.", "4"),
    ],
)
def test_a_box_without_braces(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer
