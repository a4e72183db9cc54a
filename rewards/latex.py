r"""Short LaTeX answers as text: one spelling for each notation, exact values of numerals, what sympy must never see.

The functions take one answer (what stood inside ``\boxed{}``), not a whole response, and never raise on a string.
"""

import math
import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

MAX_CHARS = 300  # of one answer; the longest gold of the usual benchmarks has about 200
_MAX_EXPONENT = 9_999
_MAX_FACTORIAL = 200
_MAX_BINOMIAL = 1_000

_TEXT = r"\\(?:text|textbf|textit|textrm|mbox|mathrm|mathbf|mathit|operatorname)\s*"
_SYMBOLS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u00d7": r"\times ",
        "·": r"\cdot ",
        "⋅": r"\cdot ",
        "÷": r"\div ",
        "π": r"\pi ",
        "∞": r"\infty ",
        "°": r"^\circ ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "±": r"\pm ",
        "\u222a": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "\u2044": "/",
    }
)
_REWRITES = [
    (re.compile(pattern), new)
    for pattern, new in [
        (r"\*\*", "^"),
        (r"\\\$|\$|(?<!\\)\\[()\[\]](?=\s*$)|^\s*\\[(\[]", " "),
        (r"\\left\s*\.|\\right\s*\.|\\(?:left|right|[bB]igg?[lrm]?|displaystyle)(?![a-zA-Z])", " "),
        # a separator of thousands, written with a thin space or with braces around the comma
        (r"(?<=\d)(?:,\s*\\!|\{,\}|\\,|\\!)\s*(?=\d{3}(?!\d))", ","),
        (r"(?<=[\d})])\s*,?\s*\\text\s*\{\s*,?\s*(?:and|or)\s*\}\s*(?=[\d\\(-])", ", "),
        (r"(?<!\\)\\[,;:!> ]|\\q?quad(?![a-zA-Z])|~", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\frac\s*([0-9a-zA-Z])", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*([0-9a-zA-Z])", r"\1{\2}"),
        (r"\\sqrt\s*([0-9a-zA-Z])(?!\d)", r"\\sqrt{\1}"),
        (r"√\s*(\d+|[a-zA-Z])", r"\\sqrt{\1}"),
        (r"√\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"\\(?:leq|leqslant)(?![a-zA-Z])", r"\\le"),
        (r"\\(?:geq|geqslant)(?![a-zA-Z])", r"\\ge"),
        (r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ|\\degree(?:s)?(?![a-zA-Z])", r"^\\circ"),
        (r"\\f?boxed\s*\{([^{}]*)\}", r"\1"),
        (rf"^\s*{_TEXT}\{{([^{{}}]*)\}}\s*$", r"\1"),
        (r"[\s.,;:]+$", ""),
        (r"\\text\s*\{\s*percent\s*\}|(?<=\d)\s*percent$", r"\\%"),
        (r"\s+", " "),
    ]
]


def _ascii(text: str) -> str:
    """Unicode mathematics as LaTeX; full-width forms are folded and invisible characters dropped."""
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda run: "^{" + unicodedata.normalize("NFKC", run[0]) + "}", text)
    text = re.sub("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]", lambda char: " " + unicodedata.normalize("NFKC", char[0]), text)
    text = unicodedata.normalize("NFKC", text.replace("\u2061", "").translate(_SYMBOLS))
    return "".join(char for char in text.translate(_SYMBOLS) if unicodedata.category(char) != "Cf")


@lru_cache(maxsize=65_536)
def tidy(answer: str) -> str:
    """`answer` in one spelling: no math delimiters, sizes, spacing commands, trailing stops or display fractions.

    Meaning is kept: what is left is still LaTeX. Text over `MAX_CHARS` is only stripped.
    """
    if len(answer) > MAX_CHARS:
        return answer.strip()
    answer = _ascii(answer)
    for pattern, new in _REWRITES:
        answer = pattern.sub(new, answer)
    return answer.strip()


def compact(tidied: str) -> str:
    """A key for identity: text commands unwrapped and spaces dropped, but not where a digit follows a digit or a comma.

    "1 1/2" is not "11/2", and the list "1, 234" is not the number "1,234".
    """
    plain = re.sub(_TEXT + r"\{([^{}]*)\}", r"\1", tidied)
    return re.sub(r"(?<![\d,])\s+|\s+(?!\d)", "", plain)


# --- exact values -----------------------------------------------------------------------------------------------------

_NUMERAL = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+\.?[0-9]*|\.[0-9]+)"
_SIGNED = rf"[+-]?{_NUMERAL}"
_RATIO = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<whole>[0-9]+) )?(?P<top>{_SIGNED})(?:/(?P<bottom>{_SIGNED}))?(?P<percent>\\?%)?"
)
_POWER = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<factor>{_NUMERAL})(?:\\times|\\cdot|\*))?"
    r"(?P<base>[0-9]{1,3})\^(?:\{(?P<braced>[+-]?[0-9]{1,3})\}|(?P<bare>[0-9](?![0-9])))"
)
_SCIENTIFIC = re.compile(rf"(?P<mantissa>{_SIGNED})[eE](?P<exponent>[+-]?[0-9]{{1,3}})")
_REPEATING = re.compile(r"(?P<sign>[+-]?)(?P<whole>[0-9]*)\.(?P<head>[0-9]*)\\overline\{(?P<cycle>[0-9]+)\}")


