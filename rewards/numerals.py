r"""Exact values of numerals, and when a decimal stands for another value."""

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
# The same digits three times or more, and then dots: 0.333..., 2.181818...
_DOTS = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)\.(?P<head>[0-9]*?)(?P<dots>[0-9]{1,6})(?P=dots){2,}(?:\.{3}|\\l?dots|\\cdots)"
)
_ORDINAL = re.compile(rf"(?P<number>{_NUMERAL})\^?\{{?(?:st|nd|rd|th)\}}?")
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS = {name: Fraction(number) for number, name in enumerate(_NAMES)}

SIGNIFICANT_DIGITS = 6  # the least that a decimal needs to stand for a value without a finite decimal
_DOUBLE_DIGITS = 15  # a computer printed a decimal of this length; its last digits are rounding noise
_DOUBLE_NOISE = 5e-16  # relative to the decimal


def _number(numeral: str) -> Fraction:
    return Fraction(re.sub("[, ]", "", numeral))


def _ratio_value(match: re.Match[str]) -> Fraction | None:
    whole, top, bottom = match["whole"], _number(match["top"]), _number(match["bottom"] or "1")
    if bottom == 0:
        return None
    value: Fraction = top / bottom
    if whole is not None:
        # A mixed number has a proper fraction of two plain integers. "2 3" and "1 -1/2" are something else.
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
    r"""Return the rational number that a `compact` text denotes, or None if the text is no plain numeral.

    Plain numerals are integers, decimals, thousands separators, a/b, \frac{a}{b}, mixed numbers, per cents,
    m \times b^n, 1e-3, repeating decimals, ordinals (12^{th}) and English numerals up to twelve. Powers
    stay below about 3,300 digits.
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
    elif match := _ORDINAL.fullmatch(text):
        return _number(match["number"])
    else:
        return _WORDS.get(text.casefold())
    return -value if value is not None and match["sign"] == "-" else value


def decimal_places(value: Fraction) -> int | None:
    """Return how many digits after the point the finite decimal of `value` has, or None if it has no finite decimal."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def stands_for(decimal: Fraction, value: Fraction | float) -> bool:
    """Whether `decimal` is `value` cut or rounded to six significant digits or more.

    For a `value` with a finite decimal of its own, only noise of double precision is allowed (0.30000000000000004).
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
    """Whether `decimal` is `value` cut or rounded to any number of digits, as a reader accepts it after "≈"."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return abs(Fraction(value) - decimal) < Fraction(1, 10 ** (decimal_places(decimal) or 0))
