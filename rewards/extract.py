r"""The final answer of a response: the last box after the reasoning, or what a final-answer phrase says."""

import re

_CLOSE_THINK, _OPEN_THINK = "</think>", "<think>"
# TeX boxes the next token of a box without braces: \boxed 7.
_UNBRACED = re.compile(r"\\(?:boxed|fbox)\s+(?P<token>-?\d+(?:\.\d+)?|[a-zA-Z])(?=\s*(?:\$|\\[)\]]|[.,]?\s*\Z|[.,]\s))")
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
# What stands before the phrase, in the same clause, when it states somebody else's answer or none.
_REPORTED = re.compile(
    r"\b(?:says?|said|claims?|claimed|states?|stated|suggests?|suggested|whether|if|suppose|supposing|assum\w+|imagine"
    r"|guess(?:es|ed)|candidate\s*\d*)\W+(?:that\W+)?(?:(?:the|its|their|final|correct)\W+)*\Z",
    re.I,
)
_DENIED = re.compile(
    r"n['\u2019]t\b|\b(?:not|never|nobody|none|neither|nor|cannot|doubt\w*|den(?:y|ies|ied)|disagree\w*|reject\w*|refut\w+"
    r"|wrong\w*|incorrect\w*|false\w*|mistaken\w*|erroneous\w*|na[i\u00ef]ve\w*|tempt\w+|trap|fallacy|flawed|bogus|invalid"
    r"|might|may|could|would|unlikely|impossible|untrue|unclear|unsure|uncertain|perhaps|maybe|possibly"
    r"|wonder\w*|ask\w*|pretend\w*|hypothe\w+|instead\s+of|rather\s+than|far\s+from|hardly|rul\w+\s+out|exclude\w*)\b"
    r"|\b(?:one|some\w*|people|students?|many|most|others?|they|he|she|everyone)\s+(?:\w+\s+)?"
    r"(?:thinks?|thought|believes?|believed|expects?|expected|gets?|got|says?|answers?|answered)\b"
    r"|\b(?:other|another|previous|earlier|old|initial|original|first|former|possible|alternative|his|her|their)\s+"
    r"(?:final\s+)?\Z"
    r"|(?<!problem)(?<!question)(?<!exercise)['\u2019]s\s+(?:final\s+)?\Z",
    re.I,
)
# These words deny nothing.
_AFFIRMED = re.compile(
    r"\b(?:no|without(?:\s+a)?|beyond)\s+doubt\b|\bnot\s+only\b"
    r"|\b(?:I|we)\s+(?:would|may|might|could)\s+(?:\w+ly\s+|now\s+|then\s+)?(?:say|conclude|state)\b",
    re.I,
)
# Where the clause of the phrase begins.
_CLAUSE_START = re.compile(
    r"[.!?;:\n]\s|\n|,\s(?!that\b)|\b(?:so|thus|hence|therefore|then|consequently|but|finally)\b(?!\s+far)", re.I
)
_TAKEN_BACK = re.compile(
    r"(?:\A\W*(?:\S+\s+)?|\b(?:which|this|that|it|answer)\s+)(?:is|was|sounds|looks|seems)\s+(?:\w+\s+)?"
    r"(?:wrong|incorrect|false|mistaken|untrue|not\s+(?:right|correct|true|it))\b|\A[^.!\n]*\?",
    re.I,
)
_CLAUSE = re.compile(r"[,;]?\s+(?:because|since|which|where|so|as|but|when|if|I hope)\b.*", re.I | re.S)
_VERB = re.compile(r".*\b(?:is|are|equals|be)\s+(?:equal to\s+)?(?=\S)", re.I)
_ADVERB = re.compile(r"\A(?:(?:therefore|thus|hence|then|simply|just|exactly)\b[,:\s]*)+", re.I)
_NEGATED = re.compile(
    r"(?:(?:\w+ly|perhaps|maybe|of course)\s+)?"
    r"(?:not|never|neither|nor|anything but|no longer|unlikely|doubtful|hardly)\b",
    re.I,
)
# Display mathematics over several lines counts as one line.
_DISPLAY = re.compile(r"(?P<open>\$\$|\\\[)(?P<inside>[^$]*?)(?P<close>\$\$|\\\])", re.S)
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
    final = (
        _UNBRACED.sub(lambda box: rf"\boxed{{{box['token']}}}", final)
        if "boxed " in final or "fbox " in final
        else final
    )
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
    text = _DISPLAY.sub(lambda block: "".join(part.strip() for part in block.groups("")), text[-_PHRASE_CHARS:])
    lines = [line for line in text.splitlines() if line.strip()][-_PHRASE_LINES:]
    tail = "\n".join(lines)
    found = list(_PHRASE.finditer(tail))
    if not found or not _is_own(tail, found[-1].start()):
        return None
    said = _ADVERB.sub("", tail[found[-1].end() :].lstrip("*:= \t\n_"))
    if _NEGATED.match(said):
        return None
    math = re.match(
        r"\$\$?(?P<dollars>[^$]+)\$\$?(?!\d)|\\[(\[](?P<slashes>.+?)\\[)\]]|\*\*(?P<bold>[^*]+)\*\*", said, re.S
    )
    behind = said[math.end() :] if math else said
    if _TAKEN_BACK.search(behind):
        return None
    if math:
        said = math["dollars"] or math["slashes"] or math["bold"]
    else:
        said = said.partition("\n")[0]
        said = _CLAUSE.sub("", re.split(r"\.\s+(?=[A-Z])", said, maxsplit=1)[0])
        said = _VERB.sub("", said)  # "the greatest such n is 5" states 5
    return said.strip("*$ \t.,;:") or None


def _is_own(tail: str, start: int) -> bool:
    """Whether the phrase at `start` states an answer, rather than denying, doubting or reporting one."""
    if tail.startswith("####", start):
        return True
    before = tail[max(0, start - 200) : start]
    if _REPORTED.search(before):
        return False
    clause = before
    for begin in _CLAUSE_START.finditer(before):
        clause = before[begin.end() :]
    return _DENIED.search(_AFFIRMED.sub("", clause)) is None
