r"""Answers in words: names and sentences, numbers that are spelled out, qualifiers such as "for all real x"."""

import re
from fractions import Fraction
from functools import lru_cache

from rewards.latex import compact
from rewards.limits import MAX_CHARS
from rewards.notation import is_closed
from rewards.numerals import exact_value

COMMAND = r"\\(?:text(?:rm|bf|it|sf|normal)?|mbox|mathrm|mathbf|mathsf)\s*"
_LETTER = r"[^\W\d_]"
# A word has three letters or more, or letters beyond ASCII: any shorter text is a product of variables.
_WORDS = re.compile(rf"(?=.*[A-Za-z]{{3}}|no$|.*[^\x00-\x7f]){_LETTER}(?:{_LETTER}|[.' -])*", re.IGNORECASE)
_NUMBERED = re.compile(rf"(?:{_LETTER}{{3,}}[.,]?[\s-]+)+\d+{_LETTER}?(?:\s+(?:{_LETTER}{{3,}}|\d+))*")

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = {name: n for n, name in enumerate(_ONES)} | {name: 10 * n for n, name in enumerate(_TENS, start=2)}
_LARGE = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_PARTS = {
    **{"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9},
    **{"tenth": 10, "hundredth": 100, "thousandth": 1000},
}
_PARTS |= {f"{name}s": n for name, n in _PARTS.items()} | {"halves": 2}
_LARGE |= {f"{name}s": n for name, n in _LARGE.items()}
_SPOKEN = re.compile(r"-?[\d.,]*\d(?:\s*/\s*\d+)?|[a-z]+")

_UNIVERSAL = (
    r"for\s+(?:all|any|every|each)(?![a-z])|for\s+some\s+(?:[a-z]+\s+)?constants?|for\s*\}?\s*\$?\s*[a-zA-Z]\s*(?:\\ge|\\in|>|=\s*-?\d+\s*,)"
    r"|where(?![a-z])|with\s*\}?\s*\$?\s*[a-zA-Z]\s*\\in"
)
_QUALIFIER = re.compile(
    rf"(?P<body>.+?)(?:[\s,;]*{COMMAND}\{{[\s,;(]*(?:{_UNIVERSAL})|[\s,;]+(?:{_UNIVERSAL})"
    r"|[\s,;]*[,(]\s*(?:\\forall\s*)?[a-zA-Z](?:_\{?\w\}?)?\s*\\in\s*\\mathbb\{[A-Z]\}).*"
)


def without_commands(text: str) -> str:
    r"""Return a text with the words of \text{...} in place of the command."""
    return re.sub(COMMAND + r"\{([^{}]*)\}", r" \1 ", text) if "\\" in text else text


def words(text: str) -> str:
    """Return the key of a text by which equal words are found, or "" if the text is no prose."""
    if _WORDS.fullmatch(compact(text)):
        return re.sub(r"[\s.]+", "", without_commands(text)).casefold()
    plain = without_commands(text).strip()
    if not plain[:1].isalpha() or not _NUMBERED.fullmatch(plain):
        return ""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", plain).casefold()


@lru_cache(maxsize=16_384)
def spoken(text: str) -> Fraction | None:
    r"""The number that a text spells out, at least in part, or None.

    >>> spoken(r"2.5\text{ million}"), spoken("forty-two"), spoken("2 thirds"), spoken("7 squared"), spoken("5 more")
    (Fraction(2500000, 1), Fraction(42, 1), Fraction(2, 3), Fraction(49, 1), None)
    """
    if len(text) > MAX_CHARS or not re.search("[a-z]", text, re.I):
        return None
    plain = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", without_commands(text).strip().casefold())
    sign = -1 if re.match(r"(?:negative|minus)\s", plain) else 1
    found = _SPOKEN.findall(plain if sign > 0 else plain.split(maxsplit=1)[1])
    if "".join(found) != re.sub(r"\s", "", plain if sign > 0 else plain.split(maxsplit=1)[1]) or len(found) > 12:
        return None
    value = _value(found)
    return None if value is None else sign * value


def _value(found: list[str]) -> Fraction | None:
    """The value of numerals and number words one after the other: thousands, a fraction, a square at the end."""
    total, current, seen = Fraction(0), Fraction(0), False
    for i, word in enumerate(found):
        last = i == len(found) - 1
        if not word.isalpha():
            number = exact_value(compact(word))
            if number is None or seen:
                return None
            current, seen = number, True
        elif word in _SMALL:
            if (
                seen
                and (current % 100 == 0 or (current % 10 == 0 and current % 100 >= 20 and _SMALL[word] < 10)) is False
            ):
                return None
            current, seen = current + _SMALL[word], True
        elif word in _LARGE and (seen or word in ("hundred", "thousand", "million")):
            current = (current if seen else 1) * _LARGE[word]
            if _LARGE[word] >= 1000:
                total, current = total + current, Fraction(0)
            seen = True
        elif word in ("a", "an") and i == 0 and len(found) == 2:
            current, seen = Fraction(1), True
        elif last and (seen or word == "half") and word in _PARTS:
            return (total + (current if seen else 1)) / _PARTS[word]
        elif last and seen and word in ("squared", "cubed"):
            return (total + current) ** (2 if word == "squared" else 3)
        else:
            return None
    return total + current if seen else None


def unqualified(text: str) -> str | None:
    r"""The formula before a qualifier that restricts nothing, such as \text{ for all real } x; None without one.

    A value without letters has no qualifier: "5 for x > 0" is half an answer.
    """
    if "for" not in text and "where" not in text and "with" not in text and r"\in" not in text:
        return None
    match = _QUALIFIER.fullmatch(text)
    if match is None:
        return None
    body = match["body"].rstrip(" ,;")
    return None if not body or is_closed(body) or not re.search("[a-zA-Z]", body) else body