def _number(numeral: str) -> Fraction:
    return Fraction(numeral.replace(",", ""))


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


def _repeating_value(match: re.Match[str]) -> Fraction:
    whole, head, cycle = match["whole"] or "0", match["head"], match["cycle"]
    tail = Fraction(int(cycle), 10 ** len(cycle) - 1)
    value: Fraction = (int(whole + head) + tail) / 10 ** len(head)
    return value


@lru_cache(maxsize=65_536)
def exact_value(compacted: str) -> Fraction | None:
    """The rational number that a `compact` text denotes, or None where it is no plain numeral.

    Integers, decimals, separators of thousands, a/b, \frac{a}{b}, mixed numbers, percent, m \times b^n, 1e-3 and
    repeating decimals; powers only while they stay below about 3,300 digits.
    """
    if len(compacted) > MAX_CHARS:
        return None
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
        value = _repeating_value(match)
    else:
        return None
    return -value if value is not None and match["sign"] == "-" else value


# --- what sympy must not see ------------------------------------------------------------------------------------------

_OPERATORS = re.compile(r"\\(?:cdot|times|div|frac|left|right)(?![a-zA-Z])")
_OPEN_ENDED = re.compile(r"\\(?:i*nt|oint|sum|prod|lim)(?![a-zA-Z])")
_CLOSING = {"{": "}", "(": ")"}


def _exponents(text: str) -> list[str]:
    """What stands after each ^: the inside of a bracketed group, a signed numeral, a command, or one character."""
    found: list[str] = []
    for caret in re.finditer(r"\^\s*", text):
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
    """A numeric exponent that is long, or that must itself be worked out first (a tower), or nested large powers."""
    product = 1
    for exponent in _exponents(text):
        value = exact_value(compact(exponent))
        if value is None:
            # a numeric exponent that is no plain numeral would have to be worked out first
            if exponent not in "+-*" and not re.search(r"[a-zA-Z]", _OPERATORS.sub("", exponent)):
                return True
            value = Fraction(max(map(int, re.findall(r"[0-9]+", exponent)), default=1))
        size = max(abs(value.numerator), value.denominator)
        if size > _MAX_EXPONENT:
            return True
        product *= max(size, 1)
    return product > _MAX_EXPONENT and re.search(r"[)}\]]\s*\^", text) is not None


def _huge_factorial(text: str) -> bool:
    """A factorial of a large number, or of something that must be worked out first (a power, another factorial)."""
    for factorial in re.finditer(r"(?:[0-9,]+|\([^()!^]*\)|(?P<unclear>[)}!]))\s*!", text):
        numbers = [int(digits) for digits in re.findall(r"[0-9]+", factorial[0].replace(",", ""))]
        if factorial["unclear"] or math.prod(numbers) > _MAX_FACTORIAL:
            return True
    return False


@lru_cache(maxsize=65_536)
def too_heavy(tidied: str) -> bool:
    """True if working with this answer may need unbounded time or memory: it may only be compared as text.

    Over `MAX_CHARS` characters, towers of powers, exponents over 9,999, factorials over 200, binomials over 1,000,
    sums, products, limits and integrals.
    """
    if len(tidied) > MAX_CHARS or _OPEN_ENDED.search(tidied) or re.search(r"[0-9]\s*[eE]\s*[+-]?[0-9]{4}", tidied):
        return True
    if "binom" in tidied or r"\choose" in tidied:
        numbers = re.findall(r"[0-9]+", tidied)
        if any(int(digits) > _MAX_BINOMIAL for digits in numbers):
            return True
    return _huge_power(tidied) or ("!" in tidied and _huge_factorial(tidied))
