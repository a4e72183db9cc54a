r"""Reading answers with sides: chains of equations, inequalities, memberships, congruences, systems and cases."""

import re
from itertools import pairwise

from rewards.form import Form, Reader
from rewards.latex import compact
from rewards.limits import is_open_ended
from rewards.notation import GREEK_LETTER, is_closed, is_label, split

_TEXT = r"\\(?:text(?:rm|bf|it|normal)?|mbox|mathrm)\s*"
_CHAIN = re.compile(r"(?<![<>!:])=|\\(?:approx|equiv)(?![a-zA-Z])")
SIGN = re.compile(r"\\(?:le|ge|ne)(?![a-zA-Z])|[<>]")
_IN = re.compile(r"\\in(?![a-zA-Z])")
_BUILDER = re.compile(r"\\\{\s*[a-zA-Z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid(?![a-zA-Z])|[:|])(?P<condition>.*)\\\}")
_NOT = re.compile(r"\\ne(?![a-zA-Z])")
_MODULO = re.compile(r"(?P<residue>.+?)\s*,?\s*\\pmod\{(?P<modulus>.+)\}")
_CONGRUENT = re.compile(r"\\equiv(?![a-zA-Z])|=")
_ROWS = re.compile(
    r"(?P<brace>\\\{)?\s*\\begin\{(?P<name>d?cases|array|aligned|gathered)\}(?:\{[lcr|]*\})?(?P<body>.*)"
    r"\\end\{(?P=name)\}\s*"
)
_CONDITION = re.compile(
    rf",?\s*(?:{_TEXT}\{{\s*,?\s*(?:if|when|for|where)?\s*\}}|{_TEXT}\{{\s*,?\s*(?:if|when|for|where)\b|(?:if|when|for)\b)\s*"
)
_VARIABLE = re.compile(rf"(?:[a-zA-Z]|{GREEK_LETTER})(?:_\{{?[a-zA-Z0-9]+\}}?)?")


def of_sides(text: str, read: Reader) -> Form | None:
    """The form of a text that says where something lies: a set, a membership, a chain or an inequality."""
    return _builder(text, read) or _membership(text, read) or _chain(text, read) or _inequality(text, read)


def _builder(text: str, read: Reader) -> Form | None:
    match = _BUILDER.fullmatch(text)
    condition = read(match["condition"]) if match else None
    return condition if condition and condition.kind in ("tuple", "union") else None


def _membership(text: str, read: Reader) -> Form | None:
    pieces, signs = split(_IN, text)
    return read(pieces[1]) if len(signs) == 1 and pieces[1] and is_label(pieces[0]) else None


def _chain(text: str, read: Reader) -> Form | None:
    pieces, signs = split(_CHAIN, text)
    if len(signs) == 1 and pieces[0] == "" and signs[0] == r"\approx":  # \approx 3.1
        return read(pieces[1])
    if not signs or "" in pieces:
        return Form("opaque", text) if signs else None
    labels = [piece for piece in pieces if is_label(piece) or is_open_ended(piece)]
    exact = [piece for i, piece in enumerate(pieces) if piece not in labels and (i == 0 or signs[i - 1] != r"\approx")]
    rounded = [piece for i, piece in enumerate(pieces[1:]) if piece not in labels and signs[i] == r"\approx"]
    if not exact and rounded:  # x \approx 3.1
        exact, rounded = rounded[:1], rounded[1:]
    if not exact:  # y = x: all sides are names, and the last is the value
        exact, labels = labels[-1:], labels[:-1]
    if len(exact) > 1 and labels:  # S = n(n+1)/2 = 55: a formula in the middle of a chain is a step
        exact = [side for side in exact if is_closed(side)] or exact[-1:]
    if labels or all(map(is_closed, exact)):
        label = compact(labels[0]) if labels else ""
        return Form("assignment", text, tuple(map(read, exact)), label, rounded=tuple(map(read, rounded)))
    if len(pieces) != 2 or signs[0] == r"\approx":
        return Form("opaque", text)
    return Form("equation", text, tuple(map(read, pieces)))


