"""rewards.latex and rewards.answers: extraction, exact values, equality and its symmetry, refusal of heavy work."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rewards.answers import equivalent, extract_answer, parseable
from rewards.latex import compact, exact_value, tidy, too_heavy


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
        ("The final answer is $\\sqrt{2}$.", r"\sqrt{2}"),
        ("**Answer:** 12\n", "12"),
        ("Answer:\n\n12", "12"),
        ("The answer is 3. Wait, the answer is 4.", "4"),
        ("The answer is 3.\na\nb\nc", None),
        ("I do not know.", None),
        ("}" * 3 + r"{\boxed{5}", "5"),
        ("", None),
    ],
)
def test_extract_answer(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    "flood", [r"\boxed{", "{", "\\", "<think>", "</think>", "answer is ", r"\boxed{1}", "answer: ", "\n"]
)
def test_extraction_takes_linear_time(flood: str) -> None:
    start = time.perf_counter()
    extract_answer(flood * 50_000)
    assert time.perf_counter() - start < 2.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-7", Fraction(-7)),
        ("5.", Fraction(5)),
        (".25", Fraction(1, 4)),
        ("1,234,567.5", Fraction(2469135, 2)),
        (r"1{,}000", Fraction(1000)),
        (r"11,\!111", Fraction(11111)),
        (r"1\,000", Fraction(1000)),
        (r"\frac34", Fraction(3, 4)),
        (r"-\dfrac{3}{4}", Fraction(-3, 4)),
        (r"\tfrac{-3}{4}", Fraction(-3, 4)),
        ("6/8", Fraction(3, 4)),
        ("1 1/2", Fraction(3, 2)),
        (r"-2\frac{1}{3}", Fraction(-7, 3)),
        ("\u00bd", Fraction(1, 2)),
        ("3\u00bd", Fraction(7, 2)),
        (r"12.5\%", Fraction(1, 8)),
        ("5.3e3", Fraction(5300)),
        (r"2.5 \times 10^{-3}", Fraction(1, 400)),
        ("2^{10}", Fraction(1024)),
        ("2**10", None),  # in TeX 2^10 is 2^1 times 0; Math-Verify decides
        ("-2^2", Fraction(-4)),
        (r"0.\overline{27}", Fraction(3, 11)),
        (r"-1.2\overline{3}", Fraction(-37, 30)),
        (r"\$15", Fraction(15)),
        ("1/0", None),
        ("0^{0}", None),
        ("1,23", None),
        ("1, 234", None),
        ("12 34", None),
        (r"2\frac{3}{2}", None),
        ("x", None),
    ],
)
def test_exact_value(text: str, value: Fraction | None) -> None:
    assert exact_value(compact(tidy(text))) == value


@given(st.fractions())
def test_every_fraction_reads_as_itself(value: Fraction) -> None:
    top, bottom = value.numerator, value.denominator
    for text in (f"{top}/{bottom}", rf"\frac{{{top}}}{{{bottom}}}", rf"\dfrac{{{top}}}{{{bottom}}}"):
        assert exact_value(compact(tidy(text))) == value


@given(st.integers())
def test_thousands_separators_do_not_change_an_integer(value: int) -> None:
    assert equivalent(f"{value:,}", str(value))
    assert equivalent(f"{value:,}".replace(",", "{,}"), str(value))


EQUAL = [
    (r"\frac{1}{2}", "0.5"),
    (r"\left(1, 2\right)", "(1,2)"),
    (r"50\%", "0.5"),
    (r"74^\circ", "74\u00b0"),
    (r"74^{\circ}", "74"),
    (r"15\text{ cm}^2", "15"),
    (r"5\text{ cm}", r"5 \mathrm{cm}"),
    ("x = 42", "42"),
    (r"6 \cdot 7 = 42", "42"),
    (r"\text{Tuesday}", "tuesday"),
    ("Alice, Bob", "Alice,Bob"),
    (r"\textbf{(C)}", "C"),
    ("C. 42", "C"),
    (r"\sqrt2", r"\sqrt{2}"),
    ("\u221a2", r"\sqrt{2}"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    ("2x + 1", "1 + 2x"),
    (r"x^{2^{3}}", "x^8"),
    ("1, 2, 3", "3, 1, 2"),
    (r"8 \text{ and } 6", "6, 8"),
    ("0.333333", "1/3"),
    (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}"),
    ("x < 3", r"(-\infty, 3)"),
    ("y = 2x + 1", "2x - y + 1 = 0"),
    ("204_5", "204_{5}"),
    (r"28\%", r"28 \text{ percent}"),
    (r"(45^\circ, 60^\circ)", r"(45^{\circ},\, 60^{\circ})"),
    ("10^{-20}", r"1 \times 10^{-20}"),
    (r"\frac{7+i}{5}", r"\frac{7}{5} + \frac{1}{5}i"),
]

DIFFERENT = [
    ("3", "-3"),
    (r"50\%", "50"),
    (r"50\%", "5"),
    ("0.33", "1/3"),
    ("0.333335", "1/3"),
    ("1000000", "3000001/3"),
    ("0.0000001", "0.0000002"),
    ("10^{-20}", "10^{-21}"),
    ("1, 234", "1234"),
    ("(1, 2)", "(2, 1)"),
    ("41 = 42", "42"),
    ("2x + 40 = 42", "42"),
    ("x = 1", "y = 1"),
    ("Alice, Bob", "Bob, Alice"),
    ("listen", "silent"),
    ("(A)(B)", "A"),
    ("A", "B"),
    ("Yes", "No"),
    ("Nadia, Rosa", r"\frac{1}{500}"),
    (r"4:40 \text{ a.m.}", r"4:40 \text{ p.m.}"),
    (r"5\text{ m}", r"5\text{ km}"),
    ("204_5", "204_6"),
    (r"\pm 42", "42"),
    ("x", "42"),
    ("x^2 < 4", "(-2, 2)"),
    ("4+3i", "3+4i"),
    ("42!", "42"),
    ("", "0"),
    ("", ""),
    (" ", "\t"),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_in_both_orders(a: str, b: str) -> None:
    assert equivalent(a, b)
    assert equivalent(b, a)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_in_both_orders(a: str, b: str) -> None:
    assert not equivalent(a, b)
    assert not equivalent(b, a)


numerals = st.fractions(max_denominator=50).map(lambda f: rf"\frac{{{f.numerator}}}{{{f.denominator}}}")
surds = st.tuples(st.integers(2, 9), st.integers(2, 50)).map(lambda p: rf"{p[0]}\sqrt{{{p[1]}}}")
polynomials = st.tuples(st.integers(2, 9), st.integers(1, 9)).map(lambda p: f"{p[0]}x^2 + {p[1]}x")
tuples = st.tuples(numerals, surds).map(lambda p: rf"\left({p[0]}, {p[1]}\right)")
answers = st.one_of(st.integers().map(str), numerals, surds, polynomials, tuples, st.sampled_from(["Tuesday", "(C)"]))

RESTYLINGS: list[Callable[[str], str]] = [
    lambda text: text.replace(r"\frac", r"\dfrac"),
    lambda text: text.replace(r"\left(", "(").replace(r"\right)", ")"),
    lambda text: text.replace(" ", ""),
    lambda text: text.replace(" + ", r" \; + \, "),
    lambda text: f"${text}$",
    lambda text: rf"\( {text} \)",
    lambda text: f"  {text} . ",
    lambda text: text.replace("-", "\u2212"),
]


@settings(max_examples=40, deadline=None)
@given(answers, st.sampled_from(RESTYLINGS))
def test_style_does_not_change_an_answer(answer: str, restyle: Callable[[str], str]) -> None:
    assert equivalent(restyle(answer), answer)


@settings(max_examples=60, deadline=None)
@given(answers, answers)
def test_symmetric(a: str, b: str) -> None:
    assert equivalent(a, b) == equivalent(b, a)


latex_soup = st.lists(
    st.sampled_from([*"0123456789xie+-*/=<>^_(){}[],.!%& ", r"\frac", r"\sqrt", r"\text{", r"\circ", r"\left", "\\"]),
    max_size=12,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=30), latex_soup), latex_soup)
@example("\ud800", "1")
@example("\x00", "\\")
@example("9" * 400, "9" * 399)
@example("512^{-999}", "1/3")
def test_never_raises(a: str, b: str) -> None:
    assert equivalent(a, b) == equivalent(b, a)
    assert isinstance(parseable(a), bool)
    assert equivalent(a, a) == bool(a.strip())


@pytest.mark.parametrize(
    "text",
    [
        "1" * 301,
        "10^{10^{10}}",
        "2^{2^{2^{49}}}",
        "9^9^9",
        "9**9**9",
        "2^{1000000}",
        "(x+1)^{100000}",
        "10^{9*9*9*9*9}",
        r"10^{9 \cdot 9 \cdot 9}",
        r"2^{2^{49}}",
        "((2^{9999})^{9999})^{9999}",
        "(10^{10})!",
        "((100!)!)!",
        "9!!!!!!",
        "2004!",
        "1,000,000!",
        "(100*100)!",
        r"\binom{1000000000}{500000000}",
        r"\sum_{k=1}^{n} k",
        r"\int_0^1 x dx",
        "1e99999",
    ],
)
def test_heavy_answers_are_compared_as_text_only(text: str) -> None:
    assert too_heavy(tidy(text))
    start = time.perf_counter()
    assert equivalent(text, f" {text} ")
    assert not equivalent(text, "1")
    assert not parseable(text)
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize(
    "text",
    [
        "2^{2005}",
        "5!",
        r"\frac{n!}{k!(n-k)!}",
        "e^{x^2}",
        r"e^{2\pi i/3}",
        r"\binom{10}{3}",
        "x^{1/2}",
        "2^n",
        r"90^\circ",
        r"x^\pi",
        r"e^{\sqrt{2}}",
    ],
)
def test_ordinary_answers_are_not_heavy(text: str) -> None:
    assert not too_heavy(tidy(text))


@pytest.mark.parametrize(
    ("gold", "readable"), [("42", True), ("none", True), (r"\frac{x}{2}", True), ("", False), ("$", False)]
)
def test_parseable(gold: str, readable: bool) -> None:
    assert parseable(gold) is readable


def test_threads_agree_with_the_main_thread() -> None:
    # fresh texts, so that no cache answers; Math-Verify's own time-outs would raise outside the main thread
    pairs = [(rf"\frac{{\sqrt{{{n}}}}}{{{n}}}", rf"\frac{{1}}{{\sqrt{{{n + n % 2}}}}}") for n in range(101, 113)]
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda pair: equivalent(*pair), pairs))
    assert verdicts == [n % 2 == 0 for n in range(101, 113)]
