r"""Values of LaTeX expressions by arithmetic, which decides most comparisons without sympy.

Each letter has one fixed, irregular value, so that expressions which are equal as mathematics have equal values. Where
the notation is ambiguous or precision may be lost, the functions give up, and sympy decides.

`value` computes in double precision. Values that differ prove a difference; equal values prove nothing.

`exact` knows only rational operations and computes in fractions. Letters are integers of about nine digits, and so is
pi, which no rational function can tell from a letter. Equal values mean the same function, except for a coincidence of
such integers.
"""

import cmath
import math
import zlib
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from rewards.grammar import FUNCTIONS, GaveUp, Parser, Token, tokens

_EPSILON = 1e-13
_MAX_LOSS = 1e6
_MAX_BITS = 20_000
_CONSTANTS = {"e": complex(math.e), "i": 1j, r"\pi": complex(math.pi)}
_VALUES = {
    r"\sin": cmath.sin,
    r"\cos": cmath.cos,
    r"\tan": cmath.tan,
    r"\cot": lambda x: 1 / cmath.tan(x),
    r"\sec": lambda x: 1 / cmath.cos(x),
    r"\csc": lambda x: 1 / cmath.sin(x),
    r"\sinh": cmath.sinh,
    r"\cosh": cmath.cosh,
    r"\tanh": cmath.tanh,
    r"\arctan": cmath.atan,
    r"\exp": cmath.exp,
}


class Value(NamedTuple):
    """Value of an expression. `loss` is the factor by which rounding errors may have grown."""

    number: complex
    loss: float


@lru_cache(maxsize=65_536)
def value(expression: str) -> Value | None:
    """Return the value of a tidied expression at the fixed values of its letters, or None where it gives up."""
    parser = _Doubles(tokens(expression))
    number = parser.all()
    if number is None or not cmath.isfinite(number) or parser.loss > _MAX_LOSS:
        return None
    return Value(number, parser.loss)


@lru_cache(maxsize=65_536)
def exact(expression: str, point: int = 0) -> Fraction | None:
    """Return the exact value of a rational function, or None where it gives up.

    Each `point` gives the letters other values.
    """
    return _Fractions(tokens(expression), point).all()


def same_at_small_integers(a: str, b: str, points: int = 6) -> bool:
    """Whether two expressions have equal values where every letter is a natural number from 5 on, at all points."""
    for point in range(points):
        left, right = _Small(tokens(a), point).all(), _Small(tokens(b), point).all()
        if left is None or left != right:
            return False
    return True


def differ(a: Value, b: Value) -> bool:
    """Whether two values are further apart than rounding errors explain."""
    return abs(a.number - b.number) > _EPSILON * (a.loss + b.loss) * max(abs(a.number), abs(b.number))


class _Fractions(Parser[Fraction]):
    def __init__(self, tokens: list[Token], point: int) -> None:
        super().__init__(tokens)
        self.point = point

    def numeral(self, text: str) -> Fraction:
        return Fraction(text)

    def letter(self, name: str) -> Fraction:
        if name in ("e", "i"):
            raise GaveUp
        return Fraction(zlib.crc32(f"{name}{self.point}".encode()) + 2**29)

    def added(self, terms: list[Fraction]) -> Fraction:
        return sum(terms, Fraction(0))

    def raised(self, base: Fraction, exponent: Fraction) -> Fraction:
        bits = max(abs(base.numerator), base.denominator).bit_length() * abs(exponent)
        if exponent.denominator != 1 or bits > _MAX_BITS:
            raise GaveUp
        return base ** int(exponent)

    def factorial(self, base: Fraction) -> Fraction:
        if base.denominator != 1 or not 0 <= base <= 200:
            raise GaveUp
        return Fraction(math.factorial(int(base)))

    def double_factorial(self, base: Fraction) -> Fraction:
        if base.denominator != 1 or not -1 <= base <= 300:
            raise GaveUp
        return Fraction(math.prod(range(int(base), 1, -2)))

    def binomial(self, top: Fraction, bottom: Fraction) -> Fraction:
        if top.denominator != 1 or bottom.denominator != 1 or not 0 <= bottom <= 300 or not 0 <= top <= _MAX_BITS:
            raise GaveUp
        return Fraction(math.comb(int(top), int(bottom)))


