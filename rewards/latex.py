r"""Short LaTeX answers as text: one spelling for each notation.

The functions take one answer (what stood inside ``\boxed{}``), not a whole response, and never raise on a string.
"""

import re
import unicodedata
from functools import lru_cache

MAX_CHARS = 300  # of one answer; the longest gold of the usual benchmarks has about 200

_TEXT = r"\\(?:text|textbf|textit|textrm|textnormal|textsf|mbox|mathrm|mathbf|mathit|mathsf|operatorname)\s*"
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sqrt|log|ln|exp|pi|infty"
_SYMBOLS = str.maketrans(
    {
        "\u2212": "-",
        "\u2013": "-",
        "\u2018": "'",
        "\u2019": "'",
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
        # a separator of thousands, written with a thin space or with braces around the comma
        (r"(?<=\d)(?:,\s*\\!|\{,\}|\\,|\\!)\s*(?=\d{3}(?!\d))", ","),
        (r"(?<!\\)\\[,;:!> ]|\\q?quad(?![a-zA-Z])|\\h?space\s*\{[^{}]*\}|~", " "),
        # plain text for LaTeX: sqrt(2), pi, <=
        (rf"(?<![\\a-zA-Z])({_FUNCTIONS})(?![a-zA-Z])", r"\\\1"),
        (r"(?<![\\a-zA-Z])(?:inf|infinity|oo)(?![a-zA-Z])", r"\\infty"),
        (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"!=|\\neq(?![a-zA-Z])|\\not\s*=", r"\\ne "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\(?:leq|leqslant)(?![a-zA-Z])", r"\\le"),
        (r"\\(?:geq|geqslant)(?![a-zA-Z])", r"\\ge"),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
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
    """Unicode mathematics as LaTeX; full-width forms are folded and invisible characters dropped."""
    if text.isascii():
        return text
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda run: "^{" + unicodedata.normalize("NFKC", run[0]) + "}", text)
    text = re.sub("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]", lambda char: " " + unicodedata.normalize("NFKC", char[0]), text)
    text = unicodedata.normalize("NFKC", text.translate(_SYMBOLS)).translate(_SYMBOLS)
    text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return "".join(str(unicodedata.decimal(char, char)) for char in text)  # digits of any script


@lru_cache(maxsize=65_536)
def tidy(answer: str) -> str:
    """`answer` in one spelling: no math delimiters, sizes, spacing commands, trailing stops or display fractions.

    Meaning is kept: what is left is still LaTeX. Text over `MAX_CHARS` is only stripped.
    """
    answer = answer.strip()
    if len(answer) > MAX_CHARS or (answer.isascii() and answer.isdigit()):
        return answer
    answer = _ascii(answer)
    for pattern, new in _REWRITES:
        answer = pattern.sub(new, answer)
    return answer.strip()


def compact(tidied: str) -> str:
    """A key for identity: text commands unwrapped and spaces dropped, but not where a digit follows a digit or a comma.

    "1 1/2" is not "11/2", and the list "1, 234" is not the number "1,234".
    """
    if "\\" in tidied:
        tidied = re.sub(_TEXT + r"\{([^{}]*)\}", r"\1", tidied)
        tidied = re.sub(r"(\\[a-zA-Z]+)\s+(?=[a-zA-Z])", r"\1{}", tidied)  # "\pi r" is not "\pir"
    if " " not in tidied:
        return tidied
    return re.sub(r"(?<![\d,])\s+|\s+(?!\d)", "", tidied)
