"""Sections of settings: what they refuse, in one line, and what they say about their fields."""

import math
import re
from typing import Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from gsr_rl.errors import UsageError
from gsr_rl.section import Section, bounds, require_field, section_of


class Inner(Section):
    """A section in a section."""

    share: float = Field(default=0.5, ge=0, le=1)
    """A share."""
    least: int = Field(default=1, ge=1)
    """Bounded from below."""


class Named(Section):
    """What stands under a name of the user's."""

    steps: list[str]
    """A list that must be given."""
    kinds: list[Literal["a", "b"]] = Field(default=[])
    """A list of choices."""


class Outer(Section):
    """A section with a field of each kind."""

    name: str
    """A text that must be given."""
    inner: Inner = Inner(least=7)
    """A section with a default of its own."""
    named: dict[str, Named] | None = None
    """Sections under names of the user's."""
    free: dict[str, Any] = Field(default={})
    """Keys of another library's."""
    count: int = Field(default=4, gt=0, lt=10)
    """Bounded on both sides."""
    most: float = Field(default=0.0, le=2)
    """Bounded from above."""
    rate: float | None = Field(default=None, gt=0)
    """A number or nothing."""
    choice: Literal["all", "hard_first"] = "all"
    """A choice."""
    numbers: list[int] = Field(default=[1])
    """Numbers."""
    flag: bool = False
    """A flag."""

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        require_field(sum(self.numbers) < 100, "numbers", self.numbers, "numbers below 100 together")
        require_field(self.inner.least < 90, "inner.least", self.inner.least, f"below 90 with count={self.count}")
        return self


def refused(values: dict[str, Any], key: str = "") -> str:
    """The line with which these values are refused."""
    with pytest.raises(UsageError) as raised:
        Outer.of({"name": "n", **values}, key)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_values_are_typed_and_the_rest_are_defaults() -> None:
    section = Outer.of({"name": "n", "inner": {"share": 1}, "named": {"x": {"steps": ["s"]}}, "free": {"a": {"b": 1}}})
    assert section.inner == Inner(share=1.0) and isinstance(section.inner.share, float)
    # A section that is given in part takes the rest from its class, not from the default of the field.
    assert section.inner.least == 1 and Outer.of({"name": "n"}).inner.least == 7
    assert section.named == {"x": Named(steps=["s"])} and section.free == {"a": {"b": 1}}
    assert (section.count, section.rate, section.numbers) == (4, None, [1])


def test_a_section_does_not_change() -> None:
    with pytest.raises(ValidationError):
        Outer.of({"name": "n"}).count = 5  # pyright: ignore[reportAttributeAccessIssue]


def test_defaults_are_not_shared() -> None:
    first = Outer.of({"name": "n"})
    first.numbers.append(2)
    first.free["a"] = 1
    second = Outer.of({"name": "n"})
    assert (second.numbers, second.free) == ([1], {})