def _inequality(text: str, read: Reader) -> Form | None:
    pieces, signs = split(SIGN, text)
    if not signs:
        return None
    if "" in pieces or len(pieces) > 3:
        return Form("opaque", text)
    without = excluded(text, [text], read)
    if without is not None:
        return without
    names = [i for i, piece in enumerate(pieces) if _VARIABLE.fullmatch(piece)]
    if len(names) == 1 and r"\ne" not in signs and all(is_closed(p) for i, p in enumerate(pieces) if i not in names):
        return _solved(text, pieces, signs, names[0], read)
    return as_relation(text, read) or Form("tuple", text, tuple(map(read, pieces)), " ".join(signs))


def as_relation(text: str, read: Reader) -> Form | None:
    """Return the two sides of one inequality, solved or not, as a relation; None for anything else."""
    pieces, signs = split(SIGN, text)
    return Form("relation", text, tuple(map(read, pieces)), signs[0]) if len(pieces) == 2 and all(pieces) else None


def _solved(text: str, pieces: list[str], signs: list[str], name: int, read: Reader) -> Form | None:
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


def excluded(text: str, pieces: list[str], read: Reader) -> Form | None:
    r"""Return all numbers but some as a union of intervals: x \ne 1, x \ne 2 or x \ne 1, 2. None for anything else."""
    values: list[str] = []
    for i, piece in enumerate(pieces):
        sides, signs = split(_NOT, piece)
        if len(signs) > 1 or "" in sides or SIGN.search(sides[-1]) or not is_closed(sides[-1]):
            return None
        if not signs and i == 0:
            return None
        if signs and not _VARIABLE.fullmatch(sides[0]):
            return None
        values.append(sides[-1])
    forms = [read(value) for value in values]
    points = [part for form in forms for part in (form.parts if form.kind == "list" else (form,))]
    if any(point.kind not in ("number", "expression") for point in points) or not points:
        return None
    if len(points) > 1:
        if any(point.value is None for point in points):
            return None
        points.sort(key=lambda point: point.value or 0)
    ends = [read(r"-\infty"), *points, read(r"\infty")]
    return Form("union", text, tuple(Form("tuple", text, pair, "()") for pair in pairwise(ends)))


def modulo(text: str, read: Reader) -> Form | None:
    r"""Read a residue or a list of residues with its modulus: x \equiv 3 \pmod{7}."""
    match = _MODULO.fullmatch(text)
    if match is None or r"\pmod" in match["residue"]:
        return None
    *labels, residue = split(_CONGRUENT, match["residue"])[0]
    if not residue or not all(is_label(label) or is_closed(label) for label in labels):
        return None
    return Form("modulo", text, (read(residue), read(match["modulus"])))


def cases(text: str, read: Reader) -> Form | None:
    r"""Read \begin{cases}: a value for each condition, or the equations of a system, which are a list."""
    match = _ROWS.fullmatch(text)
    if match is None or r"\begin" in match["body"] or (match["name"] == "array" and not match["brace"]):
        return None
    rows = [row.strip() for row in re.split(r"\\\\(?:\[[^\]]*\])?", match["body"]) if row.strip()]
    pairs = [_case(row) for row in rows]
    if rows and all(condition for _, condition in pairs):
        parts = [Form("tuple", row, (read(v), read(c)), "case") for row, (v, c) in zip(rows, pairs, strict=True)]
        return Form("cases", text, tuple(parts))
    equations = [re.sub(r"\s*&\s*", " ", row).rstrip(" ,;.") for row in rows]
    if any("=" not in equation for equation in equations):
        return None
    return Form("list", text, tuple(map(read, equations)))


def _case(row: str) -> tuple[str, str]:
    """The value and the condition of a row; an empty condition for an equation."""
    value, _, condition = row.partition("&")
    if not condition:
        match = _CONDITION.search(row)
        value, condition = (row[: match.start()], row[match.start() :]) if match else (row, "")
    elif re.match(r"\s*=", condition) or value.rstrip().endswith("="):
        return row, ""
    condition = _CONDITION.sub("", condition.strip(), count=1).replace(r"\text{", "").strip(" {},.;")
    if re.fullmatch(r"(?:otherwise|else)", condition):
        condition = "otherwise"
    return value.strip().rstrip(",; ").strip(), condition
