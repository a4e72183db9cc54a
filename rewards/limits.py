"""Limits on what sympy may see: no answers of unbounded work, and no LaTeX that is not plain mathematics."""

import math
import re
from functools import lru_cache

from rewards import arithmetic
from rewards.latex import MAX_CHARS, compact
from rewards.notation import FUNCTIONS, GREEK
from rewards.numerals import exact_value

_MAX_EXPONENT = 9_999
_MAX_FACTORIAL = 3_000
_MAX_BINOMIAL = 10_000
_MAX_DEPTH = 40  # nesting of brackets; the LaTeX parser is recursive

_OPEN_ENDED = re.compile(r"\\(?:i*nt|oint|sum|prod|lim)(?![a-zA-Z])")
# Commands of plain mathematics. Other commands (\cancel, \not, \phantom), quotes and code change what a reader sees in
# ways that a parser does not know, so an answer with them is compared as text.
_COMMANDS = "|".join(
    [
        *(
            "frac",
            "sqrt",
            "pi",
            "infty",
            "cdot",
            "times",
            "div",
            "pm",
            "mp",
            "circ",
            "binom",
            "max",
            "min",
            "gcd",
            "lcm",
        ),
        *("lfloor", "rfloor", "lceil", "rceil", "cup", "cap", "setminus", "emptyset", "in", "mathbb", "mid"),
        *("le", "ge", "ne", "begin", "end", "sum", "prod", "int", "lim", "to", "dots", "ldots"),
        *FUNCTIONS,
        *GREEK,
    ]
)
_PLAIN = re.compile(rf"(?:\\(?:{_COMMANDS})(?![a-zA-Z])|\\[{{}}%\\]|[0-9a-zA-Z\s+\-*/^_=<>!|(){{}}\[\].,:;%&'])*")
_CLOSING = {"{": "}", "(": ")"}


def _exponents(text: str) -> list[str]:
    r"""The exponents, after each ^ and \exp: the inside of brackets, a signed numeral, a command, or one character."""
    found: list[str] = []
    for caret in re.finditer(r"(?:\^|\\exp(?![a-zA-Z]))\s*", text):
        start = caret.end()
        closing = _CLOSING.get(text[start : start + 1])
        if closing is None:
            numeral = re.match(r"[+-]?[0-9]+(?:\s*\^.*)?|\\[a-zA-Z]+|.?", text[start:])
            found.append(numeral[0] if numeral else "")
            continue
        depth, end = 0, start
        for end in range(start, len(text)):
            depth += (text[end] == text[start]) - (text[end] == closing)
            if depth == 0:
                break
        found.append(text[start + 1 : end].strip())
    return found


def _huge_power(text: str) -> bool:
    """Whether an exponent is large, or is itself a power that cannot be worked out, or large powers are nested."""
    product = 1.0
    for exponent in _exponents(text):
        value = exact_value(compact(exponent))
        if value is None:
            approximate = arithmetic.value(exponent)
            if approximate is None and ("^" in exponent or re.fullmatch(r"[^a-zA-Z]*[0-9][^a-zA-Z]*", exponent)):
                return True
            numerals = max(map(int, re.findall(r"[0-9]+", exponent)), default=1)
            size = max(numerals, abs(approximate.number) if approximate else 1)
        else:
            size = max(abs(value.numerator), value.denominator)
        if size > _MAX_EXPONENT:
            return True
        product *= max(size, 1)
    return product > _MAX_EXPONENT and re.search(r"[)}\]]\s*\^", text) is not None


def _huge_factorial(text: str) -> bool:
    """Whether a factorial is of a large number, or of a term that must be worked out first (a power, a factorial)."""
    for factorial in re.finditer(r"(?:[0-9,]+|\([^()!^]*\)|(?P<unclear>[)}!]))\s*!(?:!(?!!))?", text):
        numbers = [int(digits) for digits in re.findall(r"[0-9]+", factorial[0].replace(",", ""))]
        if factorial["unclear"] or math.prod(numbers) > _MAX_FACTORIAL:
            return True
    return False


def is_mathematics(tidied: str) -> bool:
    """Whether a text consists of numerals, letters, operators and known commands, with brackets not nested too deep."""
    if _PLAIN.fullmatch(tidied) is None:
        return False
    depth = deepest = 0
    for char in tidied:
        depth += (char in "({[") - (char in ")}]")
        deepest = max(deepest, depth)
    return deepest <= _MAX_DEPTH


def is_open_ended(tidied: str) -> bool:
    """Whether a text has a sum, product, limit or integral. These are never worked out; their notation is compared."""
    return _OPEN_ENDED.search(tidied) is not None


@lru_cache(maxsize=65_536)
def too_heavy(tidied: str) -> bool:
    """Whether an answer may need unbounded time or memory, so that it may only be compared as text.

    Too heavy are: over `MAX_CHARS` characters, towers of powers, exponents over 9,999, factorials over 3,000 and
    binomials over 10,000.
    """
    if len(tidied) > MAX_CHARS or re.search(r"[0-9]\s*[eE]\s*[+-]?[0-9]{4}", tidied):
        return True
    if "binom" in tidied or r"\choose" in tidied:
        numbers = re.findall(r"[0-9]+", tidied)
        if any(int(digits) > _MAX_BINOMIAL for digits in numbers):
            return True
    return _huge_power(tidied) or ("!" in tidied and _huge_factorial(tidied))
