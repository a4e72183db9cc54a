r"""Rewriting that must find matching brackets: \over, powers and roots in round brackets, colours and bold type."""

import re

_MAX_ROUNDS = 20  # of one kind of rewriting in one answer
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_INFIX = re.compile(r"\\(over|choose)(?![a-zA-Z])\s*")
_ROUND = re.compile(r"(?P<before>\^|\\sqrt(?:\s*\[[^\[\]]*\])?|√|\\(?:cbrt|abs|floor|ceil)(?![a-zA-Z]))\s*\(")
_BRACED_POWER = re.compile(r"\^\s*(?=\\(?:frac|sqrt|binom)(?![a-zA-Z]))")
_WRITTEN = {
    "cbrt": (r"\sqrt[3]{", "}"),
    "abs": ("|", "|"),
    "floor": (r"\lfloor ", r" \rfloor "),
    "ceil": (r"\lceil ", r" \rceil "),
}
_COLOUR = re.compile(r"\\(?:textcolor|colorbox|color)\s*(?:\[[^\]]*\])?\s*\{[^{}]*\}")
_BOLD = re.compile(r"\\(?:boldsymbol|bm|pmb|bold|underline|emph|ensuremath|bf|[lL]arge|LARGE|[hH]uge)(?![a-zA-Z])\s*")
# A font around a whole formula: \mathbf{\frac{3}{4}}.
_FONT = re.compile(
    r"\\(?:mathbf|textbf|mathit|textit|textsf|mathsf|mathrm|text|mbox)\s*(?=\{[^{}]*\\(?:d|t)?(?:frac|sqrt|pi|binom|boxed))"
)


def closing(text: str, start: int) -> int:
    """Return the index of the bracket that closes the one at `start`, or -1 if it stays open."""
    opening = text[start]
    depth, position = 0, start
    while position < len(text):
        char = text[position]
        if char == "\\":
            position += 2
            continue
        depth += (char == opening) - (char == _CLOSING[opening])
        if depth == 0:
            return position
        position += 1
    return -1


def plain_groups(text: str) -> str:
    r"""Write {a \over b} as \frac{a}{b}, x^(a) as x^{a}, sqrt(a) as \sqrt{a}, and leave colours and bold type out."""
    if "\\" in text:
        text = _FONT.sub("", _BOLD.sub("", _COLOUR.sub("", text)))
        text = _infix(text)
        text = _powers(text)
    text = _round(text) if "(" in text else text
    return without_outer_braces(text)


def without_outer_braces(text: str) -> str:
    """Take away braces around the whole text, unless a comma inside makes it a set."""
    text = text.strip()
    for _ in range(_MAX_ROUNDS):
        if text[:1] != "{" or closing(text, 0) != len(text) - 1 or re.search(r"[,;]", text):
            break
        text = text[1:-1].strip()
    return text


def _infix(text: str) -> str:
    for _ in range(_MAX_ROUNDS):
        match = _INFIX.search(text)
        if match is None:
            break
        start, depth = match.start() - 1, 0
        while start >= 0 and not (text[start] == "{" and depth == 0):
            depth += (text[start] == "}") - (text[start] == "{")
            start -= 1
        end = closing(text, start) if start >= 0 else len(text)
        if end < 0:
            break
        command = "frac" if match[1] == "over" else "binom"
        top, bottom = text[start + 1 : match.start()].strip(), text[match.end() : end].strip()
        text = rf"{text[: max(start, 0)]}\{command}{{{top}}}{{{bottom}}}{text[end + 1 :]}"
    return text


def _powers(text: str) -> str:
    """Put braces around a fraction or root in an exponent: x^\\frac{1}{2}."""
    for match in reversed(list(_BRACED_POWER.finditer(text))[:_MAX_ROUNDS]):
        end = match.end() + len(re.match(r"\\[a-z]+\s*(?:\[[^\]]*\])?", text[match.end() :])[0])  # type: ignore[index]
        for _ in range(1 if text.startswith(r"\sqrt", match.end()) else 2):
            while text[end : end + 1] == " ":
                end += 1
            close = closing(text, end) if text[end : end + 1] == "{" else end
            if not end < len(text) or close < 0:
                return text
            end = close + 1
        text = f"{text[: match.start()]}^{{{text[match.end() : end]}}}{text[end:]}"
    return text


def _round(text: str) -> str:
    position = 0
    for _ in range(_MAX_ROUNDS):
        match = _ROUND.search(text, position)
        if match is None:
            break
        start = match.end() - 1
        end = closing(text, start)
        if end < 0:
            break
        before = match["before"]
        opening, close = _WRITTEN.get(before.removeprefix("\\"), (before.replace("√", r"\sqrt") + "{", "}"))
        text = f"{text[: match.start()]}{opening}{text[start + 1 : end]}{close}{text[end + 1 :]}"
        position = match.start() + 1
    return text
