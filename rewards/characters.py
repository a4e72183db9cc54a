"""Unicode mathematics as LaTeX: signs, letters, sub- and superscripts, fractions, dashes, digits of any script."""

import html
import re
import unicodedata

from rewards.notation import GREEK, SIGNS

_MORE_SIGNS = {
    "\u2018": "'",
    "\u02b9": "'",
    "\u2032": "'",
    "⋅": r"\cdot ",
    "∙": r"\cdot ",
    "•": r"\cdot ",
    "÷": r"\div ",
    "≈": r"\approx ",
    "≃": r"\approx ",
    "±": r"\pm ",
    "\u2213": r"\mp ",
    "\u222a": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "\u2216": r"\setminus ",
    "\u211d": r"\mathbb{R}",
    "\u2124": r"\mathbb{Z}",
    "\u2115": r"\mathbb{N}",
    "\u211a": r"\mathbb{Q}",
    "\u2102": r"\mathbb{C}",
    "\u2044": "/",
    "\u2215": "/",
    "…": r"\ldots ",
    "⋯": r"\cdots ",
    "⩽": r"\le ",
    "⩾": r"\ge ",
    "≦": r"\le ",
    "≧": r"\ge ",
    "≡": r"\equiv ",
    "\u2236": ":",
    "\u2223": "|",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
    "⌈": r"\lceil ",
    "⌉": r"\rceil ",
    "⟨": "(",
    "⟩": ")",
    "∑": r"\sum ",
    "∏": r"\prod ",
    "∫": r"\int ",
    "∂": r"\partial ",
    "∠": r"\angle ",
    "△": r"\triangle ",
    "→": r"\to ",
    "∧": r"\land ",
    "\u2228": r"\lor ",
    "∛": r"\sqrt[3]",
    "∜": r"\sqrt[4]",
    "º": r"^\circ ",
    "\u02da": r"^\circ ",
    "∘": r"^\circ ",
    "\u3001": ",",
    "\u3002": ".",
    "\u02d7": "-",
    "\u00b5": r"\mu ",
    "ϕ": r"\phi ",
    "ϵ": r"\epsilon ",
}
_SYMBOLS = str.maketrans(SIGNS | _MORE_SIGNS)
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}\d{0,2}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_ROOTS = re.compile(r"\\sqrt(\[\d\])\s*(\d+(?:\.\d+)?|[a-zA-Z])")
_GREEK_RUN = re.compile("[\u0370-\u03ff]+")
# A dot over a digit marks a period: it is written before the digit in LaTeX and after it in Unicode.
_DOTTED = re.compile("(\\d)\u0307")


def to_latex(text: str) -> str:
    """Write Unicode mathematics as LaTeX, fold full-width forms, drop invisible characters, resolve HTML entities."""
    if "&" in text and _ENTITY.search(text):
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if text.isascii():
        return text
    text = _DOTTED.sub(r"\\dot{\1}", text.translate(_SYMBOLS))
    text = _decomposed(text)
    text = unicodedata.normalize("NFKC", text).translate(_SYMBOLS)
    text = _GREEK_RUN.sub(_greek, text)
    kept = []
    for char in text:
        category = unicodedata.category(char)
        if category == "Pd":
            kept.append("-")
        elif category == "Zs":
            kept.append(" ")
        elif category != "Cf":
            kept.append(str(unicodedata.decimal(char, char)))
    return _ROOTS.sub(r"\\sqrt\1{\2}", "".join(kept))


def _decomposed(text: str) -> str:
    """Write raised and lowered characters and one-character fractions out, each run in one pair of braces."""
    pieces: list[str] = []
    level = ""  # of the last character: "^" or "_" or ""
    for char in text:
        kind = unicodedata.decomposition(char).partition(" ")[0]
        now = {"<super>": "^", "<sub>": "_"}.get(kind, "")
        if now != level:
            pieces.append("}" * (level != "") + (f"{now}{{" if now else ""))
            level = now
        if kind == "<fraction>":
            top, slash, bottom = unicodedata.normalize("NFKC", char).partition("\u2044")
            pieces.append(rf"\frac{{{top}}}{{{bottom}}}" if slash and bottom else char)
        else:
            pieces.append(unicodedata.normalize("NFKC", char).translate(_SYMBOLS) if now else char)
    pieces.append("}" * (level != ""))
    # A raised 1, a fraction slash and a lowered 2 are a fraction.
    return re.sub(r"\^\{(\d+)\}/_\{(\d+)\}", r"\\frac{\1}{\2}", "".join(pieces))


def _greek(run: re.Match[str]) -> str:
    """Greek letters as commands; a run of three or more is a word."""
    letters = [unicodedata.name(char, "").split() for char in run[0]]
    if len(letters) > 2 or any(len(words) != 4 for words in letters):
        return run[0]
    names = [words[3].lower() if words[1] == "SMALL" else words[3].capitalize() for words in letters]
    names = ["lambda" if name == "lamda" else "Lambda" if name == "Lamda" else name for name in names]
    return "".join(rf"\{name} " for name in names) if all(name in GREEK for name in names) else run[0]
