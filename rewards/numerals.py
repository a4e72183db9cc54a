r"""Numerals: the exact value of what denotes a number by itself, and when a decimal stands for another value."""

import math
import re
from fractions import Fraction
from functools import lru_cache

from rewards.latex import MAX_CHARS

_NUMERAL = r"(?:[0-9]{1,3}(?:[, ][0-9]{3})+(?:\.[0-9]+)?|[0-9]+\.?[0-9]*|\.[0-9]+)"
_SIGNED = rf"[+-]?{_NUMERAL}"
_RATIO = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<whole>[0-9]+) (?=[0-9]+/))?(?P<top>{_SIGNED})(?:/(?P<bottom>{_SIGNED}))?(?P<percent>\\?%)?"
)
_POWER = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<factor>{_NUMERAL})(?:\\times|\\cdot|\*|x(?=10\^)))?"
    r"(?P<base>[0-9]{1,3})\^(?:\{(?P<braced>[+-]?[0-9]{1,3})\}|(?P<bare>-?[0-9]{1,3}))"
)
_SCIENTIFIC = re.compile(rf"(?P<mantissa>{_SIGNED})[eE](?P<exponent>[+-]?[0-9]{{1,3}})")
_REPEATING = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)\.(?P<head>[0-9]*)(?:\\overline\{(?P<over>[0-9]+)\}|\((?P<round>[0-9]+)\))"
)
# three times the same digits and then dots: 0.333..., 2.1818...
_DOTS = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)\.(?P<head>[0-9]*?)(?P<dots>[0-9]{1,6})(?P=dots){2,}(?:\.{3}|\\l?dots|\\cdots)"
)
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS = {name: Fraction(number) for number, name in enumerate(_NAMES)}

SIGNIFICANT_DIGITS = 6  # from which on a decimal may stand for a value that has no finite decimal
_DOUBLE_DIGITS = 15  # a decimal as long as this was printed by a computer: its last digits are rounding noise
_DOUBLE_NOISE = 5e-16


def _number(numeral: str) -> Fraction:
    return Fraction(re.sub("[, ]", "", numeral))


def _ratio_value(match: re.Match[str]) -> Fraction | None:
    whole, top, bottom = match["whole"], _number(match["top"]), _number(match["bottom"] or "1")
    if bottom == 0:
        return None
    value: Fraction = top / bottom
    if whole is not None:
        # a mixed number has a proper fraction of two plain integers; "2 3" or "1 -1/2" is something else
        if not (match["bottom"] and match["top"].isdigit() and match["bottom"].isdigit() and value < 1):
            return None
        value += int(whole)
    return value / 100 if match["percent"] else value


def _repeating_value(whole: str, head: str, cycle: str) -> Fraction:
    tail = Fraction(int(cycle), 10 ** len(cycle) - 1)
    value: Fraction = (int((whole or "0") + head) + tail) / 10 ** len(head)
    return value


@lru_cache(maxsize=65_536)
def exact_value(compacted: str) -> Fraction | None:
    r"""The rational number that a `compact` text denotes, or None where it is no plain numeral.

    Integers, decimals, separators of thousands, a/b, \frac{a}{b}, mixed numbers, percent, m \times b^n, 1e-3, repeating
    decimals and English numerals up to twelve; powers only while they stay below about 3,300 digits.
    """
    if not compacted or len(compacted) > MAX_CHARS:
        return None
    if compacted.isdigit() and compacted.isascii():
        return Fraction(int(compacted))
    text = re.sub(rf"\\frac\{{({_SIGNED})\}}\{{({_SIGNED})\}}", r" \1/\2", compacted).strip()
    text = re.sub(r"([+-]) ", r"\1", text)
    if match := _RATIO.fullmatch(text):
        value = _ratio_value(match)
    elif match := _POWER.fullmatch(text):
        base, exponent = int(match["base"]), int(match["braced"] or match["bare"])
        if base == 0 and exponent <= 0:
            return None
        value = _number(match["factor"] or "1") * Fraction(base) ** exponent
    elif match := _SCIENTIFIC.fullmatch(text):
        return _number(match["mantissa"]) * Fraction(10) ** int(match["exponent"])
    elif match := _REPEATING.fullmatch(text):
        value = _repeating_value(match["whole"], match["head"], match["over"] or match["round"])
    elif match := _DOTS.fullmatch(text):
        value = _repeating_value(match["whole"], match["head"], match["dots"])
    else:
        return _WORDS.get(text.casefold())
    return -value if value is not None and match["sign"] == "-" else value


def decimal_places(value: Fraction) -> int | None:
    """Digits after the point of the finite decimal that equals `value`, or None if there is none."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def stands_for(decimal: Fraction, value: Fraction | float) -> bool:
    """True if `decimal` is `value` cut or rounded, to six significant digits or more.

    A `value` that has a finite decimal itself is only met by the noise of double precision (0.30000000000000004).
    """
    places = decimal_places(decimal)
    if not places or places > MAX_CHARS:
        return False
    digits = len(str(abs(int(decimal * 10**places))))
    noise = Fraction(_DOUBLE_NOISE) * (8 if isinstance(value, float) else 1)  # a float was computed in several steps
    if digits >= _DOUBLE_DIGITS and abs(decimal - Fraction(value)) <= abs(decimal) * noise:
        return True
    if isinstance(value, Fraction) and decimal_places(value) is not None:
        return False
    return digits >= SIGNIFICANT_DIGITS and abs(decimal - Fraction(value)) < Fraction(1, 10**places)


def rounds_to(value: Fraction | float, decimal: Fraction) -> bool:
    """True if `decimal` is `value` cut or rounded to however many digits: what a reader lets pass after "≈"."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return abs(Fraction(value) - decimal) < Fraction(1, 10 ** (decimal_places(decimal) or 0))
