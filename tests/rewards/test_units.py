"""rewards.units and rewards.nouns: known units in one spelling, and nothing else."""

import pytest

from rewards.nouns import noun
from rewards.units import agree, canonical, own_unit, split_unit
from rewards.verifier import judge_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"15\text{ cm}^2", ("15", "cm^2")),
        (r"74^\circ", ("74", "degree")),
        (r"25^\circ \mathrm{C}", ("25", "degC")),
        ("9 square feet", ("9", "ft^2")),
        (r"3x \text{ cm}", ("3x", "cm")),
        (r"\pi r\text{ units}", (r"\pi r", "unit")),
        ("€5", ("5", "euro")),
        (r"\$15", ("15", "dollar")),
        (r"-\$15", ("-15", "dollar")),
        (r"\$5\text{ dollars}", ("5", "dollar")),
        ("5£", ("5", "pound")),
        ("18 apples", ("18", "apple")),
        ("1 apple", ("1", "apple")),
        ("5 apple", None),
        (r"\sin 30^\circ", None),
        (r"\sin 30\text{ degrees}", None),
        ("42 or more", None),
        ("5x", None),
        ("5 m", None),  # five times m, unless a text command says otherwise
        ("9.8 m/s^2", ("9.8", "m s^-2")),
        ("3abc", None),
        ("cm", None),
    ],
)
def test_split_unit(text: str, expected: tuple[str, str] | None) -> None:
    assert split_unit(text) == expected


@pytest.mark.parametrize(
    ("spellings", "unit"),
    [
        ((r"\mathrm{~km} / \mathrm{h}", "km/h", "kilometres per hour", r"km\cdot h^{-1}", "kmh"), "h^-1 km"),
        (("square metres", r"\text{m}^2", "sq. m", "metres squared", r"\mathrm{m^2}"), "m^2"),
        (("cubic inches", "in^3", "inches cubed"), "in^3"),
        (("miles per hour", "mph"), "h^-1 mi"),
        ((r"\text{ N}\cdot\text{m}", "N m", "newton metres"), "N m"),
        (("m/s/s", r"m/s^2", "metres per second squared", "m s^{-2}"), "m s^-2"),
        (("p.m.", "PM", "P.M."), "pm"),
        (("distinct integers", "integers"), "integer"),
    ],
)
def test_one_unit_has_one_spelling(spellings: tuple[str, ...], unit: str) -> None:
    assert [canonical(spelling) for spelling in spellings] == [unit] * len(spellings)


@pytest.mark.parametrize("text", ["million", "squared", "halves", "to 7", "per", "square", "", "km/", "abc", "M", "K"])
def test_anything_else_is_no_unit(text: str) -> None:
    assert canonical(text) is None


def test_units_that_agree() -> None:
    assert agree("pound", "lb") and agree("degC", "degree") and agree("cm", "cm")
    assert not agree("cm", "m") and not agree("degC", "degF")


def test_plurals_of_nouns() -> None:
    assert [noun(word) for word in ("boxes", "puppies", "people", "mice", "keys")] == [
        "box",
        "puppy",
        "person",
        "mouse",
        "key",
    ]
    assert [noun(word) for word in ("thirds", "dozens", "quarters", "times", "pairs", "box")] == [""] * 6


def test_a_gold_may_have_a_unit_of_its_own() -> None:
    assert own_unit(r"16\text{ daps}") == "16"
    assert own_unit(r"16\text{ below}") is None
    assert judge_answer("16", r"16\text{ daps}").correct
    assert not judge_answer("17", r"16\text{ daps}").correct
    assert not judge_answer(r"16\text{ daps}", "16").correct
