r"""Final answers of responses: finding them, and deciding whether two of them are the same mathematics.

Everything here is thread-safe, never raises on a string, and compares symmetrically. Exact cheap rules come first;
Math-Verify (sympy) is asked only about what they leave open, without its signal time-outs, which work in the main
thread alone. It is therefore never shown anything that `rewards.latex.too_heavy` names.
"""

import logging
import re
import threading
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rewards.latex import MAX_CHARS, compact, exact_value, tidy, too_heavy

_CLOSE_THINK, _OPEN_THINK = "</think>", "<think>"
_BRACES = re.compile(r"(?P<box>\\{1,4}(?:boxed|fbox)[ \t]{0,8}\{)|\\[{}\\]|(?P<open>\{)|(?P<close>\})")
_PHRASE = re.compile(r"(?s:.*)\b(?:answer\s+is\b|answer[\s*]*:)[\s:*]*(?P<answer>\S.*)", re.IGNORECASE)
_PHRASE_LINES = 3
_PHRASE_CHARS = 2_000
_RELATION = re.compile(r"[<>]=?|\\(?:le|ge|lt|gt)(?![a-zA-Z])")
_BASED = re.compile(r"([0-9A-Z]+)_\{?([0-9]+)\}?")  # a numeral with its base


def extract_answer(response: str) -> str | None:
    r"""The final answer of a response, or None.

    It is the content of the last \boxed{...} or \fbox{...} after the last </think>. A box that is opened after it and
    never closed means that the response broke off: no answer. Without any box it is what follows "the answer is" or
    "answer:" on one of the last lines. Text inside an unfinished <think> is reasoning, not an answer.
    """
    final = response.rpartition(_CLOSE_THINK)[2].partition(_OPEN_THINK)[0]
    box = _last_box(final)
    if box is not None:
        return box.strip() or None
    lines = [line for line in final[-_PHRASE_CHARS:].splitlines() if line.strip()][-_PHRASE_LINES:]
    phrase = _PHRASE.match("\n".join(lines))
    return phrase["answer"].strip("*$ \t.,;:") or None if phrase else None


def _last_box(text: str) -> str | None:
    """Content of the last box (of nested ones the outermost); "" if one after it stays open; None without a box."""
    open_starts: list[int | None] = []  # one entry per open brace: where the content starts if the brace opens a box
    content: tuple[int, int] | None = None
    for token in _BRACES.finditer(text):
        if token["box"]:
            open_starts.append(token.end())
        elif token["open"]:
            open_starts.append(None)
        elif token["close"] and open_starts:
            start = open_starts.pop()
            if start is not None:
                content = start, token.start()
    unclosed = max((start for start in open_starts if start is not None), default=-1)
    if content is None:
        return None if unclosed < 0 else ""
    return "" if unclosed > content[1] else text[content[0] : content[1]]


# --- equality ---------------------------------------------------------------------------------------------------------


def equivalent(a: str, b: str) -> bool:
    r"""True if two answers are the same mathematics: "1/2", "\dfrac12" and "0.5" are; "50%" and "50" are not.

    Symmetric, but not transitive where a rounded decimal stands for a fraction. An empty answer equals nothing. Answers
    that are too heavy to work with are equal only if they read the same.
    """
    a, b = a.strip(), b.strip()
    if a == b:
        return a != ""
    if max(len(a), len(b)) > MAX_CHARS:
        return False
    return _same(*sorted((tidy(a), tidy(b))))


def parseable(gold: str) -> bool:
    """True if a gold answer can be compared beyond its spelling: a number, words, or LaTeX that Math-Verify reads."""
    gold = tidy(gold)
    if not gold or too_heavy(gold):
        return False
    return exact_value(compact(gold)) is not None or _is_words(compact(gold)) or bool(_parse(gold))


@lru_cache(maxsize=65_536)
def _same(a: str, b: str) -> bool:
    """Equality of two tidied answers. Every rule treats both alike, so that the order does not matter."""
    if not a or not b:
        return False
    key_a, key_b = compact(a), compact(b)
    if key_a == key_b:
        return True
    value_a, value_b = exact_value(key_a), exact_value(key_b)
    if value_a is not None and value_b is not None:
        return value_a == value_b or _rounds_to(value_a, value_b) or _rounds_to(value_b, value_a)
    words_a, words_b = _is_words(key_a), _is_words(key_b)
    if words_a and words_b:
        return key_a.casefold() == key_b.casefold()
    if (words_a and value_b is not None) or (words_b and value_a is not None):
        return False
    if _choice(key_a) and _choice(key_a) == _choice(key_b):
        return True
    if _BASED.fullmatch(key_a) or _BASED.fullmatch(key_b):
        return _BASED.sub(r"\1_\2", key_a) == _BASED.sub(r"\1_\2", key_b)
    (body_a, unit_a), (body_b, unit_b) = _split_unit(a), _split_unit(b)
    if unit_a or unit_b:
        # a unit on one side only is dropped; two units are compared as text, since nothing here converts them
        return (unit_a == unit_b or not (unit_a and unit_b)) and _same(*sorted((body_a, body_b)))
    if ("=" in a) != ("=" in b):
        equation, other = (a, b) if "=" in a else (b, a)
        sides = _sides(equation)
        if sides != [equation]:
            return all(_same(*sorted((side, other))) for side in sides)
    if (_RELATION.search(a) is None) != (_RELATION.search(b) is None):
        # a set may answer a solved inequality; an unsolved one may be the problem's own, handed back
        return _is_solved(a if _RELATION.search(a) else b) and _symbolically_equal(a, b)
    return _symbolically_equal(a, b)