@pytest.mark.parametrize(
    ("values", "line"),
    [
        # the wrong type
        ({"name": 5}, "name=5: must be text"),
        ({"name": None}, "name=None: must be text"),
        ({"count": "four"}, "count='four': must be a whole number"),
        ({"count": "4"}, "count='4': must be a whole number"),
        ({"count": 4.0}, "count=4.0: must be a whole number"),
        ({"count": 4.5}, "count=4.5: must be a whole number"),
        ({"count": True}, "count=True: must be a whole number"),
        ({"count": None}, "count=None: must be a whole number"),
        ({"most": "half"}, "most='half': must be a number"),
        ({"most": True}, "most=True: must be a number"),
        ({"rate": [1]}, "rate=[1]: must be a number"),
        ({"flag": "yes"}, "flag='yes': must be true or false"),
        ({"flag": 1}, "flag=1: must be true or false"),
        ({"numbers": 5}, "numbers=5: must be a list"),
        ({"numbers": None}, "numbers=None: must be a list"),
        ({"free": 5}, "free=5: must be a section with keys of its own"),
        ({"free": [1]}, "free=[1]: must be a section with keys of its own"),
        ({"inner": 5}, "inner=5: must be a section with keys of its own"),
        ({"inner": None}, "inner=None: must be a section with keys of its own"),
        ({"named": {"x": 5}}, "named.x=5: must be a section with keys of its own"),
        # items of lists, and nested keys
        ({"numbers": [1, "x"]}, "numbers.1='x': must be a whole number"),
        ({"named": {"x": {"steps": [1]}}}, "named.x.steps.0=1: must be text"),
        ({"named": {"x": {"steps": [], "kinds": ["a", "c"]}}}, "named.x.kinds.1=c: must be one of a, b"),
        ({"inner": {"share": "x"}}, "inner.share='x': must be a number"),
        # bounds on both sides
        ({"inner": {"share": -0.1}}, "inner.share=-0.1: must be from 0 to 1"),
        ({"inner": {"share": 1.1}}, "inner.share=1.1: must be from 0 to 1"),
        ({"inner": {"least": 0}}, "inner.least=0: must be at least 1"),
        ({"count": 0}, "count=0: must be above 0 and below 10"),
        ({"count": 10}, "count=10: must be above 0 and below 10"),
        ({"most": 2.1}, "most=2.1: must be at most 2"),
        ({"rate": 0}, "rate=0: must be above 0"),
        # numbers that are not finite
        ({"most": math.nan}, "most=nan: must be a finite number"),
        ({"most": math.inf}, "most=inf: must be a finite number"),
        ({"most": -math.inf}, "most=-inf: must be a finite number"),
        # choices
        ({"choice": "hard"}, "choice=hard: must be one of all, hard_first"),
        ({"choice": None}, "choice=None: must be one of all, hard_first"),
        ({"choice": 5}, "choice=5: must be one of all, hard_first"),
        # what validators refuse
        ({"numbers": [99, 1]}, "numbers=[99, 1]: must be numbers below 100 together"),
        ({"inner": {"least": 95}, "count": 3}, "inner.least=95: must be below 90 with count=3"),
        # keys that do not exist, with and without a name that is near
        ({"cuont": 3}, "cuont: no such key; did you mean count?"),
        ({"inner": {"shear": 1}}, "inner.shear: no such key; did you mean inner.share?"),
        ({"inner": {"zzz": 1}}, "inner.zzz: no such key; inner has: share, least"),
        ({"named": {"x": {"steps": [], "zzz": 1}}}, "named.x.zzz: no such key; named.x has: steps, kinds"),
        # A key that is misspelt comes before the key that is missing for it.
        ({"named": {"x": {"stpes": []}}}, "named.x.stpes: no such key; did you mean named.x.steps?"),
        # keys that are missing
        ({"named": {"x": {}}}, "named.x.steps: missing; set it in the recipe"),
        ({"named": {"x": {"steps": "???"}}}, "named.x.steps: missing; set it in the recipe"),
        ({"name": "???"}, "name: missing; set it in the recipe"),
        ({"count": "???"}, "count: missing; set it in the recipe"),
        ({"inner": "???"}, "inner: missing; set it in the recipe"),
    ],
)
def test_what_is_refused(values: dict[str, Any], line: str) -> None:
    assert refused(values) == line
    # Under another key each key in the line has it in front.
    under = f"outer.{line}".replace("did you mean ", "did you mean outer.")
    assert refused(values, "outer") == re.sub("; (.*) has: ", r"; outer.\1 has: ", under)


def test_a_key_that_does_not_exist_and_is_like_no_other() -> None:
    names = "name, inner, named, free, count, most, rate, choice, numbers, flag"
    assert refused({"zzz": 1}) == f"zzz: no such key; a recipe has: {names}"
    assert refused({"zzz": 1}, "outer") == f"outer.zzz: no such key; outer has: {names}"


def test_a_key_that_is_missing() -> None:
    with pytest.raises(UsageError, match=r"^outer\.name: missing; set it in the recipe$"):
        Outer.of({}, "outer")


def test_a_validator_of_one_field_need_not_name_it() -> None:
    class Even(Section):
        numbers: list[int]

        @model_validator(mode="after")
        def _check(self) -> Self:
            require_field(not any(number % 2 for number in self.numbers), "", self.numbers, "even")
            return self

    with pytest.raises(UsageError, match=r"^evens=\[1\]: must be even$"):
        Even.of({"numbers": [1]}, "evens")


def test_defaults_have_a_mark_for_what_a_recipe_must_set() -> None:
    assert Outer.defaults() == {
        "name": "???",
        "inner": {"share": 0.5, "least": 7},
        "named": None,
        "free": {},
        "count": 4,
        "most": 0.0,
        "rate": None,
        "choice": "all",
        "numbers": [1],
        "flag": False,
    }


def test_defaults_of_a_section_that_must_be_given_are_those_of_its_keys() -> None:
    class Whole(Section):
        inner: Inner
        named: Named

    assert Whole.defaults() == {"inner": {"share": 0.5, "least": 1}, "named": {"steps": "???", "kinds": []}}


@pytest.mark.parametrize(
    ("section", "name", "words"),
    [
        (Inner, "share", "from 0 to 1"),
        (Inner, "least", "at least 1"),
        (Outer, "count", "above 0 and below 10"),
        (Outer, "most", "at most 2"),
        (Outer, "rate", "above 0"),
        (Outer, "name", ""),
        (Outer, "choice", ""),
    ],
)
def test_bounds_in_words(section: type[Section], name: str, words: str) -> None:
    assert bounds(section.model_fields[name]) == words


def test_the_section_of_a_field() -> None:
    held = {name: section_of(field) for name, field in Outer.model_fields.items()}
    assert held.pop("inner") is Inner
    assert set(held.values()) == {None}


def test_the_text_under_a_field_describes_it() -> None:
    assert Outer.model_fields["count"].description == "Bounded on both sides."
