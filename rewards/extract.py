r"""The final answer of a response: the last box after the reasoning, or what a final-answer phrase says."""

import re

_CLOSE_THINK, _OPEN_THINK = "</think>", "<think>"
_BRACES = re.compile(r"(?P<box>\\{1,4}(?:boxed|fbox)[ \t]{0,8}\{)|\\[{}\\]|(?P<open>\{)|(?P<close>\})")
# Quotations are no answers. A per cent sign starts a TeX comment only where prose would not have one.
_QUOTED = re.compile(
    r"(?s:```.*?(?:```|\Z))|(?s:<!--.*?(?:-->|\Z))|`[^`\n]*`|\\verb(?P<bar>[|!+@/])[^\n]*?(?P=bar)"
    r"|(?m:(?:^|(?<=\}[ \t]))[ \t]*%.*$)"
)
_PHRASE = re.compile(
    r"\banswer(?:s|\s*[\"'*_]*)?\s*(?:\b(?:is|are|equals|(?:would|should|must)\s+be)\b|[:=])"
    r"|\bfinal\s+answer\W*\n|^####",
    re.I | re.M,
)
_REPORTED = re.compile(
    r"\b(?:says?|said|claims?|claimed|states?|suggests?|whether|if|suppose|candidate\s*\d*)\W+"
    r"(?:that\W+)?(?:(?:the|its|their|final|correct)\W+)*\Z",
    re.I,
)
_CLAUSE = re.compile(r"[,;]?\s+(?:because|since|which|where|so|as|but|when|if|I hope)\b.*", re.I | re.S)
_VERB = re.compile(r".*\b(?:is|are|equals|be)\s+(?:equal to\s+)?(?=\S)", re.I)
_ADVERB = re.compile(r"\A(?:(?:therefore|thus|hence|then|simply|just|exactly)\b[,:\s]*)+", re.I)
_PHRASE_LINES = 3
_PHRASE_CHARS = 2_000


def extract_answer(response: str) -> str | None:
    r"""Return the final answer of a response, or None if it has none. The time is linear in the length.

    The answer is the content of the last \boxed{...} or \fbox{...} after the last </think>. If a box after that one is
    opened and never closed, the response broke off and has no answer. Without any box, the answer is what follows
    "the answer is", "answer:", "final answer" or "####" on one of the last three lines. Boxes and phrases in code,
    comments and \verb are quotations, and text in an unfinished <think> is reasoning; neither is an answer.

    >>> extract_answer(r"<think>Perhaps \boxed{1}?</think> No, it is \boxed{\frac{1}{2}}.")
    '\\frac{1}{2}'
    >>> extract_answer("The answer is 20, because 4 times 5 is 20.")
    '20'
    >>> extract_answer(r"First \boxed{3}, then \boxed{4") is None
    True
    """
    final = response.rpartition(_CLOSE_THINK)[2].partition(_OPEN_THINK)[0]
    if any(mark in final for mark in ("`", "<!--", r"\verb", "%")):
        final = _QUOTED.sub(" ", final)
    box = _last_box(final)
    if box is not None:
        return box.strip() or None
    return _after_phrase(final)


def _last_box(text: str) -> str | None:
    """Content of the last box, of nested boxes the outermost; "" if a later box stays open; None without a box."""
    open_starts: list[int | None] = []  # for each open brace: where the content starts if the brace opens a box
    content: tuple[int, int] | None = None
    for token in _BRACES.finditer(text):
        if token["box"]:
            open_starts.append(token.end())
        elif token["open"]:
            open_starts.append(None)
        elif token["close"] and open_starts:
            start_of_box = open_starts.pop()
            if start_of_box is not None:
                content = start_of_box, token.start()
    unclosed = max((start for start in open_starts if start is not None), default=-1)
    if content is None:
        return None if unclosed < 0 else ""
    return "" if unclosed > content[1] else text[content[0] : content[1]]


def _after_phrase(text: str) -> str | None:
    """The answer that the last final-answer phrase on the last lines states, unless it reports somebody else's."""
    lines = [line for line in text[-_PHRASE_CHARS:].splitlines() if line.strip()][-_PHRASE_LINES:]
    tail = "\n".join(lines)
    found = list(_PHRASE.finditer(tail))
    if not found or _REPORTED.search(tail, max(0, found[-1].start() - 60), found[-1].start()):
        return None
    said = _ADVERB.sub("", tail[found[-1].end() :].lstrip("*:= \t\n_"))
    if said.startswith("not "):
        return None
    math = re.match(
        r"\$\$?(?P<dollars>[^$]+)\$\$?(?!\d)|\\[(\[](?P<slashes>.+?)\\[)\]]|\*\*(?P<bold>[^*]+)\*\*", said, re.S
    )
    if math:
        said = math["dollars"] or math["slashes"] or math["bold"]
    else:
        said = said.partition("\n")[0]
        said = _CLAUSE.sub("", re.split(r"\.\s+(?=[A-Z])", said, maxsplit=1)[0])
        said = _VERB.sub("", said)  # "the greatest such n is 5" states 5
    return said.strip("*$ \t.,;:") or None
