"""The questions that the rules of `rewards.equality` leave to sympy."""

from collections.abc import Callable
from typing import Literal

Question = Literal[
    "same value",  # whether two expressions have the same value
    "same equation",  # whether two differences of sides vanish together
    "same inequality",  # whether two differences of sides always have the same sign
    "same set",  # whether Math-Verify takes two texts for the same
    "readable",  # whether the first text can be read; the second is empty
]
Ask = Callable[[Question, str, str], bool]


class Undecided(Exception):
    """The rules of text and arithmetic leave the question open, so that sympy must decide it."""


def undecided(question: Question, a: str, b: str) -> bool:
    """Leave every question open: the `ask` of a process that does not use sympy.

    Raises:
        Undecided: always.
    """
    raise Undecided
