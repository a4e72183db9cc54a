"""rewards.arithmetic: values of expressions in double precision, and when the module gives up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.arithmetic import differ, value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2+3*4", 14),
        ("-2^2", -4),
        ("2^{-1}", 0.5),
        (r"\frac{1}{2}+\frac{1}{3}", 5 / 6),
        (r"2\frac{1}{2}", 2.5),
        (r"\sqrt{16}", 4),
        (r"\sqrt[3]{27}", 3),
        (r"2\sqrt{3}", 2 * math.sqrt(3)),
        (r"|3-5|", 2),
        ("5!", 120),
        (r"2\pi", 2 * math.pi),
        (r"\sin\frac{\pi}{6}", 0.5),
        (r"\cos 60^\circ", 0.5),
        (r"\ln(e^{2})", 2),
        (r"\log 1000", 3),
        ("3(2+4)/9", 2),
        (r"50\%", 0.5),
        ("(1+2i)(1-2i)", 5),
    ],
)
def test_values(expression: str, expected: float) -> None:
    found = value(expression)
    assert found is not None
    assert found.number == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "expression",
    [
        "1/2x",
        "2 3",
        "x-x",
        r"\frac{1}{0}",
        "(-8)^{1/3}",
        r"\cancel{3}",
        "((2)",
        "",
        "+",
        "10^{999}",
        r"\ln(-1)",
        "x_",
        "#",
    ],
)
def test_it_gives_up(expression: str) -> None:
    assert value(expression) is None


def test_letters_have_values_of_their_own() -> None:
    x, y, big = value("x"), value("y"), value("X")
    assert x and y and big
    assert differ(x, y) and differ(x, big) and not differ(x, x)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_equal_expressions_never_differ(a: int, b: int, c: int) -> None:
    pairs = [
        (rf"\frac{{{a}x+{b}}}{{{c}}}", rf"\frac{{{a}}}{{{c}}}x+\frac{{{b}}}{{{c}}}"),
        (rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a * a * b}}}"),
        (rf"({a}+{b}y)^2", rf"{a * a}+{2 * a * b}y+{b * b}y^2"),
    ]
    for left, right in pairs:
        values = value(left), value(right)
        assert values[0] and values[1] and not differ(values[0], values[1])
