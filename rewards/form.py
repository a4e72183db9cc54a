"""The type of a form: an answer as a tree whose leaves are numbers, words and expressions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Kind = Literal[
    "number",  # a rational number (value)
    "words",  # prose, compared letter by letter (tag)
    "list",  # values in any order; a finite set is a list with the tag "set"
    "tuple",  # parts in order between two brackets (tag): a tuple or an interval, which are written alike
    "union",  # intervals and sets in any order
    "matrix",  # rows, each a tuple
    "ratio",  # parts in order between colons: a ratio or a time
    "quantity",  # one part with a unit (tag)
    "choice",  # a letter (tag) with its content
    "cases",  # a piecewise value: rows, each a tuple of value and condition
    "modulo",  # a residue, or a list of residues, and the modulus
    "based",  # a numeral with its base (tag)
    "assignment",  # the values that a chain gives a label (tag): x = 2 \cdot 3 = 6
    "equation",  # the two sides of an equation that is no assignment
    "relation",  # the two sides of an unsolved inequality; tag is its sign
    "expression",  # any other mathematics
    "opaque",  # anything else: equal only if the text is equal
]


@dataclass(frozen=True)
class Form:
    """An answer or a part of one.

    `text` is its tidied LaTeX. `Kind` says what `parts`, `tag` and `value` hold. `rounded` are the sides of an
    assignment that follow a ≈.
    """

    kind: Kind
    text: str
    parts: tuple["Form", ...] = ()
    tag: str = ""
    value: Fraction | None = None
    rounded: tuple["Form", ...] = ()


Reader = Callable[[str], Form]  # from tidied LaTeX


def leaves(form: Form) -> Iterator[Form]:
    """Iterate over the leaves of a tree: its forms without parts."""
    if not form.parts:
        yield form
    for part in (*form.parts, *form.rounded):
        yield from leaves(part)
