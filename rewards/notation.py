r"""LaTeX notation: the tables of letters, functions and signs; splitting outside of brackets, labels.

Other modules build their patterns from these tables, and so does data_prep.overlap.
"""

import re

# Letters that are read as variables, all alike. \pi is a constant.
GREEK = (
    *("alpha", "beta", "gamma", "Gamma", "delta", "Delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "Theta"),
    *("kappa", "lambda", "Lambda", "mu", "nu", "xi", "rho", "sigma", "Sigma", "tau", "phi", "varphi", "Phi"),
    *("chi", "psi", "Psi", "omega", "Omega"),
)
GREEK_LETTER = rf"\\(?:{'|'.join(GREEK)})(?![a-zA-Z])"  # a pattern for one of them

TRIGONOMETRIC = ("sin", "cos", "tan", "cot", "sec", "csc")
FUNCTIONS = (*TRIGONOMETRIC, "arcsin", "arccos", "arctan", "arccot", "sinh", "cosh", "tanh", "ln", "log", "exp")

# Commands with other names for the same sign.
SYNONYMS = {
    "frac": ("dfrac", "tfrac", "cfrac", "sfrac", "nicefrac"),
    "binom": ("dbinom", "tbinom"),
    "le": ("leq", "leqslant"),
    "ge": ("geq", "geqslant"),
    "ne": ("neq",),
}
# Names of functions in other countries and in plain text.
ALIASES = {
    "arcctg": "arccot",
    "arctg": "arctan",
    "cotg": "cot",
    "ctg": "cot",
    "tg": "tan",
    "cosec": "csc",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "sh": "sinh",
    "ch": "cosh",
    "th": "tanh",
}
# Unicode signs that are written alike in problems and in answers.
SIGNS = {
    "\u2212": "-",
    "\u2013": "-",
    "\u2019": "'",
    "\u00d7": r"\times ",
    "\u00b7": r"\cdot ",
    "\u03c0": r"\pi ",
    "\u221e": r"\infty ",
    "\u00b0": r"^\circ ",
    "\u2264": r"\le ",
    "\u2265": r"\ge ",
    "\u2260": r"\ne ",
}

_TRIGONOMETRIC = rf"\\(?:{'|'.join(TRIGONOMETRIC)})"
_NO_LABEL = re.compile(
    rf"(?:{_TRIGONOMETRIC}|\\(?:log|ln|exp|frac|sqrt|pi|infty|cdot|times|div|binom|pm|mp|ldots))(?![a-zA-Z])"
)


_DERIVATIVE = re.compile(
    r"\\frac\s*\{\s*(?:d|\\partial)\s*(?:\^\s*\{?\d\}?)?\s*[a-zA-Z]?\s*\}\s*\{\s*(?:d|\\partial)\s*[a-zA-Z]\s*"
    r"(?:\^\s*\{?\d\}?)?\s*\}|\bd(?:\^\{?\d\}?)?[a-zA-Z]?\s*/\s*d[a-zA-Z](?:\^\{?\d\}?)?"
)


def split(separator: re.Pattern[str], text: str) -> tuple[list[str], list[str]]:
    """Split a text at the separators that stand outside of all brackets.

    Returns the pieces and the separators between them, each stripped of white space: one piece more than separators.
    """
    if separator.search(text) is None:
        return [text], []
    pieces: list[str] = []
    signs: list[str] = []
    depth = start = position = 0
    while position < len(text):
        char = text[position]
        if depth == 0 and (match := separator.match(text, position)) and match.end() > position:
            pieces.append(text[start:position].strip())
            signs.append(match[0].strip())
            start = position = match.end()
            continue
        if char == "\\" and text[position + 1 : position + 2].isalpha():
            command = re.match(r"\\[a-zA-Z]+", text[position:])
            name = command[0] if command else char
            depth += (name == r"\begin") - (name == r"\end")
            position += len(name)
            continue
        depth += (char in "({[") - (char in ")}]")
        position += 1
    pieces.append(text[start:].strip())
    return pieces, signs


def is_label(side: str) -> bool:
    r"""Whether a side is a name: x, x_1, AB, |AB|, f(x), P(A \cap B), (p,q,r), \angle ABC, \text{Area}, m_{\max}."""
    side = re.sub(r"_\s*(?:\{[^{}]*\}|\w)|\^\s*\{?-1\}?|\\text\s*\{[^{}]*\}", "L", side)
    side = _DERIVATIVE.sub("L", side)
    side = re.sub(r"(?<=[A-Zfghpq}])\s*\([^()]*\)", "", side)
    if not re.search("[a-zA-Z]", side) or _NO_LABEL.search(side):
        return False
    return re.fullmatch(r"(?:\\[a-zA-Z]+(?![a-zA-Z])|[a-zA-Z(),|:{}'\s])+", side) is not None and not re.fullmatch(
        r"[ei]", side
    )


def is_closed(side: str) -> bool:
    """Whether a side has no free letters. The constants e, i and \\pi are not free."""
    letters = r"(?<![\\a-zA-Z])[a-df-hj-zA-Z](?![a-zA-Z])|(?<![\\a-zA-Z])[a-zA-Z]{2,}"
    return not re.search(rf"{letters}|{GREEK_LETTER}", side)
