"""rewards.notation: every Greek letter is a variable in every module; labels, units, splitting."""

import re

import pytest

from rewards import arithmetic
from rewards.answers import equivalent, parseable
from rewards.forms import Form, read
from rewards.limits import is_mathematics
from rewards.notation import GREEK, is_closed, is_label, split


def shape(form: Form, letter: str) -> tuple[object, ...]:
    """A form as nested tuples in which the letter's name is replaced by one that all letters share."""
    text, tag = (part.replace(letter, r"\letter") for part in (form.text, form.tag))
    parts, rounded = (tuple(shape(part, letter) for part in parts) for parts in (form.parts, form.rounded))
    return form.kind, text, parts, tag, form.value, rounded


@pytest.mark.parametrize("name", GREEK)
def test_every_greek_letter_is_a_variable(name: str) -> None:
    letter = rf"\{name}"
    assert not is_closed(f"{letter}+1")
    assert is_label(letter)
    assert is_mathematics(f"2{letter}^2")
    assert arithmetic.value(f"2{letter}+1") is not None
    assert read(rf"x \le {letter}").kind == "relation"
    solved = read(rf"{letter} \le 3")
    assert (solved.kind, solved.tag, [part.text for part in solved.parts]) == ("tuple", "(]", [r"-\infty", "3"])
    assert read(f"{letter}+1 = 5").kind == "equation"
    assert read(f"{letter} = 5").kind == "assignment"


@pytest.mark.parametrize(
    "text",
    [
        r"x \le L", r"L \le 3", "L < x < 3", r"1 < L_1 \le 4", "y = L+1", "L = 5", "5 = 2L", r"L \approx 3.1",
        "S = L n = 55", "x = y = L", "(L, 1)", "[0, L]", "L, 2L", r"\{L\}", "L+1 = 3", r"L \in [0, 1]",
        r"\{x : x > L\}", r"L > 1 \text{ or } L < 0", r"L \pm 1", "7L", "-2L > 6",
    ],
)  # fmt: skip
def test_every_greek_letter_reads_as_alpha(text: str) -> None:
    expected = shape(read(text.replace("L", r"\alpha")), r"\alpha")
    for name in GREEK:
        letter = rf"\{name}"
        assert shape(read(text.replace("L", letter)), letter) == expected, letter


@pytest.mark.parametrize("letter", [r"\alpha", r"\sigma", r"\varepsilon", r"\Omega"])
def test_inequalities_in_a_greek_letter(letter: str) -> None:
    assert equivalent(rf"{letter} \le 3", r"(-\infty, 3]")
    assert equivalent(rf"1 < {letter} \le 4", "(1, 4]")
    assert equivalent(rf"x \le {letter}", rf"{letter} \ge x")
    assert not equivalent(rf"x \le {letter}", rf"(-\infty, {letter}]")
    assert parseable(rf"{letter}^2 + 1")


def test_pi_is_a_constant() -> None:
    assert is_closed(r"\pi+1")
    assert not is_label(r"\pi")
    assert equivalent(r"x \le \pi", r"(-\infty, \pi]")


@pytest.mark.parametrize(
    ("side", "label"),
    [
        *[(side, True) for side in ("x", "x_1", "AB", "|AB|", "f(x)", r"P(A \cap B)", "(p,q,r)", r"\angle ABC")],
        *[(side, True) for side in (r"\text{Area}", r"m_{\max}", "f^{-1}(x)")],
        *[(side, False) for side in ("", "5", "2x", "x+1", "e", "i", r"\sqrt{x}", r"\sin x", r"\log x", r"\frac{a}b")],
    ],
)
def test_labels(side: str, label: bool) -> None:
    assert is_label(side) is label


def test_splitting_leaves_brackets_alone() -> None:
    comma = re.compile(",")
    assert split(comma, r"a, (b, c), \{d, e\}") == (["a", "(b, c)", r"\{d, e\}"], [",", ","])
    assert split(comma, r"\begin{matrix} 1, 2 \end{matrix}, 3")[0] == [r"\begin{matrix} 1, 2 \end{matrix}", "3"]
    assert split(comma, "abc") == (["abc"], [])
