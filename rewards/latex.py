r"""One spelling for each notation: LaTeX answers are rewritten as text.

The functions take one answer (the content of ``\boxed{}``), not a whole response, and never raise on a string.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from rewards.characters import to_latex
from rewards.notation import ALIASES, FUNCTIONS, SYNONYMS
from rewards.spelling import plain_groups

MAX_CHARS = 300  # length of one answer; the longest gold of the usual benchmarks has about 200 characters

_TEXT = r"\\(?:text|textbf|textit|textrm|textnormal|textsf|mbox|mathrm|mathbf|mathit|mathsf|operatorname)\s*"
# Words that are read as commands. "sec" is seconds, unless an argument follows.
_PLAIN_WORDS = "|".join([*(name for name in FUNCTIONS if name != "sec"), "sqrt", "cbrt", "pi", "infty"])
_CALLED = "abs|floor|ceil"
_ARGUMENT = r"(?=\s*(?:\^\s*\{?-?\d\}?\s*)?(?:\(|\{|\\(?:theta|alpha|beta|frac|pi)|[a-zA-Z](?![a-zA-Z])))"


def _bare(name: str) -> str:
    """Alternatives of a pattern for a function's name without a command, if it is long enough to be one."""
    return (
        rf"|{_TEXT}\{{\s*{name}\s*\}}\s*|(?<![\\a-zA-Z]){name}(?:{_ARGUMENT}|(?=\s+\d))\s*" if name[-1] != "h" else ""
    )


def _reals(match: re.Match[str]) -> str:
    return r"\mathbb{R}" + (rf"\setminus \{{{match[1]}\}}" if match[1] else "")


def _expanding(template: str) -> Callable[[re.Match[str]], str]:
    """A template as a function. `re` would parse a template at every call, whether or not the pattern is found."""
    return lambda match: match.expand(template)


def _needle(pattern: str) -> str:
    r"""A text without which an answer cannot hold the pattern, found in time: the command that it begins with, or "".

    >>> _needle(r"\\num\s*\{"), _needle(r"\\lt|\\gt"), _needle(r"<=|\\le")
    ('\\num', '\\', '')
    """
    starts, depth, position = [0], 0, 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            position += 1
        elif char == "[":  # a class of characters
            position = pattern.index("]", position + 2)
        elif char == "|" and depth == 0:
            starts.append(position + 1)
        depth += (char == "(") - (char == ")")
        position += 1
    commands = [re.compile(r"\\\\([a-zA-Z]{2,}(?![?*{]))?").match(pattern, start) for start in starts]
    if not all(commands):
        return ""
    return "\\" + (commands[0][1] or "" if len(commands) == 1 and commands[0] else "")


