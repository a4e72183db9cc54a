r"""Sets of real numbers: unions of intervals and points with rational or infinite ends, in one canonical order."""

import math
from fractions import Fraction

from rewards.forms import Form

# A place between numbers: (x, 0) is just below x and (x, 1) just above. [a, b) goes from (a, 0) to (b, 0).
Cut = tuple[Fraction | float, int]
_INFINITE = {r"\infty": math.inf, r"-\infty": -math.inf}


def canonical(form: Form) -> tuple[tuple[Cut, Cut], ...] | None:
    """Return the disjoint pieces of a set of reals in ascending order, or None if a part is no interval or point."""
    pieces = _pieces(form)
    if pieces is None:
        return None
    merged: list[tuple[Cut, Cut]] = []
    for low, high in sorted(piece for piece in pieces if piece[0] < piece[1]):
        if merged and low <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(high, merged[-1][1])
        else:
            merged.append((low, high))
    return tuple(merged)


def _pieces(form: Form) -> list[tuple[Cut, Cut]] | None:
    if form.kind == "union":
        parts = [_pieces(part) for part in form.parts]
        return None if None in parts else [piece for part in parts if part for piece in part]
    ends = [_INFINITE.get(part.text, part.value) for part in form.parts]
    values = [end for end in ends if end is not None]
    if len(values) < len(ends):
        return None
    if form.kind == "list" and form.tag == "set":
        return [((value, 0), (value, 1)) for value in values]
    if form.kind == "tuple" and form.tag in ("()", "(]", "[)", "[]") and len(values) == 2:
        low, high = values
        return [((low, int(form.tag[0] == "(")), (high, int(form.tag[1] == "]")))]
    return None
