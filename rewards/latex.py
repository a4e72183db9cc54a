r"""One spelling for each notation: LaTeX answers are rewritten as text.

The functions take one answer (the content of ``\boxed{}``), not a whole response, and never raise on a string.
"""

import re
import unicodedata
from functools import lru_cache

from rewards.notation import FUNCTIONS, SIGNS, SYNONYMS

MAX_CHARS = 300  # length of one answer; the longest gold of the usual benchmarks has about 200 characters

_TEXT = r"\\(?:text|textbf|textit|textrm|textnormal|textsf|mbox|mathrm|mathbf|mathit|mathsf|operatorname)\s*"
# Words that are read as commands. "sec" in an answer is seconds, so it stays a word, and so does "csc".
_PLAIN_WORDS = "|".join([*(name for name in FUNCTIONS if name not in ("sec", "csc")), "sqrt", "pi", "infty"])
_SYMBOLS = str.maketrans(
    SIGNS
    | {
        "\u2018": "'",
        "⋅": r"\cdot ",
        "÷": r"\div ",
        "≈": r"\approx ",
        "±": r"\pm ",
        "\u2213": r"\mp ",
        "\u222a": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "\u211d": r"\mathbb{R}",
        "\u2044": "/",
        "…": r"\ldots ",
        "\u03b1": r"\alpha ",
        "β": r"\beta ",
        "θ": r"\theta ",
    }
)
_REWRITES = [
    (re.compile(pattern), new)
    for pattern, new in [
        (r"^\s*\*\*(.*)\*\*\s*$", r"\1"),
        (r"\*\*", "^"),
        (r"\.{3,}", r"\\ldots "),
        (r"\\\$|\$|(?<!\\)\\[()\[\]](?=\s*$)|^\s*\\[(\[]", " "),
        (r"\\left\s*\.|\\right\s*\.|\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits)(?![a-zA-Z])", " "),
        # a thousands separator, written with a thin space or with braces around the comma
        (r"(?<=\d)(?:,\s*\\!|\{,\}|\\,|\\!)\s*(?=\d{3}(?!\d))", ","),
        (r"(?<!\\)\\[,;:!> ]|\\q?quad(?![a-zA-Z])|\\h?space\s*\{[^{}]*\}|~", " "),
        # plain text in place of LaTeX: sqrt(2), pi, <=
        (rf"(?<![\\a-zA-Z])({_PLAIN_WORDS})(?![a-zA-Z])", r"\\\1"),
        (r"(?<![\\a-zA-Z])(?:inf|infinity|oo)(?![a-zA-Z])", r"\\infty"),
        (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=|\\not\s*=", r"\\ne "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        *((rf"\\(?:{'|'.join(names)})(?![a-zA-Z])", rf"\\{name}") for name, names in SYNONYMS.items()),
        (r"\\frac\s*([0-9a-zA-Z]|\\pi(?![a-zA-Z]))", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*([0-9a-zA-Z]|\\pi(?![a-zA-Z]))", r"\1{\2}"),
        (r"\\sqrt\s*([0-9a-zA-Z])(?!\d)", r"\\sqrt{\1}"),
        (r"√\s*(\d+|[a-zA-Z])", r"\\sqrt{\1}"),
        (r"√\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"√\s*\{", r"\\sqrt{"),
        (r"\\lg(?![a-zA-Z])", r"\\log"),
        (r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ|\\degree(?:s)?(?![a-zA-Z])", r"^\\circ"),
        (r"\^\s*\{\s*\\prime\s*\}", "'"),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\[lr]vert(?![a-zA-Z])|\\vert(?![a-zA-Z])", "|"),
        (r"\\colon(?![a-zA-Z])|\{:\}|(?<=\d)\s*:\s*(?=\d)", ":"),
        (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset"),
        (r"(^|[,(\[])\s*\+\s*\\infty", r"\1\\infty"),
        (r"\\mathbb\s*([A-Z])", r"\\mathbb{\1}"),
        (r"\\(?:bar|dot)\s*(?=\{?\d)", r"\\overline"),
        (r"\\overline\s*(\d)", r"\\overline{\1}"),
        (r"\\mathrm\s*\{([eid])\}", r"\1"),
        (r"\\f?boxed\s*\{([^{}]*)\}", r"\1"),
        (r"[\s.,;:]+$", ""),
        (rf"^\s*{_TEXT}\{{([^{{}}]*)\}}\s*$", r"\1"),
        (r"[\s.,;:]+$", ""),
        (r"\\text\s*\{\s*(?:percent|pct|%|\\%)\s*\}|(?<=\d)\s*(?:percent(?:age)?|pct)$", r"\\%"),
        (r"\\text\s*\{\s*\}", " "),
        (r"^(?i:all real(?:s| numbers))$", r"\\mathbb{R}"),
        (r"^(?i:no (?:real )?solutions?)$", r"\\emptyset"),
        (r"\s+", " "),
    ]
]


def _ascii(text: str) -> str:
    """Write Unicode mathematics as LaTeX, fold full-width forms and drop invisible characters."""
    if text.isascii():
        return text
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda run: "^{" + unicodedata.normalize("NFKC", run[0]) + "}", text)
    text = re.sub("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]", lambda char: " " + unicodedata.normalize("NFKC", char[0]), text)
    text = unicodedata.normalize("NFKC", text.translate(_SYMBOLS)).translate(_SYMBOLS)
    text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return "".join(str(unicodedata.decimal(char, char)) for char in text)  # digits of any script


@lru_cache(maxsize=65_536)
def tidy(answer: str) -> str:
    """Write an answer in one spelling, without delimiters, sizes, spacing commands, final stops or display fractions.

    The meaning stays, and the result is still LaTeX. An answer over `MAX_CHARS` is only stripped.
    """
    answer = answer.strip()
    if len(answer) > MAX_CHARS or (answer.isascii() and answer.isdigit()):
        return answer
    answer = _ascii(answer)
    for pattern, new in _REWRITES:
        answer = pattern.sub(new, answer)
    return answer.strip()


def compact(tidied: str) -> str:
    """Key of a tidied answer by which equal spellings are found: no text commands, no spaces.

    A space stays where a digit follows a digit or a comma: "1 1/2" is not "11/2", and the list "1, 234" is not the
    number "1,234".
    """
    if "\\" in tidied:
        tidied = re.sub(_TEXT + r"\{([^{}]*)\}", r"\1", tidied)
        tidied = re.sub(r"(\\[a-zA-Z]+)\s+(?=[a-zA-Z])", r"\1{}", tidied)  # "\pi r" is not "\pir"
    if " " not in tidied:
        return tidied
    return re.sub(r"(?<![\d,])\s+|\s+(?!\d)", "", tidied)