_REWRITES = [
    (_needle(pattern), re.compile(pattern), _expanding(new) if isinstance(new, str) else new)
    for pattern, new in [
        (r"^\s*\*\*(.*)\*\*\s*$", r"\1"),
        (r"\*\*", "^"),
        (r"\.{3,}", r"\\ldots "),
        # a list of golds that was written as text: ['70']
        (r"""^\s*\[\s*(['"])([^'"]*)\1\s*\]\s*$""", r"\2"),
        # escaped twice
        (r"(?<!\\)\\\\(?=[a-zA-Z{}%$])(?!.*\\(?:begin|end)\b)", r"\\"),
        # a sign of money; other dollar signs enclose mathematics
        (r"^([^$]*)(?<!\\)\$(?=\s*-?\s*[\d.][^$]*$)", r"\1\\$"),
        (r"\\text\s*\{\s*\\?\$\s*\}|\\textdollar(?![a-zA-Z])", r"\\$"),
        (r"\\pounds(?![a-zA-Z])", "£"),
        (r"\\(?:euro|texteuro)(?![a-zA-Z])", "€"),
        (r"(?<!\\)\$|(?<!\\)\\[()\[\]](?=\s*$)|^\s*\\[(\[]", " "),
        (r"\\left\s*\.|\\right\s*\.|\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits)(?![a-zA-Z])", " "),
        # a thousands separator, written with a thin space or with braces around the comma
        (r"(?<=\d)(?:,\s*\\!|\{,\}|\\,|\\!)\s*(?=\d{3}(?!\d))", ","),
        (r"(?<!\\)\\[,;:!> ]|\\q?quad(?![a-zA-Z])|\\h?space\s*\{[^{}]*\}|~", " "),
        # plain text in place of LaTeX: sqrt(2), pi, <=
        (rf"(?<![\\a-zA-Z])({_PLAIN_WORDS})(?![a-zA-Z])", r"\\\1"),
        (rf"(?<![\\a-zA-Z])(sec){_ARGUMENT}", r"\\\1"),
        (rf"(?<![\\a-zA-Z])({_CALLED})(?=\s*\()", r"\\\1"),
        *(
            (rf"\\operatorname\s*\{{\s*{name}\s*\}}\s*|\\{name}(?![a-zA-Z])\s*{_bare(name)}", rf"\\{new} ")
            for name, new in ALIASES.items()
        ),
        (rf"\\operatorname\s*\*?\s*\{{\s*({'|'.join(FUNCTIONS)})\s*\}}", r"\\\1"),
        (r"(?<![\\a-zA-Z])(?:inf|infinity|oo)(?![a-zA-Z])", r"\\infty"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"(^|=)\s*(\d+|\(\d+\))!=", r"\1\2! ="),  # 5!=120
        (r"!=|\\not\s*=", r"\\ne "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        *((rf"\\(?:{'|'.join(names)})(?![a-zA-Z])", rf"\\{name}") for name, names in SYNONYMS.items()),
        (r"\\frac\s*([0-9a-zA-Z]|\\pi(?![a-zA-Z]))", r"\\frac{\1}"),
        (r"(\\frac\s*\{[^{}]*\})\s*([0-9a-zA-Z]|\\pi(?![a-zA-Z]))", r"\1{\2}"),
        (r"\\sqrt\s*([0-9a-zA-Z])(?!\d)", r"\\sqrt{\1}"),
        (r"√\s*(\d+|[a-zA-Z])", r"\\sqrt{\1}"),
        (r"√\s*\{", r"\\sqrt{"),
        (r"\\lg(?![a-zA-Z])", r"\\log"),
        (r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ|\\degree(?:s)?(?![a-zA-Z])", r"^\\circ"),
        (
            rf"(?<=[\d}})])\s*\^\s*(?:\{{\s*(?:{_TEXT}\{{\s*o\s*\}}|o)\s*\}}|{_TEXT}\{{\s*o\s*\}}|o(?![a-zA-Z]))",
            r"^\\circ",
        ),
        (r"\\ang\s*\{([\d.]+)\}", r"\1^\\circ"),
        (r"\\num\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:SI|qty)\s*\{([^{}]*)\}\s*\{([^{}\\]*)\}", r"\1\\text{ \2}"),
        (r"\\var(epsilon|phi|theta|rho|sigma)(?![a-zA-Z])", r"\\\1"),
        (r"\\(?:displaylimits|nolimits|strut|mathstrut)(?![a-zA-Z])", " "),
        # a thousands separator of the Swiss: 1'234'567
        (r"(?<![\d'])\d{1,3}(?:'\d{3})+(?!\d|')", lambda match: match[0].replace("'", ",")),
        # a modulus
        (
            rf"(?:\\pmod|\(\s*(?:\\[bp]?mod|mod|{_TEXT}\{{\s*mod\s*\}}))\s*\{{?\s*([^(){{}},;]+?)\s*\}}?\s*(?:\)|(?=$|[,;\s}}]))",
            r"\\pmod{\1}",
        ),
        (
            rf"(?:\\[b]?mod(?:ulo)?|(?<![a-zA-Z\\])mod(?:ulo)?|{_TEXT}\{{\s*mod(?:ulo)?\s*\}})(?![a-zA-Z])"
            r"\s*\{?\s*([^(){},;]+?)\s*\}?\s*(?=$|[,;])",
            r"\\pmod{\1}",
        ),
        (r"(\d)\s*\\text\s*\{(st|nd|rd|th)\s+(?=[a-z])", r"\1\2 \\text{"),
        (r"\\det\s*\(?\s*\\begin\{[pb]matrix\}(.*?)\\end\{[pb]matrix\}\s*\)?", r"\\begin{vmatrix}\1\\end{vmatrix}"),
        (r"\|\s*\\begin\{matrix\}(.*?)\\end\{matrix\}\s*\|", r"\\begin{vmatrix}\1\\end{vmatrix}"),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\\langle(?![a-zA-Z])", "("),
        (r"\\rangle(?![a-zA-Z])", ")"),
        (r"\\[lr]vert(?![a-zA-Z])|\\vert(?![a-zA-Z])", "|"),
        (r"\\colon(?![a-zA-Z])|\{:\}|(?<=\d)\s*:\s*(?=\d)", ":"),
        (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset"),
        (r"(^|[,(\[])\s*\+\s*\\infty", r"\1\\infty"),
        (r"\\mathbb\s*([A-Z])", r"\\mathbb{\1}"),
        (r"\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?", r"\\overline{\1\2\3}"),
        (r"\\(?:bar|dot)\s*(?=\{?\d)", r"\\overline"),
        (r"\\overline\s*(\d)", r"\\overline{\1}"),
        (r"\\mathrm\s*\{([eid])\}", r"\1"),
        (r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", r"\1"),
        (r"[\s.,;:]+$", ""),
        (rf"^\s*{_TEXT}\{{([^{{}}]*)\}}\s*$", r"\1"),
        (r"[\s.,;:]+$", ""),
        (rf"{_TEXT}\{{\s*(?:per\s?cent|pct\.?|%|\\%)\s*\}}|(?<=[\d}})])\s*(?:per\s?cent|percentage|pct)$", r"\\%"),
        (r"\\text\s*\{([^{}]*[a-z.])\s+(and|or)\s*\}", r"\\text{\1}\\text{ \2 }"),
        (r"\\text\s*\{\s*\}", " "),
        (r"^(?i:all real(?:s| numbers))(?:\s+except\s+(?:[a-z]\s*=\s*)?([^a-z]+))?$", _reals),
        (r"^(?i:no (?:real )?solutions?)$", r"\\emptyset"),
        (r"\s+", " "),
    ]
]


@lru_cache(maxsize=65_536)
def tidy(answer: str) -> str:
    """Write an answer in one spelling, without delimiters, sizes, spacing commands, final stops or display fractions.

    The meaning stays, and the result is still LaTeX. An answer over `MAX_CHARS` is only stripped.
    """
    answer = answer.strip()
    if len(answer) > MAX_CHARS or (answer.isascii() and answer.isdigit()):
        return answer
    answer = to_latex(answer)
    for needle, pattern, new in _REWRITES:
        if needle in answer:
            answer = pattern.sub(new, answer)
    return _french(plain_groups(answer))


def _french(text: str) -> str:
    """Write intervals with outward brackets, ]0, 1[, with round brackets."""
    if "[" not in text and "]" not in text:
        return text
    label, cut, sets = re.fullmatch(r"(?:(.*?)(\\in(?![a-zA-Z])|=))?(.*)", text, re.S).groups("")  # type: ignore[union-attr]
    pieces = re.split(r"(\\cup(?![a-zA-Z]))", sets)
    found = [re.fullmatch(r"\s*([\[\]])([^\[\],;]+[,;][^\[\],;]+)([\[\]])\s*", piece) for piece in pieces[::2]]
    if not all(found) or all(match and match[1] == "[" and match[3] == "]" for match in found):
        return text
    for i, match in enumerate(found):
        assert match is not None
        pieces[2 * i] = f"{'(' if match[1] == ']' else '['}{match[2]}{')' if match[3] == '[' else ']'}"
    return f"{label}{cut}{' '.join(pieces)}".strip()


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
