r"""The rules by which two forms are the same mathematics.

Every rule is exact and symmetric. Questions that the rules leave open go to a function `ask`. In a worker process that
is `rewards.symbolic.ask`, which uses sympy; elsewhere it is `undecided`, which raises `Undecided`.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal

from rewards import arithmetic
from rewards.forms import Form, as_relation, read
from rewards.latex import compact
from rewards.limits import is_mathematics, too_heavy
from rewards.numerals import decimal_places, rounds_to, stands_for
from rewards.real_intervals import canonical

Question = Literal[
    "same value",  # whether two expressions have the same value
    "same equation",  # whether two differences of sides vanish together
    "same inequality",  # whether two differences of sides always have the same sign
    "same set",  # whether Math-Verify takes two texts for the same
    "readable",  # whether the first text can be read; the second is empty
]
Ask = Callable[[Question, str, str], bool]
_SET_KINDS = ("list", "tuple", "union")
_ORDERED = ("tuple", "ratio", "matrix")
_FLIPPED = {"<": ">", r"\le": r"\ge"}


class Undecided(Exception):
    """The rules of text and arithmetic leave the question open, so that sympy must decide it."""


def undecided(question: Question, a: str, b: str) -> bool:
    """Leave every question open: the `ask` of a process that does not use sympy.

    Raises:
        Undecided: always.
    """
    raise Undecided


def same(a: Form, b: Form, ask: Ask) -> bool:
    """Whether two forms are the same mathematics."""
    if a.value is not None and b.value is not None:
        return a.value == b.value or stands_for(a.value, b.value) or stands_for(b.value, a.value)
    if compact(a.text) == compact(b.text):
        return True
    if (a.kind, a.text) > (b.kind, b.text):
        a, b = b, a
    letters = choice(a.text), choice(b.text)
    if letters[0] and letters[0] == letters[1]:
        return True
    kinds = (a.kind, b.kind)
    if "assignment" in kinds or "equation" in kinds:
        return _same_equations(a, b, ask)
    if "quantity" in kinds:
        # A unit on one side only is dropped. Two units are compared as text, since nothing here converts them.
        if kinds == ("quantity", "quantity") and a.tag != b.tag:
            return False
        return same(a.parts[0] if a.kind == "quantity" else a, b.parts[0] if b.kind == "quantity" else b, ask)
    if "relation" in kinds:
        left, right = as_relation(a.text), as_relation(b.text)
        return left is not None and right is not None and _same_relations(left, right, ask)
    if a.kind == b.kind == "words":
        return a.tag == b.tag
    if a.kind == b.kind == "based":
        return a.tag == b.tag
    if a.kind == b.kind and a.kind in _ORDERED:
        if a.tag != b.tag or len(a.parts) != len(b.parts):
            return False
        return all(same(x, y, ask) for x, y in zip(a.parts, b.parts, strict=True))
    if a.kind in ("number", "expression") and b.kind in ("number", "expression"):
        return _same_values(a, b, ask)
    return _same_collections(a, b, ask)


def choice(text: str) -> str:
    """Return the letter of a multiple-choice answer ("C", "(C)", "C)", "(C) 42", "C. text"), or "" for any other."""
    text = re.sub(r"^(?:[oO]ption|[cC]hoice|[aA]nswer)\s+", "", text)
    match = re.fullmatch(r"(?:\((?P<round>[A-J])\)|(?P<bare>[A-J])[).:]?)(?P<rest>.*)", compact(text))
    if match is None:
        return ""
    letter = match["round"] or match["bare"]
    alone = match["rest"] == ""
    marked = re.match(r"\([A-J]\)|[A-J][).:]", match[0]) and re.match(r"[0-9a-z\\$-]", match["rest"])
    return letter if alone or marked else ""


# --- values -----------------------------------------------------------------------------------------------------------


def _same_values(a: Form, b: Form, ask: Ask) -> bool:
    if too_heavy(a.text) or too_heavy(b.text):
        return False
    exact_a, exact_b = arithmetic.exact(a.text), arithmetic.exact(b.text)
    if exact_a is not None and exact_b is not None and exact_a == exact_b:
        return True
    value_a, value_b = arithmetic.value(a.text), arithmetic.value(b.text)
    if value_a and value_b:
        for form, other in ((a, value_b), (b, value_a)):
            # A decimal may stand for a surd.
            if form.value is not None and not other.number.imag and stands_for(form.value, other.number.real):
                return True
        if arithmetic.differ(value_a, value_b):
            return False
    if exact_a is not None and exact_b is not None:
        return False
    return ask("same value", a.text, b.text)


# --- equations and inequalities ---------------------------------------------------------------------------------------


def _same_equations(a: Form, b: Form, ask: Ask) -> bool:
    if a.kind == b.kind == "assignment" and a.tag == b.tag:
        return _states(a, b.parts[0], ask) and _states(b, a.parts[0], ask)
    if a.kind in ("assignment", "equation") and b.kind in ("assignment", "equation"):
        return _vanish_together("same equation", a.text, b.text, ask)
    assignment, other = (a, b) if a.kind == "assignment" else (b, a)
    return assignment.kind == "assignment" and _states(assignment, other, ask)


def _states(assignment: Form, other: Form, ask: Ask) -> bool:
    """Whether all sides of a chain have the value: "6 \\cdot 7 = 42" states 42, "41 = 42" states nothing."""
    first = assignment.parts[0]
    if not all(_close(first, side) for side in assignment.rounded):
        return False
    if all(same(side, other, ask) for side in assignment.parts):
        return True
    # "2/3 ≈ 0.67" also states 0.67, but "41.6 ≈ 42" does not state 42.
    return (first.value is None or decimal_places(first.value) is None) and any(
        compact(side.text) == compact(other.text) for side in assignment.rounded
    )


def _close(exact: Form, rounded: Form) -> bool:
    """Whether the side after a ≈ is the exact side cut or rounded."""
    if rounded.value is None:
        return False
    if exact.value is not None:
        return rounds_to(exact.value, rounded.value)
    value = arithmetic.value(exact.text)
    return value is not None and not value.number.imag and rounds_to(value.number.real, rounded.value)


def _same_relations(a: Form, b: Form, ask: Ask) -> bool:
    """Compare two inequalities as signs of differences: > 0, \\ge 0 or \\ne 0."""

    def downwards(form: Form) -> tuple[str, str]:
        sign, left, right = form.tag, form.parts[0].text, form.parts[1].text
        if sign in ("<", r"\le"):
            return _FLIPPED[sign], f"{right}-({left})"
        return sign, f"{left}-({right})"

    (sign_a, text_a), (sign_b, text_b) = downwards(a), downwards(b)
    if sign_a != sign_b:
        return False
    return _proportional("same equation" if sign_a == r"\ne" else "same inequality", text_a, text_b, ask)


def _vanish_together(question: Question, a: str, b: str, ask: Ask) -> bool:
    def difference(text: str) -> str:
        left, _, right = text.partition("=")
        return f"{left}-({right})"

    if any(text.count("=") != 1 or r"\approx" in text for text in (a, b)):
        return False
    return _proportional(question, difference(a), difference(b), ask)


def _proportional(question: Question, a: str, b: str, ask: Ask) -> bool:
    if not _sympy_may_see(a, b):
        return False
    ratios: set[Fraction] = set()
    for point in range(3):
        exact_a, exact_b = arithmetic.exact(a, point), arithmetic.exact(b, point)
        if not exact_a or not exact_b:
            return ask(question, a, b)
        ratios.add(exact_a / exact_b)
    return len(ratios) == 1 and (question == "same equation" or min(ratios) > 0)


# --- lists and sets ---------------------------------------------------------------------------------------------------


def _same_collections(a: Form, b: Form, ask: Ask) -> bool:
    if "union" in (a.kind, b.kind):
        pieces_a, pieces_b = canonical(a), canonical(b)
        if pieces_a is not None and pieces_b is not None:
            return pieces_a == pieces_b
    if a.kind == b.kind and a.kind in ("list", "union"):
        parts_a, parts_b = a.parts, b.parts
        if "set" in (a.tag, b.tag):
            parts_a, parts_b = _distinct(parts_a, ask), _distinct(parts_b, ask)
        return _same_in_any_order(parts_a, parts_b, ask)
    for form, other in ((a, b), (b, a)):
        if form.kind != "list":
            continue
        if len(form.parts) == 1 and other.kind not in ("words", "opaque"):
            return same(form.parts[0], other, ask)  # {5} and 5
        if other.kind == "number" and "," in other.text:
            # "100,200" reads as a number, but against "100, 200" it is the same list.
            return _same_in_any_order(form.parts, tuple(map(read, other.text.split(","))), ask)
        if other.kind == "tuple" and other.tag == "()" and _are_named(form.parts):
            pairs = zip(form.parts, other.parts, strict=False)
            return len(form.parts) == len(other.parts) and all(same(part, partner, ask) for part, partner in pairs)
    both_sets = _is_set(a) and _is_set(b) and not {"union", "expression"}.isdisjoint((a.kind, b.kind))
    if both_sets or (_is_matrix(a) and _is_matrix(b)):
        return _sympy_may_see(a.text, b.text) and ask("same set", a.text, b.text)
    return False


def _sympy_may_see(a: str, b: str) -> bool:
    return is_mathematics(a + b) and not (too_heavy(a) or too_heavy(b))


def _is_set(form: Form) -> bool:
    is_operation = form.kind == "expression" and re.search(r"\\(?:setminus|cap)", form.text) is not None
    return is_operation or form.kind in _SET_KINDS


def _is_matrix(form: Form) -> bool:
    return form.kind == "matrix" or (form.kind == "expression" and r"\begin" in form.text)


def _are_named(parts: Sequence[Form]) -> bool:
    """Whether each value has a name of its own, as in "x = 1, y = 2". Such a list has an order."""
    names = {part.tag for part in parts if part.kind == "assignment" and part.tag}
    return len(names) == len(parts) > 1


def _distinct(parts: Sequence[Form], ask: Ask) -> tuple[Form, ...]:
    kept: list[Form] = []
    for part in parts:
        if not any(same(part, other, ask) for other in kept):
            kept.append(part)
    return tuple(kept)


def _same_in_any_order(a: Sequence[Form], b: Sequence[Form], ask: Ask) -> bool:
    if len(a) != len(b):
        return False
    left = list(b)
    for part in a:
        partner = next((i for i, other in enumerate(left) if same(part, other, ask)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def is_readable(form: Form, ask: Ask) -> bool:
    """Whether a form can equal more than its own spelling."""
    if form.kind == "opaque" or too_heavy(form.text):
        return False
    if form.kind != "expression":
        return all(is_readable(part, ask) for part in (*form.parts, *form.rounded))
    return arithmetic.value(form.text) is not None or ask("readable", form.text, "")
