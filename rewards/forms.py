r"""The kind of an answer: number, list, tuple, interval, set, matrix, equation, quantity with a unit, words.

`read` turns a tidied answer into a tree of forms whose leaves are numbers, words and expressions. It reads only the
shape. `rewards.equality` compares the forms, down to the expressions in the leaves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from rewards.latex import compact, tidy
from rewards.limits import is_mathematics
from rewards.notation import GREEK_LETTER, is_closed, is_label, split, split_unit
from rewards.numerals import exact_value

Kind = Literal[
    "number",  # a rational number (value)
    "words",  # prose, compared letter by letter (tag)
    "list",  # values in any order; a finite set is a list with the tag "set"
    "tuple",  # parts in order between two brackets (tag): a tuple or an interval, which are written alike
    "union",  # intervals and sets in any order
    "matrix",  # rows, each a tuple
    "ratio",  # parts in order between colons: a ratio or a time
    "quantity",  # one part with a unit (tag)
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


_WORDS = re.compile(r"(?=.*[A-Za-z]{3}|no$)[A-Za-z][A-Za-z.' -]*", re.IGNORECASE)
_WHOLE_TEXT = re.compile(r"^\\(?:text(?:rm|bf|it|normal)?|mbox|mathrm|mathbf)\s*\{([^{}]*)\}$")
_AND = r"\\text\s*\{\s*,?\s*(?:and|or|AND|OR)\s*,?\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|\\(?:lor|vee)(?![a-zA-Z])"
_SEPARATOR = re.compile(rf"(?:[,;]\s*)?(?:{_AND})|[,;]")
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?!\d)")
_BASED = re.compile(r"\(?(?=[0-9A-Z]*[0-9])(?P<digits>[0-9A-Z]+)\)?_\{?\(?(?P<base>[0-9]+)\)?\}?")
_CHAIN = re.compile(r"(?<![<>!:])=|\\approx(?![a-zA-Z])")
_SIGN = re.compile(r"\\(?:le|ge|ne)(?![a-zA-Z])|[<>]")
_IN = re.compile(r"\\in(?![a-zA-Z])")
_UNION = re.compile(r"\\cup(?![a-zA-Z])")
_COLON = re.compile(r":")
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")
_BUILDER = re.compile(r"\\\{\s*[a-zA-Z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid(?![a-zA-Z])|[:|])(?P<condition>.*)\\\}")
_MATRIX = re.compile(
    r"[(\[]?\s*\\begin\{(?P<name>[pbB]?matrix|array)\}(?:\{[lcr|]*\})?(?P<body>.*)\\end\{(?P=name)\}\s*[)\]]?"
)
_VARIABLE = re.compile(rf"(?:[a-zA-Z]|{GREEK_LETTER})(?:_\{{?[a-zA-Z0-9]+\}}?)?")


@lru_cache(maxsize=65_536)
def read(text: str) -> Form:
    """Return the form of a tidied answer. Never raises on a string."""
    text = _WHOLE_TEXT.sub(r"\1", text.strip())
    key = compact(text)
    value = exact_value(key)
    if value is not None:
        return Form("number", text, value=value)
    if _WORDS.fullmatch(key) and not _SEPARATOR.search(text):
        return Form("words", text, tag=re.sub(r"[\s.]+", "", text).casefold())
    for reader in (_list, _of_sides, _quantity, _plus_minus, _sets, _brackets, _matrix, _numeral):
        form = reader(text)
        if form is not None:
            return form
    return Form("expression" if is_mathematics(text) else "opaque", text)


def leaves(form: Form) -> Iterator[Form]:
    """Iterate over the leaves of a tree: its forms without parts."""
    if not form.parts:
        yield form
    for part in (*form.parts, *form.rounded):
        yield from leaves(part)


def _list(text: str) -> Form | None:
    thousands = _THOUSANDS.findall(text)
    if len(thousands) == 1 and text.count(",") == thousands[0].count(",") and not re.search(r"[(\[]|\\\{", text):
        return read(text.replace(",", ""))  # 1,000\pi
    pieces, signs = split(_SEPARATOR, text)
    pieces = [piece for piece in pieces if piece]
    if not signs:
        return None
    if len(pieces) < 2:
        return read(pieces[0]) if pieces and pieces[0] != text else None
    parts = [read(piece) for piece in pieces]
    if all(_SIGN.search(piece) for piece in pieces) and any("or" in sign or sign[:1] == "\\" for sign in signs):
        return Form("union", text, tuple(parts))
    return Form("list", text, tuple(_flat(parts)))


def _flat(parts: list[Form]) -> Iterator[Form]:
    for part in parts:
        yield from part.parts if part.kind == "list" and part.tag != "set" else (part,)


def _of_sides(text: str) -> Form | None:
    return _builder(text) or _membership(text) or _chain(text) or _inequality(text)


def _builder(text: str) -> Form | None:
    match = _BUILDER.fullmatch(text)
    condition = read(match["condition"]) if match else None
    return condition if condition and condition.kind in ("tuple", "union") else None


def _membership(text: str) -> Form | None:
    pieces, signs = split(_IN, text)
    return read(pieces[1]) if len(signs) == 1 and pieces[1] and is_label(pieces[0]) else None


def _chain(text: str) -> Form | None:
    pieces, signs = split(_CHAIN, text)
    if len(signs) == 1 and pieces[0] == "" and signs[0] != "=":  # \approx 3.1
        return read(pieces[1])
    if not signs or "" in pieces:
        return Form("opaque", text) if signs else None
    labels = [piece for piece in pieces if is_label(piece)]
    exact = [piece for i, piece in enumerate(pieces) if piece not in labels and (i == 0 or signs[i - 1] == "=")]
    rounded = [piece for i, piece in enumerate(pieces[1:]) if piece not in labels and signs[i] != "="]
    if not exact and rounded:  # x \approx 3.1
        exact, rounded = rounded[:1], rounded[1:]
    if not exact:  # y = x: all sides are names, and the last is the value
        exact, labels = labels[-1:], labels[:-1]
    if len(exact) > 1 and labels:  # S = n(n+1)/2 = 55: a formula in the middle of a chain is a step
        exact = [side for side in exact if is_closed(side)] or exact[-1:]
    if labels or all(map(is_closed, exact)):
        label = compact(labels[0]) if labels else ""
        return Form("assignment", text, tuple(map(read, exact)), label, rounded=tuple(map(read, rounded)))
    if len(pieces) != 2 or signs[0] != "=":
        return Form("opaque", text)
    return Form("equation", text, tuple(map(read, pieces)))


def _inequality(text: str) -> Form | None:
    pieces, signs = split(_SIGN, text)
    if not signs:
        return None
    if "" in pieces or len(pieces) > 3:
        return Form("opaque", text)
    names = [i for i, piece in enumerate(pieces) if _VARIABLE.fullmatch(piece)]
    if len(names) == 1 and r"\ne" not in signs and all(is_closed(p) for i, p in enumerate(pieces) if i not in names):
        return _solved(text, pieces, signs, names[0])
    return as_relation(text) or Form("tuple", text, tuple(map(read, pieces)), " ".join(signs))


def as_relation(text: str) -> Form | None:
    """Return the two sides of one inequality, solved or not, as a relation; None for anything else."""
    pieces, signs = split(_SIGN, text)
    return Form("relation", text, tuple(map(read, pieces)), signs[0]) if len(pieces) == 2 and all(pieces) else None


def _solved(text: str, pieces: list[str], signs: list[str], name: int) -> Form | None:
    """The interval of a solved inequality's variable, which is the piece at index `name`."""
    low, high = (r"-\infty", "("), (r"\infty", ")")
    for i, sign in enumerate(signs):
        left_of_name = i < name
        bound = pieces[i] if left_of_name else pieces[i + 1]
        upwards = sign in ("<", r"\le")
        strict = sign in "<>"
        if left_of_name == upwards:
            low = bound, "(" if strict else "["
        else:
            high = bound, ")" if strict else "]"
    if len(signs) == 2 and name != 1:
        return Form("opaque", text)
    return Form("tuple", text, (read(low[0]), read(high[0])), low[1] + high[1])