def _rounds_to(decimal: Fraction, value: Fraction) -> bool:
    """True if `decimal` is `value`, which has no finite decimal, cut or rounded to six significant digits or more."""
    places = _decimal_places(decimal)
    if not places or places > MAX_CHARS or _decimal_places(value) is not None:
        return False
    digits = len(str(abs(int(decimal * 10**places))))
    return digits >= 6 and abs(decimal - value) < Fraction(1, 10**places)


def _decimal_places(value: Fraction) -> int | None:
    """Digits after the point of the finite decimal that equals `value`, or None if there is none."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def _is_words(key: str) -> bool:
    """True for prose such as "Tuesday" or "Alice, Bob": read as products of symbols, anagrams would be equal."""
    return re.fullmatch(r"[A-Za-z][A-Za-z,.' -]*", key) is not None and re.search(r"[A-Za-z]{3}", key) is not None


def _choice(key: str) -> str:
    """The letter of a multiple-choice answer: "C", "(C)", "C)" or "C. text"; else ""."""
    match = re.fullmatch(r"\(?(?P<letter>[A-J])(?:[).](?:[0-9a-z\\][^(]*)?)?", key)
    return match["letter"] if match else ""


def _split_unit(tidied: str) -> tuple[str, str]:
    r"""Number and trailing unit: "15\text{ cm}^2" is ("15", "cm2"), "74^\circ" is ("74", "degree"), "7" ("7", "")."""
    unit = re.fullmatch(
        r"(?P<body>.*\d[^a-zA-Z\\]*)\\(?:text|mbox|mathrm|textrm)\s*\{(?P<name>[^{}]*)\}(?P<power>[\^{}\d ]*)", tidied
    )
    if unit:
        return unit["body"].strip(), re.sub(r"[\s.{}^]|s$", "", unit["name"].strip().casefold() + unit["power"])
    degrees = re.fullmatch(r"(?P<body>.*[\d})])\s*\^\\circ", tidied)
    return (degrees["body"], "degree") if degrees else (tidied, "")


def _sides(tidied: str) -> list[str]:
    """The sides that an equation or chain of equations asserts equal, less labels without digits ("x =", "m+n =").

    Math-Verify compares the right-hand side alone, which would let "41 = 42" pass for 42. Systems are left whole.
    """
    sides = [side.strip() for side in re.split(r"(?<![<>!:])=", tidied)]
    if len(sides) == 1 or "," in tidied or ";" in tidied or r"\text" in tidied or "" in sides:
        return [tidied]
    return [side for side in sides if re.search(r"\d", side) or not re.search("[a-zA-Z]", side)] or sides[-1:]


def _is_solved(relation: str) -> bool:
    """True if each clause of an inequality bounds one variable that stands alone: "x < 3", "0 \\le x < 1"."""
    for clause in re.split(r",|\\text\s*\{[^{}]*\}|\\(?:cup|lor|land)(?![a-zA-Z])|\bor\b|\band\b", relation):
        plain = re.sub(r"\\(?:frac|sqrt|pi|infty)(?![a-zA-Z])", "", clause)
        with_letters = [part.strip() for part in _RELATION.split(plain) if re.search("[a-zA-Z]", part)]
        if len(with_letters) != 1 or len(with_letters[0]) != 1:
            return False
    return True


# --- Math-Verify ------------------------------------------------------------------------------------------------------

# sympy's caches and the ANTLR parser's tables are shared and unguarded; the work holds the interpreter lock anyway.
_sympy_lock = threading.RLock()
for _module in ("parser", "grader"):
    # they warn once that no time-out is set, which is on purpose here
    logging.getLogger(f"math_verify.{_module}").setLevel(logging.ERROR)


@lru_cache(maxsize=8_192)
def _parse(tidied: str) -> list[Any]:
    """What Math-Verify reads in a tidied answer that is not too heavy; empty if that is no mathematics.

    It reads LaTeX only: its parser for plain text evaluates Python.
    """
    # imported here: sympy takes a second to load, and most runs of the command line never need it
    from math_verify import LatexExtractionConfig, parse

    tidied = re.sub(
        r"(?<=\d)i(?![a-zA-Z])", " i", tidied
    )  # Math-Verify knows the imaginary unit only as a word by itself
    with _sympy_lock:
        try:
            return list(parse(f"${tidied}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=0))
        except Exception:  # any failure of the parser, RecursionError and MemoryError included, means "not readable"
            return []


def _symbolically_equal(a: str, b: str) -> bool:
    """Math-Verify's verdict, true if it holds in either direction (it lets a set answer an inequality one way only)."""
    from math_verify import verify

    if too_heavy(a) or too_heavy(b):
        return False
    parsed_a, parsed_b = _parse(a), _parse(b)
    if not parsed_a or not parsed_b:
        return False
    with _sympy_lock:
        try:
            return any(verify(*pair, timeout_seconds=None) for pair in ((parsed_a, parsed_b), (parsed_b, parsed_a)))
        except Exception:  # as above: what sympy cannot compare is not equal
            return False
