r"""The rules by which two forms are the same mathematics.

Every rule is exact and symmetric. Questions that the rules leave open go to a function `ask`. In a worker process that
is `rewards.symbolic.ask`, which uses sympy; elsewhere it is `undecided`, which raises `Undecided`.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from rewards import arithmetic
from rewards.choices import choice
from rewards.forms import Form, read
from rewards.latex import compact
from rewards.limits import is_mathematics, too_heavy
from rewards.numerals import decimal_places, rounds_to, stands_for
from rewards.prose import words
from rewards.questions import Ask, Question, Undecided, undecided
from rewards.real_intervals import canonical
from rewards.sides import as_relation
from rewards.units import agree

__all__ = ["Ask", "Question", "Undecided", "is_readable", "same", "undecided"]

_SET_KINDS = ("list", "tuple", "union")
_ORDERED = ("tuple", "ratio", "matrix")
_VALUES = ("number", "expression")
# Letters in a row that are hardly ever a word.
_PRODUCTS = ("abc", "abcd", "bcd", "klm", "lmn", "mnp", "pqr", "pqrs", "qrs", "rst", "stu", "uvw", "wxyz", "xyz")
_FLIPPED = {"<": ">", r"\le": r"\ge"}


def same(a: Form, b: Form, ask: Ask) -> bool:
    """Whether two forms are the same mathematics."""
    if a.value is not None and b.value is not None:
        return a.value == b.value or stands_for(a.value, b.value) or stands_for(b.value, a.value)
    if compact(a.text) == compact(b.text):
        return True
    a, b = _restated(a, ask), _restated(b, ask)
    if (a.kind, a.text) > (b.kind, b.text):
        a, b = b, a
    letters = choice(a.text)[0], choice(b.text)[0]
    if letters[0] and letters[1]:
        return letters[0] == letters[1]
    kinds = (a.kind, b.kind)
    if "choice" in kinds:
        return _same_content(a, b, ask) if a.kind == "choice" else _same_content(b, a, ask)
    if "assignment" in kinds or "equation" in kinds:
        return _same_equations(a, b, ask)
    if "quantity" in kinds:
        # A unit on one side only is dropped. Nothing here converts two different units.
        if kinds == ("quantity", "quantity") and not agree(a.tag, b.tag):
            return False
        return same(_without_unit(a), _without_unit(b), ask)
    if "relation" in kinds:
        left, right = as_relation(a.text, read), as_relation(b.text, read)
        return left is not None and right is not None and _same_relations(left, right, ask)
    if "words" in kinds:
        return _same_words(a, b, ask)
    if a.kind == b.kind == "based":
        return a.tag == b.tag
    if a.kind == b.kind == "modulo":
        return _same_residues(a, b, ask)
    if a.kind == b.kind == "cases":
        return _same_in_any_order(a.parts, b.parts, ask)
    if a.kind == b.kind and a.kind in _ORDERED:
        if a.tag != b.tag or len(a.parts) != len(b.parts):
            return False
        return all(same(x, y, ask) for x, y in zip(a.parts, b.parts, strict=True))
    if a.kind in _VALUES and b.kind in _VALUES:
        return _same_values(a, b, ask)
    return _same_collections(a, b, ask)


def _restated(form: Form, ask: Ask) -> Form:
    """The first of several spellings of one value, as in "3/4 or 0.75"; any other form as it is."""
    if form.kind != "list" or form.tag != "or":
        return form
    first, *others = form.parts
    return first if all(same(first, other, ask) for other in others) else form


def _same_content(marked: Form, other: Form, ask: Ask) -> bool:
    """Whether an answer without a letter is the content of a marked choice."""
    if other.kind == "words" and words(marked.text) == other.tag:  # J. Smith
        return True
    return same(marked.parts[0], other, ask)


def _same_words(a: Form, b: Form, ask: Ask) -> bool:
    """Compare words letter by letter; abc and xyz may be products, whose letters have no order."""
    if a.kind == b.kind:
        letters = sorted(a.tag)
        return a.tag == b.tag or (letters == sorted(b.tag) and "".join(letters) in _PRODUCTS)
    form, other = (a, b) if a.kind == "words" else (b, a)
    is_product = other.kind == "expression" and re.fullmatch("[a-z]{3,4}", form.text) is not None
    return is_product and _same_values(form, other, ask)


def _same_residues(a: Form, b: Form, ask: Ask) -> bool:
    """Whether two residues, or lists of residues, are the same classes of one modulus."""
    if not same(a.parts[1], b.parts[1], ask):
        return False
    modulus = a.parts[1].value

    def reduced(form: Form) -> Form:
        if form.kind in ("list", "tuple"):
            return Form("list", form.text, tuple(map(reduced, form.parts)))
        if form.value is None or not modulus or form.value.denominator != 1 or modulus.denominator != 1:
            return form
        return Form("number", form.text, value=form.value % modulus)

    return same(reduced(a.parts[0]), reduced(b.parts[0]), ask)


# --- values -----------------------------------------------------------------------------------------------------------


def _same_values(a: Form, b: Form, ask: Ask) -> bool:
    if too_heavy(a.text) or too_heavy(b.text):
        return False
    if "!!" in a.text + b.text:
        return arithmetic.same_at_small_integers(a.text, b.text)
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
    first = _without_unit(assignment.parts[0])
    if not all(_close(first, _without_unit(side)) for side in assignment.rounded):
        return False
    if all(same(side, other, ask) for side in assignment.parts):
        return True
    # "2/3 ≈ 0.67" also states 0.67, but "41.6 ≈ 42" does not state 42.
    return (first.value is None or decimal_places(first.value) is None) and any(
        compact(side.text) == compact(other.text) for side in assignment.rounded
    )


def _without_unit(form: Form) -> Form:
    return form.parts[0] if form.kind == "quantity" else form


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
    if form.kind == "choice":
        return True
    if form.kind == "opaque" or too_heavy(form.text):
        return False
    if form.kind != "expression":
        return all(is_readable(part, ask) for part in (*form.parts, *form.rounded))
    return arithmetic.value(form.text) is not None or ask("readable", form.text, "")
