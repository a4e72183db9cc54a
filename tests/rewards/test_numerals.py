"""rewards.latex and rewards.numerals: one spelling, exact values, decimals that stand for other values."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.latex import compact, tidy
from rewards.numerals import exact_value, rounds_to, stands_for


def value(text: str) -> Fraction | None:
    """The exact value of an answer as written."""
    return exact_value(compact(tidy(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-7", Fraction(-7)),
        ("5.", Fraction(5)),
        (".25", Fraction(1, 4)),
        ("1,234,567.5", Fraction(2469135, 2)),
        (r"1{,}000", Fraction(1000)),
        (r"11,\!111", Fraction(11111)),
        (r"1\,000", Fraction(1000)),
        ("1 000", Fraction(1000)),
        (r"\frac34", Fraction(3, 4)),
        (r"-\dfrac{3}{4}", Fraction(-3, 4)),
        (r"\tfrac{-3}{4}", Fraction(-3, 4)),
        ("6/8", Fraction(3, 4)),
        ("1 1/2", Fraction(3, 2)),
        (r"-2\frac{1}{3}", Fraction(-7, 3)),
        ("\u00bd", Fraction(1, 2)),
        ("3\u00bd", Fraction(7, 2)),
        (r"12.5\%", Fraction(1, 8)),
        ("9 percent", Fraction(9, 100)),
        ("5.3e3", Fraction(5300)),
        (r"2.5 \times 10^{-3}", Fraction(1, 400)),
        ("2.5 x 10^4", Fraction(25000)),
        ("2^{10}", Fraction(1024)),
        ("2**10", Fraction(1024)),
        ("-2^2", Fraction(-4)),
        (r"0.\overline{27}", Fraction(3, 11)),
        (r"-1.2\overline{3}", Fraction(-37, 30)),
        (r"0.\bar{6}", Fraction(2, 3)),
        ("0.1818181...", Fraction(2, 11)),
        ("0.123...", None),
        ("0.181818...", Fraction(2, 11)),
        ("seven", Fraction(7)),
        ("\uff14\uff12", Fraction(42)),
        ("1/0", None),
        ("0^{0}", None),
        ("1,23", None),
        ("1, 234", None),
        ("12 34", None),
        (r"2\frac{3}{2}", None),
        ("x", None),
        ("", None),
    ],
)
def test_exact_value(text: str, expected: Fraction | None) -> None:
    assert value(text) == expected


@given(st.fractions())
def test_every_fraction_reads_as_itself(fraction: Fraction) -> None:
    top, bottom = fraction.numerator, fraction.denominator
    for text in (f"{top}/{bottom}", rf"\frac{{{top}}}{{{bottom}}}", rf"\dfrac{{{top}}}{{{bottom}}}"):
        assert value(text) == fraction


@given(st.integers())
def test_thousands_separators_do_not_change_an_integer(integer: int) -> None:
    assert value(f"{integer:,}") == value(f"{integer:,}".replace(",", "{,}")) == integer


@pytest.mark.parametrize(
    ("decimal", "exact", "stands", "rounds"),
    [
        ("0.333333", Fraction(1, 3), True, True),
        ("0.33", Fraction(1, 3), False, True),
        ("0.666667", Fraction(2, 3), True, True),
        ("0.666666", Fraction(2, 3), True, True),
        ("0.666668", Fraction(2, 3), False, False),
        ("0.25000001", Fraction(1, 4), False, False),
        ("0.1000000000000000055", Fraction(1, 10), True, False),  # 0.1 as a double, printed in full
        ("1.000000000000001", Fraction(1), False, False),
        ("42", Fraction(83, 2), False, True),
        ("42", Fraction(43), False, False),
    ],
)
def test_decimals_for_other_values(decimal: str, exact: Fraction, stands: bool, rounds: bool) -> None:
    assert (stands_for(Fraction(decimal), exact), rounds_to(exact, Fraction(decimal))) == (stands, rounds)


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        (r"$\left( 1,\, 2 \right)$", "( 1, 2 )"),
        (r"\dfrac12", r"\frac{1}{2}"),
        (r"\frac\pi2", r"\frac{\pi}{2}"),
        (r"\text{cats} ", "cats"),
        ("x\u2265\u221a2", r"x\ge \sqrt{2}"),
        ("sqrt(3)", r"\sqrt{3}"),
        (r"\boxed{5}", "5"),
    ],
)
def test_tidy(text: str, tidied: str) -> None:
    assert tidy(text) == tidied


@given(st.text(max_size=40))
def test_tidying_never_raises_and_reaches_a_fixed_point(text: str) -> None:
    assert tidy(tidy(tidy(text))) == tidy(tidy(text))
