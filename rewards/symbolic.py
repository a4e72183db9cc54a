r"""The comparisons that only sympy can decide. They run in a worker process, since they may take any time and memory.

Math-Verify's parser reads the LaTeX. Rational values are compared exactly, other values to 45 digits. Formulas with
letters are compared at several points where both sides are real, which decides an identity in all but contrived cases.
Sums, products, limits and integrals are never worked out: their notation must be the same.
"""

import logging
import re
from functools import lru_cache
from typing import Any

import mpmath
import sympy
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy.core.traversal import bottom_up

from rewards.equality import Question, is_readable, same
from rewards.forms import read
from rewards.limits import is_open_ended
from rewards.pool import Judgement

for _module in ("parser", "grader"):
    # They warn once that no timeout is set. The pool's limits take its place.
    logging.getLogger(f"math_verify.{_module}").setLevel(logging.ERROR)

_DIGITS = 60
_AGREE = mpmath.mpf(10) ** -45
_CONVERSION = ConversionConfig(lowercase_symbols=False)
# Each row is a point: the values of the letters in alphabetical order, repeated as needed. The first two are positive,
# where roots and logarithms are real. The other two have mixed signs, where |x| and x differ.
_ROWS = ((131, 58, 223, 71, 149), (61, 173, 83, 199, 107), (-113, 67, -181, 229, -79), (-73, -139, 101, -59, 211))
_POINTS = [[sympy.Rational(n, 97) for n in row] for row in _ROWS]
_IMAGINARY = sympy.Symbol("i", real=True)


def ask(question: Question, a: str, b: str) -> bool:
    """Answer a question about tidied LaTeX, with False if the LaTeX cannot be read. May raise whatever sympy raises."""
    if question == "readable":
        return expression(a) is not None
    if question == "same set":
        return _same_set(a, b)
    left, right = expression(a), expression(b)
    if left is None or right is None:
        return False
    is_value = isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)
    if not is_value or is_open_ended(a) or is_open_ended(b):
        return bool(_in_order(left) == _in_order(right))
    left, right = _with_real_roots(left), _with_real_roots(right)
    with mpmath.workdps(_DIGITS):
        if question == "same value":
            return _same_value(left, right)
        return _proportional(left, right, positive=question == "same inequality")


@lru_cache(maxsize=1_024)
def expression(tidied: str) -> Any:
    """Return the sympy expression of tidied LaTeX, or None if the parser cannot read it."""
    try:
        text = _spelled_out(tidied)
        parsed = latex2sympy(text, is_real=True, normalization_config=None, conversion_config=_CONVERSION)
    except MemoryError:
        raise
    except Exception:  # the parser raises bare exceptions
        return None
    return parsed.subs(_IMAGINARY, sympy.I) if isinstance(parsed, sympy.Expr) else parsed


def _spelled_out(tidied: str) -> str:
    """Spell decimals, per cents, degrees and exponents out as LaTeX that the parser knows."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", tidied)
    text = re.sub(r"(?<=\d)[eE]([+-]?\d+)", r"\\cdot 10^{\1}", text)
    text = re.sub(r"\d*\.\d+|\d+\.(?!\d)", _exact_decimal, text)
    text = re.sub(r"\\?%", r"\\cdot\\frac{1}{100}", text)
    text = re.sub(r"(\d+|\\frac\{\d+\}\{\d+\}|\([^()]*\))\s*\^\\circ", r"(\1\\cdot\\frac{\\pi}{180})", text)
    text = re.sub(r"\^\s*(-?\d+|-?[a-zA-Z])", r"^{\1}", text)
    text = re.sub(r"\\log_(\w)", r"\\log_{\1}", text)
    return re.sub(r"(?<=[\d})])i(?![a-zA-Z])", " i", text)


def _exact_decimal(match: re.Match[str]) -> str:
    value: Any = sympy.Rational(match[0].strip() if match[0][-1] != "." else match[0][:-1])
    return str(value.p) if value.q == 1 else rf"\frac{{{value.p}}}{{{value.q}}}"


def _with_real_roots(expression: Any) -> Any:
    """Replace odd roots by real roots, so that the cube root of -8 is -2, unless the expression contains an i."""
    if expression.has(sympy.I):
        return expression

    def is_odd_root(node: Any) -> bool:
        return isinstance(node, sympy.Pow) and isinstance(node.exp, sympy.Rational) and node.exp.q % 2 == 1 < node.exp.q

    def real(node: Any) -> Any:
        root = sympy.sign(node.base) * sympy.Abs(node.base) ** sympy.Rational(1, node.exp.q)
        return root**node.exp.p

    expression = _in_order(expression)
    return expression.replace(is_odd_root, real) if expression.has(sympy.Pow) else expression


def _same_value(a: Any, b: Any) -> bool:
    if a == b:
        return _is_defined(a)
    if not a.free_symbols and not b.free_symbols:
        done_a, done_b = a.doit(), b.doit()
        if isinstance(done_a, sympy.Rational) and isinstance(done_b, sympy.Rational):
            return bool(done_a == done_b)
        if done_a.is_infinite or done_b.is_infinite:
            return bool(done_a == done_b) and done_a in (sympy.oo, -sympy.oo)
        return _agree(_number(done_a), _number(done_b))
    return _everywhere(a, b, _agree)


def _in_order(expression: Any) -> Any:
    """Put the sums and products of an expression into sympy's own order, without working anything out."""
    return bottom_up(expression, lambda node: node.func(*node.args) if node.args else node)