def _quantity(text: str) -> Form | None:
    found = split_unit(text)
    if found is None:
        return None
    number, unit = found
    return Form("quantity", text, (read(number),), unit) if unit else read(number)


def _plus_minus(text: str) -> Form | None:
    if not _PLUS_MINUS.search(text):
        return None
    # Several signs go together: all upper signs, or all lower signs.
    values = [
        re.sub(r"(^|[({=,])\s*\+", r"\1", re.sub(r"\\pm(?![a-zA-Z])", plus, re.sub(r"\\mp(?![a-zA-Z])", minus, text)))
        for plus, minus in ("+-", "-+")
    ]
    return Form("list", text, tuple(read(value) for value in values))


def _sets(text: str) -> Form | None:
    if text == r"\mathbb{R}":
        return Form("tuple", text, (read(r"-\infty"), read(r"\infty")), "()")
    pieces, signs = split(_UNION, text)
    if not signs:
        return None
    parts = [read(piece) for piece in pieces]
    if all(part.kind == "list" and part.tag == "set" for part in parts):
        return Form("list", text, tuple(element for part in parts for element in part.parts), "set")
    return Form("union", text, tuple(parts))


def _brackets(text: str) -> Form | None:
    is_set = text.startswith(r"\{") and text.endswith(r"\}")
    if not is_set and not (text[:1] in "([" and text[-1:] in ")]" and len(text) > 2):
        return None
    inside = text[2:-2] if is_set else text[1:-1]
    depth = 0
    for char in inside:
        depth += (char in "({[") - (char in ")}]")
        if depth < 0:
            return None  # (a)(b)
    pieces, signs = split(_SEPARATOR if is_set else re.compile("[,;]"), inside)
    if "" in pieces:
        return None
    if is_set:
        return Form("list", text, tuple(map(read, pieces)), "set")
    if signs:
        return Form("tuple", text, tuple(map(read, pieces)), text[0] + text[-1])
    return read(inside) if text[0] == "(" and text[-1] == ")" else None


def _matrix(text: str) -> Form | None:
    match = _MATRIX.fullmatch(text)
    if match is None or r"\begin" in match["body"]:
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", match["body"]) if row.strip()]
    cells = [tuple(read(tidy(cell)) for cell in row.split("&")) for row in rows]
    parts = (Form("tuple", row, row_cells) for row, row_cells in zip(rows, cells, strict=True))
    return Form("matrix", text, tuple(parts))


def _numeral(text: str) -> Form | None:
    based = _BASED.fullmatch(compact(text))
    if based:
        return Form("based", text, tag=f"{based['digits'].lstrip('0') or '0'}_{based['base']}")
    pieces, signs = split(_COLON, text)
    if signs and all(pieces):
        return Form("ratio", text, tuple(map(read, pieces)))
    return None
