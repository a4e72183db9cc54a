r"""The parser of LaTeX arithmetic: sums, products, powers, roots, functions and mixed numbers, from left to right.

The subclasses of `Parser` in `rewards.arithmetic` define the value of a numeral, a letter, a power and so on.
"""

import re
from fractions import Fraction
from typing import Generic, TypeVar

from rewards import notation

Number = TypeVar("Number", complex, Fraction)
Token = tuple[str, str]  # kind and text

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)|(?P<command>\\(?:[a-zA-Z]+|%))"
    r"|(?P<letter>[a-zA-Z](?:_(?:\{[a-zA-Z0-9]+\}|[a-zA-Z0-9]))?)|(?P<mark>[-+*/^!(){}\[\]|%]))"
)
_LETTERS = (r"\pi", *(rf"\{name}" for name in notation.GREEK))
# The arc sine, cosine and cotangent are left to sympy.
FUNCTIONS = tuple(rf"\{name}" for name in notation.FUNCTIONS if name not in ("arcsin", "arccos", "arccot"))


class GaveUp(Exception):
    """The notation is ambiguous or unknown, or the arithmetic cannot compute the value."""


def tokens(expression: str) -> list[Token]:
    """Split an expression into tokens. With a character that is not of arithmetic, the whole is one unknown token."""
    found: list[Token] = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            return [("unknown", expression)]
        found.append((str(match.lastgroup), match[match.lastgroup or 0]))
        position = match.end()
    return found


class Parser(Generic[Number]):
    """A recursive-descent parser that evaluates as it reads. It gives up on operations that a subclass does not define.

    A subclass defines operations: `numeral`, `letter`, `added`, `raised`, `root`, `factorial`, `bars_around` and
    `function`. The other methods are the grammar; they read from `position` on and raise `GaveUp`.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.bars = 0  # open bars of absolute values

    def numeral(self, text: str) -> Number:
        """Value of a numeral without sign."""
        raise GaveUp

    def letter(self, name: str) -> Number:
        """Value of a variable or constant: `x`, `x_1`, a Greek letter or \\pi."""
        raise GaveUp

    def raised(self, base: Number, exponent: Number) -> Number:
        """Value of a power."""
        raise GaveUp

    def root(self, base: Number, index: Number) -> Number:
        """Value of the `index`-th root."""
        raise GaveUp

    def factorial(self, base: Number) -> Number:
        """Value of a factorial."""
        raise GaveUp

    def double_factorial(self, base: Number) -> Number:
        """Value of n!! = n (n-2) (n-4) ..., which is no factorial of a factorial."""
        raise GaveUp

    def binomial(self, top: Number, bottom: Number) -> Number:
        """Value of a binomial coefficient."""
        raise GaveUp

    def bars_around(self, inside: Number) -> Number:
        """Value of an absolute value."""
        raise GaveUp

    def function(self, name: str) -> Number:
        """Value of a function, whose argument (and power, as in \\sin^2 x) is still to be read."""
        raise GaveUp

    def added(self, terms: list[Number]) -> Number:
        """Value of a sum of two terms or more."""
        raise GaveUp

    def all(self) -> Number | None:
        """Return the value of all tokens, or None where it gives up."""
        try:
            number = self.sum()
        except (GaveUp, ArithmeticError, ValueError, RecursionError):
            return None
        return number if self.position == len(self.tokens) else None

    def peek(self) -> Token:
        """Return the next token without taking it; ("end", "") after the last."""
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def take(self, *wanted: str) -> bool:
        """Take the next token if its text is wanted, and say whether it was."""
        if self.peek()[1] in wanted and self.peek()[0] != "end":
            self.position += 1
            return True
        return False

    def need(self, mark: str) -> None:
        """Take the next token, which must be `mark`."""
        if not self.take(mark):
            raise GaveUp

    def sum(self) -> Number:
        """Read terms with plus and minus signs."""
        terms: list[Number] = []
        while not terms or self.peek()[1] in ("+", "-"):
            negative = self.take("-")
            if not negative:
                self.take("+")
            term = self.product()
            terms.append(-term if negative else term)
        return terms[0] if len(terms) == 1 else self.added(terms)

    def product(self) -> Number:
        """Read factors with or without signs between them, or a mixed number."""
        start = self.position
        result = self.power()
        single_number = self.position == start + 1 and self.tokens[start][0] == "number"
        if single_number and self.peek()[1] == r"\frac" and "." not in self.tokens[start][1]:
            part = self.power()
            if not 0 < part.real < 1 or part.imag:
                raise GaveUp
            result += part  # a mixed number
        while True:
            if self.take("*", r"\cdot", r"\times"):
                result *= -self.power() if self.take("-") else self.power()
            elif self.take("/", r"\div"):
                result /= self.power()
                if self.starts_factor():
                    raise GaveUp  # 1/2x
            elif self.starts_factor():
                if self.peek()[0] == "number":
                    raise GaveUp  # 2 3
                result *= self.power()
            else:
                return result

    def starts_factor(self) -> bool:
        """Whether the next token starts a factor that stands beside the last one without a sign."""
        kind, text = self.peek()
        if kind == "command":
            return text not in (r"\cdot", r"\times", r"\div", r"\%")
        return kind in ("number", "letter") or text in ("(", "{") or (text == "|" and not self.bars)

    def power(self) -> Number:
        """Read an atom with its powers, factorials, per cent signs and degrees."""
        base = self.atom()
        while True:
            if self.take("!"):
                base = self.double_factorial(base) if self.take("!") else self.factorial(base)
            elif self.take("%", r"\%"):
                base /= self.numeral("100")
            elif self.take("^"):
                if self.take(r"\circ"):
                    base *= self.letter(r"\pi") / self.numeral("180")
                    continue
                base = self.raised(base, -self.atom() if self.take("-") else self.atom())
            else:
                return base

    def atom(self) -> Number:
        """Read a numeral, a letter, a bracket, a fraction, a root or a function."""
        kind, text = self.peek()
        self.position += 1
        if kind == "number":
            return self.numeral(text)
        if kind == "letter" or text in _LETTERS:
            return self.letter(text.replace("{", "").replace("}", ""))  # x_{1} is x_1
        if text in ("(", "{"):
            inside = self.sum()
            self.need(")" if text == "(" else "}")
            return inside
        if text == "|":
            self.bars += 1
            inside = self.sum()
            self.need("|")
            self.bars -= 1
            return self.bars_around(inside)
        if text == r"\frac":
            return self.group() / self.group()
        if text == r"\binom":
            return self.binomial(self.group(), self.group())
        if text == r"\sqrt":
            index = self.numeral("2")
            if self.take("["):
                index = self.sum()
                self.need("]")
            return self.root(self.group(), index)
        if text in FUNCTIONS:
            return self.function(text)
        raise GaveUp

    def group(self) -> Number:
        """Read a sum between braces."""
        self.need("{")
        inside = self.sum()
        self.need("}")
        return inside
