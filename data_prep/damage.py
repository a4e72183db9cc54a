r"""Gold answers that were damaged on their way: LaTeX whose backslashes an escape has eaten, or which has each twice.

"\frac" in a source without a raw string becomes a form feed and "rac". A text that was escaped once too often says
"\\frac", which is the end of a line and then the letters frac.
"""

import re

_COMMANDS = (
    r"(?:[dt]?frac|[dt]?binom|sqrt|text\w*|math\w+|left|right|cdots?|[lc]?dots|times|div|pm|mp|infty|pi|theta|alpha|beta"
    r"|gamma|delta|lambda|mu|sigma|phi|omega|log|ln|sin|cos|tan|cot|sec|csc|arc(?:sin|cos|tan)|angle|circ|degree|cup|cap"
    r"|in|le|leq|ge|geq|neq?|boxed|begin|end|quad|overline|emptyset|setminus|operatorname|mbox|pmod|equiv|sum|prod|int)"
)
# A doubled command, and anything that shows that a single backslash means something too.
_DOUBLED = re.compile(rf"(?<!\\)\\\\(?={_COMMANDS}(?![a-zA-Z]))")
_SINGLE = re.compile(r"(?<!\\)(?:\\\\)*\\(?=[a-zA-Z])")
_EATEN = re.compile(
    r"[\a\b\v\f]"  # of \alpha, \binom, \vec, \frac; no gold has such a sign of its own
    r"|\t(?:ext\w*|imes|heta|au|an|anh|frac|binom|riangle|o)(?![a-zA-Z])"
    r"|\n(?:eq|abla|otin|eg)(?![a-zA-Z])"
    r"|\r(?:ight|ho|angle|floor|ceil|m)(?![a-zA-Z])"
)


def damage(gold: str) -> str | None:
    r"""What has happened to a gold answer; None if nothing has.

    >>> damage("\frac{1}{2}")
    "the escape '\\x0c' stands where a backslash and a letter were"
    >>> damage(r"\\frac{1}{2}")
    'each backslash stands twice'
    >>> damage(r"\frac{1}{2}") is None
    True
    """
    eaten = _EATEN.search(gold)
    if eaten:
        return f"the escape {eaten[0][0]!r} stands where a backslash and a letter were"
    if _DOUBLED.search(gold) and not _SINGLE.search(gold):
        return "each backslash stands twice"
    return None
