r"""The kind of an answer: number, list, tuple, interval, set, matrix, equation, quantity with a unit, words.

`read` turns a tidied answer into a tree of forms whose leaves are numbers, words and expressions. It reads only the
shape. `rewards.equality` compares the forms, down to the expressions in the leaves.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from rewards.choices import choice
from rewards.form import Form, leaves
from rewards.latex import compact, tidy
from rewards.limits import is_mathematics
from rewards.notation import split
from rewards.numerals import exact_value
from rewards.prose import COMMAND, spoken, unqualified, words
from rewards.sides import SIGN, cases, excluded, modulo, of_sides
from rewards.units import split_unit

__all__ = ["Form", "leaves", "read"]

_WHOLE_TEXT = re.compile(r"^\\(?:text(?:rm|bf|it|normal)?|mbox|mathrm|mathbf)\s*\{([^{}]*)\}$")
_AND = (
    rf"{COMMAND}\{{\s*,?\s*(?:and|or|AND|OR|或|和|与|及)\s*,?\s*\}}|(?<![a-zA-Z\\])(?:and|or|AND|OR)(?![a-zA-Z])"
    r"|[或和与及]|\\(?:lor|vee)(?![a-zA-Z])"
)
_SEPARATOR = re.compile(rf"(?:[,;]\s*)?(?:{_AND})|[,;]")
_OR = re.compile(r"or(?![a-z])|OR|或|\\lor|\\vee")
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?!\d)")
_BASED = re.compile(r"\(?(?P<digits>[0-9A-Za-z]+)\)?_\{?\(?(?P<base>[0-9]+)\)?\}?")
_UNION = re.compile(r"\\cup(?![a-zA-Z])")
_ALL_BUT = re.compile(r"\\mathbb\{R\}\s*(?:\\setminus|\\backslash|-)\s*\\\{(?P<without>.*)\\\}")
_POINT = re.compile(r"(?P<name>[A-Z](?:_\{?\w\}?|'{1,2})?)\s*(?P<tuple>\(.*\))")
_COLON = re.compile(r":")
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])")
_MATRIX = re.compile(
    r"[(\[]?\s*\\begin\{(?P<name>[pbB]?matrix|array)\}(?:\{[lcr|]*\})?(?P<body>.*)\\end\{(?P=name)\}\s*[)\]]?"
)


@lru_cache(maxsize=65_536)
def read(text: str) -> Form:
    """Return the form of a tidied answer. Never raises on a string."""
    text = _WHOLE_TEXT.sub(r"\1", text.strip())
    value = exact_value(compact(text))
    if value is None:
        value = spoken(text)
    if value is not None:
        return Form("number", text, value=value)
    for reader in (
        _choice,
        _words,
        _qualified,
        _modulo,
        _list,
        _cases,
        _of_sides,
        _quantity,
        _plus_minus,
        _sets,
        _brackets,
    ):
        form = reader(text)
        if form is not None:
            return form
    return _matrix(text) or _numeral(text) or Form("expression" if is_mathematics(text) else "opaque", text)


def _choice(text: str) -> Form | None:
    letter, content = choice(text)
    return Form("choice", text, (read(content),), letter) if content else None


def _words(text: str) -> Form | None:
    key = "" if _SEPARATOR.search(text) else words(text)
    if not key:
        return None
    found = split_unit(text)
    number = spoken(found[0]) if found else None
    if found and number is not None:  # seven days
        return Form("quantity", text, (Form("number", found[0], value=number),), found[1])
    return Form("words", text, tag=key)


def _qualified(text: str) -> Form | None:
    body = unqualified(text)
    return read(body) if body else None


def _of_sides(text: str) -> Form | None:
    return of_sides(text, read)


def _modulo(text: str) -> Form | None:
    return modulo(text, read)


def _cases(text: str) -> Form | None:
    return cases(text, read)


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
    without = excluded(text, pieces, read)
    if without is not None:
        return without
    parts = [read(piece) for piece in pieces]
    if all(SIGN.search(piece) for piece in pieces) and any("or" in sign or sign[:1] == "\\" for sign in signs):
        return Form("union", text, tuple(parts))
    alternatives = "or" if all(_OR.search(sign) for sign in signs) else ""
    return Form("list", text, tuple(_flat(parts)), alternatives)


def _flat(parts: list[Form]) -> Iterator[Form]:
    for part in parts:
        yield from part.parts if part.kind == "list" and part.tag != "set" else (part,)


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
    without = _ALL_BUT.fullmatch(text)
    if without:
        form = excluded(text, [rf"x \ne {without['without']}"], read)
        if form is not None:
            return form
    pieces, signs = split(_UNION, text)
    if not signs:
        return None
    parts = [read(piece) for piece in pieces]
    if all(part.kind == "list" and part.tag == "set" for part in parts):
        return Form("list", text, tuple(element for part in parts for element in part.parts), "set")
    return Form("union", text, tuple(parts))


def _brackets(text: str) -> Form | None:
    point = _POINT.fullmatch(text)
    if point:
        coordinates = read(point["tuple"])
        if coordinates.kind != "tuple" or coordinates.tag != "()":
            return None
        return Form("assignment", text, (coordinates,), compact(point["name"]))
    is_set = text.startswith(r"\{") and text.endswith(r"\}")
    is_group = text[:1] == "{" and text[-1:] == "}" and len(text) > 2
    if not is_set and not is_group and not (text[:1] in "([" and text[-1:] in ")]" and len(text) > 2):
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
    if is_set or (is_group and signs):
        return Form("list", text, tuple(map(read, pieces)), "set")
    if signs:
        return Form("tuple", text, tuple(map(read, pieces)), text[0] + text[-1])
    return read(inside) if text[0] + text[-1] in ("()", "{}") else None


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
    if based and _are_digits(based["digits"], int(based["base"][:4])):
        return Form("based", text, tag=f"{based['digits'].lstrip('0').upper() or '0'}_{based['base']}")
    pieces, signs = split(_COLON, text)
    if signs and all(pieces):
        return Form("ratio", text, tuple(map(read, pieces)))
    return None


def _are_digits(numeral: str, base: int) -> bool:
    """Whether a text is a numeral of a base: 2x_2 is a product, and letters alone are a numeral to base 16 only."""
    if not re.search("[0-9]", numeral):
        return base == 16 and len(numeral) > 1 and all(digit in "abcdefABCDEF" for digit in numeral)
    return not re.search("[a-z]", numeral) or (base <= 36 and all(int(digit, 36) < base for digit in numeral))
