r"""Multiple choice: the letter of an answer such as "C", "(C)", "C) Paris" or "(C) $\frac{1}{2}$".

A letter counts only alone, or with a content that takes nothing back: "(A) or (B)" and "(C) is wrong" choose nothing.
"""

import re
from functools import lru_cache

from rewards.nouns import noun

_COMMAND = r"\\(?:text(?:bf|it|rm|sf|normal)?|mbox|mathrm|mathbf|mathit|mathsf)\s*\{([^{}]*)\}"
_PREFIX = re.compile(r"(?:the\s+)?(?:correct\s+|final\s+)?(?:option|choice|answer)(?:\s*:|\s+is)?\s+", re.I)
_ALONE = re.compile(r"\(\s*(?P<round>[A-Ja-j])\s*\)|(?P<bare>[A-Ja-j])[).:]|(?P<only>[A-Ja-df-hj])")
_MARKED = re.compile(r"(?:\(\s*(?P<round>[A-Ja-j])\s*\)|(?P<bare>[A-Ja-j])[).:])(?P<gap>[\s,]*)(?P<rest>\S.*)", re.S)
_CLOSE = re.compile(r"[0-9a-z\\-]")  # what may follow an upper-case mark without a space
_OTHER = re.compile(
    r"(?<![A-Za-z])(?:\([A-Ja-j]\)|[A-J][).:](?![A-Za-z0-9]))"
    r"|\b(?:or|and|to|through|thru|nor|vs\.?|not)\s+(?:option\s+|choice\s+)?\(?[A-J]\)?\s*$"
    r"|^[A-J](?![A-Za-z])\W*$"
)
_TAKES_BACK = re.compile(
    r"[-/&,~?!=]|(?:or|and|nor|to|through|thru|until|but|is|are|was|were|be|isn't|aren't|cannot|can't|can|could|may|might"
    r"|must|should|would|will|won't|does|doesn't|do|did|seems?|looks?|appears?|if|unless|because|since|as|with|without"
    r"|vs|versus|rather|instead|over|than|maybe|perhaps|possibly|probably|likely|not|wrong|incorrect|excluded"
    r"|impossible\s+because|also|both|either|neither)(?![a-zA-Z'])",
    re.I,
)
_STOCK = re.compile(
    r"(?:not (?:enough|possible|given|defined|a|an|determinable)|cannot be (?:determined|found|answered|decided)"
    r"|can't be determined|neither|both (?!\()|-\s*[\d\\a-z(])",
    re.I,
)
# "(A) fails" says something of (A). "(A) points" may be its content, if the word is a noun.
_VERB = re.compile(r"(?!less|plus|minus|yes|always|sometimes|this|parallelograms|its)[a-z]{3,}s(?![a-zA-Z'])")
_DENIED = re.compile(
    r"\b(?:is|are|was|looks?|seems?)\s+(?:wrong|incorrect|ruled out|excluded|not (?:right|correct|the answer))|\?\s*$"
    r"|\b(?:wrong|incorrect)\s*[).]?\s*$",
    re.I,
)


@lru_cache(maxsize=16_384)
def choice(text: str) -> tuple[str, str]:
    r"""Return the letter of a tidied answer and the content after it, each "" if there is none.

    A small "e" or "i" without a mark is the constant.

    >>> choice(r"\textbf{(C)}"), choice("c"), choice("B) 5 cm"), choice("(A) or (B)"), choice("(C) is wrong")
    (('C', ''), ('C', ''), ('B', '5 cm'), ('', ''), ('', ''))
    """
    plain = _PREFIX.sub("", re.sub(_COMMAND, r"\1", text).strip(), count=1).strip()
    alone = _ALONE.fullmatch(plain)
    if alone:
        return (alone["round"] or alone["bare"] or alone["only"]).upper(), ""
    marked = _MARKED.fullmatch(plain)
    if marked is None:
        return "", ""
    letter, rest = marked["round"] or marked["bare"], marked["rest"]
    if "," in marked["gap"] or (not marked["gap"] and not (letter.isupper() and _CLOSE.match(rest))):
        return "", ""
    taken_back = (_TAKES_BACK.match(rest) and not _STOCK.match(rest)) or _DENIED.search(rest) or _OTHER.search(rest)
    verb = _VERB.match(rest)
    taken_back = taken_back or (verb and not noun(verb[0]))
    if taken_back or not re.search(r"\w", rest):
        return "", ""
    return letter.upper(), _content(text, rest)


def _content(text: str, rest: str) -> str:
    """The content as it was written, text commands and all, if it can be told apart from the mark."""
    behind = re.match(rf"(?:{_COMMAND}|\(\s*\w\s*\)|\w[).:])\s*", text)
    written = text[behind.end() :] if behind else ""
    return written if written and re.sub(_COMMAND, r"\1", written).split() == rest.split() else rest
