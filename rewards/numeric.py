r"""Double-precision values of LaTeX expressions, to tell different ones apart without sympy.

A small reader of arithmetic, roots, powers and elementary functions. Each letter stands for one fixed, odd-looking
number, so that expressions which are equal as mathematics have equal values. Where notation is ambiguous or precision
may be lost it gives up, and somebody slower decides: values that differ prove a difference, equal ones prove nothing.
"""

import cmath
import math
import re
import zlib
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)|(?P<command>\\(?:[a-zA-Z]+|%))"
    r"|(?P<letter>[a-zA-Z](?:_(?:\{[a-zA-Z0-9]+\}|[a-zA-Z0-9]))?)|(?P<mark>[-+*/^!(){}\[\]|%]))"
)
_EPSILON = 1e-13
_MAX_LOSS = 1e6
_TIMES = ("*", r"\cdot", r"\times")
_GREEK = re.compile(
    r"\\(?:alpha|beta|[gG]amma|[dD]elta|(?:var)?epsilon|zeta|eta|[tT]heta|kappa|[lL]ambda|mu|nu|xi|rho|[sS]igma|tau|"
    r"(?:var)?phi|Phi|chi|[pP]si|[oO]mega)"
)
_FUNCTIONS = {
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
    r"\ln": cmath.log,
    r"\log": cmath.log,
}


class Value(NamedTuple):
    """`loss` is the factor by which rounding errors may have grown."""

    number: complex
    loss: float


class _GaveUp(Exception):
    pass


@lru_cache(maxsize=65_536)
def value(expression: str) -> Value | None:
    """The value of a tidied expression at the fixed values of its letters, or None where it gives up."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            return None
        tokens.append((str(match.lastgroup), match[match.lastgroup or 0]))
        position = match.end()
    reader = _Reader(tokens)
    try:
        number = reader.sum()
    except (_GaveUp, ArithmeticError, ValueError, RecursionError):
        return None
    if reader.position < len(tokens) or not cmath.isfinite(number) or reader.loss > _MAX_LOSS:
        return None
    return Value(number, reader.loss)


def differ(a: Value, b: Value) -> bool:
    """True if two values are further apart than rounding errors explain."""
    return abs(a.number - b.number) > _EPSILON * (a.loss + b.loss) * max(abs(a.number), abs(b.number))


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0
        self.loss = 10.0
        self.bars = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def take(self, *wanted: str) -> bool:
        if self.peek()[1] in wanted and self.peek()[0] != "end":
            self.position += 1
            return True
        return False

    def need(self, mark: str) -> None:
        if not self.take(mark):
            raise _GaveUp

    def sum(self) -> complex:
        total, largest = 0j, 0.0
        first = True
        while first or self.peek()[1] in ("+", "-"):
            sign = -1 if self.take("-") else 1
            if sign == 1:
                self.take("+")
            term = sign * self.product()
            total, largest = total + term, max(largest, abs(term))
            first = False
        if largest > abs(total):
            if total == 0:
                raise _GaveUp  # complete cancellation
            self.loss *= largest / abs(total)
        return total

    def product(self) -> complex:
        start = self.position
        result = self.power()
        single_number = self.position == start + 1 and self.tokens[start][0] == "number"
        if single_number and self.peek()[1] == r"\frac" and "." not in self.tokens[start][1]:
            part = self.power()
            if not 0 < part.real < 1 or part.imag:
                raise _GaveUp
            result += part  # a mixed number
        while True:
            if self.take(*_TIMES):
                result *= -self.power() if self.take("-") else self.power()
            elif self.take("/", r"\div"):
                result /= self.power()
                if self.starts_factor():
                    raise _GaveUp  # 1/2x
            elif self.starts_factor():
                if self.peek()[0] == "number":
                    raise _GaveUp  # 2 3
                result *= self.power()
            else:
                return result

    def starts_factor(self) -> bool:
        kind, text = self.peek()
        if kind == "command":
            return text not in (*_TIMES, r"\div", r"\%")
        return kind in ("number", "letter") or text in ("(", "{") or (text == "|" and not self.bars)

    def power(self) -> complex:
        base = self.atom()
        while True:
            if self.take("!"):
                if base.imag or base.real != int(base.real) or not 0 <= base.real <= 170:
                    raise _GaveUp
                base = complex(math.factorial(int(base.real)))
            elif self.take("%", r"\%"):
                base /= 100
            elif self.take("^"):
                if self.take(r"\circ"):
                    base *= math.pi / 180
                    continue
                base = self.raised(base, -self.atom() if self.take("-") else self.atom())
            else:
                return base

    def raised(self, base: complex, exponent: complex) -> complex:
        if (base.imag or base.real < 0) and exponent != int(exponent.real):
            raise _GaveUp  # a matter of branches
        self.loss *= max(1.0, abs(exponent))
        if base and exponent.imag == 0 and base.imag == 0:
            return complex(base.real**exponent.real)
        return base**exponent

    def atom(self) -> complex:
        kind, text = self.peek()
        self.position += 1
        if kind == "number":
            return complex(float(text))
        if kind == "letter":
            return complex(math.e) if text == "e" else 1j if text == "i" else _letter(text)
        if text in ("(", "{"):
            inside = self.sum()
            self.need(")" if text == "(" else "}")
            return inside
        if text == "|":
            self.bars += 1
            inside = self.sum()
            self.need("|")
            self.bars -= 1
            return complex(abs(inside))
        if text == r"\pi":
            return complex(math.pi)
        if text == r"\frac":
            return self.group() / self.group()
        if text == r"\sqrt":
            index = complex(2)
            if self.take("["):
                index = self.sum()
                self.need("]")
            return self.raised(self.group(), 1 / index)
        if _GREEK.fullmatch(text):
            return _letter(text)
        if text in _FUNCTIONS:
            return self.function(text)
        raise _GaveUp

    def group(self) -> complex:
        self.need("{")
        inside = self.sum()
        self.need("}")
        return inside

    def function(self, name: str) -> complex:
        outer = base = complex(1)
        if self.take("^"):
            outer = self.atom()
            if outer.real <= 0:
                raise _GaveUp  # the inverse function
        if name == r"\log":
            base = cmath.log(10)
            if self.peek()[1] == "_":
                raise _GaveUp
        bracketed = self.peek()[1] in ("(", "{", "|")
        argument = self.power() if bracketed else self.argument()
        if bracketed and self.starts_factor() and self.peek()[1] not in _FUNCTIONS:
            raise _GaveUp  # \sin(x)y
        if name in (r"\ln", r"\log"):
            if argument.imag or argument.real <= 0:
                raise _GaveUp
            self.loss /= max(abs(cmath.log(argument)), 1e-12) if abs(cmath.log(argument)) < 1 else 1.0
        else:
            self.loss *= max(1.0, abs(argument))
        result = _FUNCTIONS[name](argument) / base
        return result if outer == 1 else self.raised(result, outer)

    def argument(self) -> complex:
        r"""What a function without brackets takes: \sin 2x of \sin 2x \cos y."""
        result = self.power()
        while self.starts_factor() and self.peek()[1] not in _FUNCTIONS and self.peek()[0] != "number":
            result *= self.power()
        return result


def _letter(name: str) -> complex:
    return complex(0.5 + (zlib.crc32(name.encode()) % 99_991) / 99_991 * math.sqrt(2))