class _Small(_Fractions):
    """Letters are small natural numbers, so that factorials of them can be worked out."""

    def letter(self, name: str) -> Fraction:
        if name in ("e", "i", r"\pi"):
            raise GaveUp
        return Fraction(5 + self.point + zlib.crc32(name.encode()) % 7)


class _Doubles(Parser[complex]):
    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.loss = 10.0

    def numeral(self, text: str) -> complex:
        return complex(float(text))

    def letter(self, name: str) -> complex:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        return complex(0.5 + (zlib.crc32(name.encode()) % 99_991) / 99_991 * math.sqrt(2))

    def added(self, terms: list[complex]) -> complex:
        total, largest = sum(terms), max(map(abs, terms))
        if total == 0 and largest:
            raise GaveUp  # complete cancellation
        self.loss *= max(1.0, largest / abs(total) if total else 1.0)
        return total

    def raised(self, base: complex, exponent: complex) -> complex:
        if (base.imag or base.real < 0) and exponent != int(exponent.real):
            raise GaveUp  # the value depends on the branch
        self.loss *= max(1.0, abs(exponent))
        if base and exponent.imag == 0 and base.imag == 0:
            return complex(base.real**exponent.real)
        return base**exponent

    def root(self, base: complex, index: complex) -> complex:
        return self.raised(base, 1 / index)

    def factorial(self, base: complex) -> complex:
        if base.imag or base.real != int(base.real) or not 0 <= base.real <= 170:
            raise GaveUp
        return complex(math.factorial(int(base.real)))

    def double_factorial(self, base: complex) -> complex:
        if base.imag or base.real != int(base.real) or not -1 <= base.real <= 300:
            raise GaveUp
        return complex(math.prod(range(int(base.real), 1, -2)))

    def binomial(self, top: complex, bottom: complex) -> complex:
        if top.imag or bottom.imag or top.real != int(top.real) or not 0 <= bottom.real <= top.real <= 1_000:
            raise GaveUp
        if bottom.real != int(bottom.real):
            raise GaveUp
        return complex(math.comb(int(top.real), int(bottom.real)))

    def bars_around(self, inside: complex) -> complex:
        return complex(abs(inside))

    def function(self, name: str) -> complex:
        outer = complex(1)
        if self.take("^"):
            outer = self.atom()
            if outer.real <= 0:
                raise GaveUp  # the inverse function
        bracketed = self.peek()[1] in ("(", "{", "|")
        argument = self.power() if bracketed else self.argument()
        if bracketed and self.starts_factor() and self.peek()[1] not in FUNCTIONS:
            raise GaveUp  # \sin(x)y
        result = self.logarithm(name, argument) if name in (r"\ln", r"\log") else _VALUES[name](argument)
        self.loss *= max(1.0, abs(argument)) if name not in (r"\ln", r"\log") else 1.0
        return result if outer == 1 else self.raised(result, outer)

    def logarithm(self, name: str, argument: complex) -> complex:
        if argument.imag or argument.real <= 0:
            raise GaveUp
        natural = math.log(argument.real)
        self.loss /= min(1.0, max(abs(natural), 1e-12))
        return complex(natural if name == r"\ln" else natural / math.log(10))

    def argument(self) -> complex:
        r"""The argument of a function without brackets: 2x in \sin 2x \cos y."""
        result = self.power()
        while self.starts_factor() and self.peek()[1] not in FUNCTIONS and self.peek()[0] != "number":
            result *= self.power()
        return result