def _is_defined(value: Any) -> bool:
    return not value.has(sympy.nan, sympy.zoo)


def _proportional(a: Any, b: Any, positive: bool) -> bool:
    ratios: list[Any] = []

    def constant_ratio(x: Any, y: Any) -> bool:
        if not x or not y:
            return False
        ratios.append(x / y)
        return _agree(ratios[0], ratios[-1]) and (not positive or mpmath.re(ratios[-1]) > 0)

    if a.free_symbols != b.free_symbols or not a.free_symbols:
        return False
    return _everywhere(a, b, constant_ratio)


def _everywhere(a: Any, b: Any, agree: Any) -> bool:
    """Whether `agree` holds at all points where both sides are defined, and real (unless a side contains an i)."""
    names = sorted(a.free_symbols | b.free_symbols, key=str)
    is_complex = a.has(sympy.I) or b.has(sympy.I)
    compared = 0
    for point in _POINTS:
        values = {name: point[i % len(point)] + i // len(point) for i, name in enumerate(names)}
        if not is_complex and not (_stays_real(a, values) and _stays_real(b, values)):
            continue
        x, y = _number(a.subs(values)), _number(b.subs(values))
        if x is None or y is None:
            continue
        if not agree(x, y):
            return False
        compared += 1
    return compared > 0


def _stays_real(expression: Any, values: dict[Any, Any]) -> bool:
    """Whether no root or logarithm is taken of a negative number, where the result would depend on the branch."""
    arguments = [node.args[0] for node in expression.atoms(sympy.Pow, sympy.log) if not _is_whole_power(node, values)]
    return all(sympy.re(sympy.N(argument.subs(values))) >= 0 for argument in arguments)


def _is_whole_power(node: Any, values: dict[Any, Any]) -> bool:
    return isinstance(node, sympy.Pow) and bool(node.exp.subs(values).is_integer)


def _number(value: Any) -> Any:
    """A complex number of 60 digits, or None if there is none (a pole, an undefined function)."""
    number = sympy.N(value, _DIGITS)
    if not number.is_number or not _is_defined(number) or number.is_infinite or number.is_finite is False:
        return None
    real, imaginary = (_significant(part) for part in number.as_real_imag())
    return None if real is None or imaginary is None else mpmath.mpc(real, imaginary)


def _significant(part: Any) -> Any:
    """The real or imaginary part of a number; 0 if only rounding noise is left of it, None if it is no number."""
    if not isinstance(part, sympy.Number):
        return None
    noise = isinstance(part, sympy.Float) and part._prec < 10  # sympy keeps only the bits that are known
    return mpmath.mpf(0) if noise else mpmath.mpmathify(sympy.Float(part, _DIGITS))


def _agree(x: Any, y: Any) -> bool:
    if x is None or y is None:
        return False
    return bool(abs(x - y) <= _AGREE * max(abs(x), abs(y)))


def _same_set(a: str, b: str) -> bool:
    """Math-Verify's verdict in either direction, since it takes a set for an inequality in one direction only."""
    parsed = [
        parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=0) for text in (a, b)
    ]
    if not all(parsed):
        return False
    there, back = parsed
    return verify(there, back, timeout_seconds=None) or verify(back, there, timeout_seconds=None)


def rehearse() -> None:
    """Read one expression, so that most of the parser's tables are filled before the helper forks workers."""
    ask("same value", r"\frac{\sqrt{3}-2x^{2}}{5}+\sin(x)", "1")


# --- the entry point of a worker --------------------------------------------------------------------------------------


def judge(a: str, b: str) -> Judgement:
    """Compare two tidied answers by all rules and sympy together; with an empty `b`, only read `a`."""
    if b == "":
        return "same" if is_readable(read(a), ask) else "unreadable"
    if same(read(a), read(b), ask):
        return "same"
    return "different" if is_readable(read(a), ask) and is_readable(read(b), ask) else "unreadable"
