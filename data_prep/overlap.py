r"""Decontamination: find training problems that also occur in an evaluation set.

Two problems overlap if their texts differ only in spelling (`normal_text`), or if they share 13 words in a row, as in
the decontamination of GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C). Problems with fewer than 13 words are
compared by their whole text only. In scripts that do not put spaces between words each character counts as a word.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gsr_rl.episode import Problem
from rewards.notation import SIGNS, SYNONYMS

NGRAM = 13

# LaTeX that only affects the looks and is dropped. Synonyms and signs in the rest are rewritten to one spelling.
_LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|(?:text|math)(?:rm|bf|it|sf|tt)?|operatorname|mbox"
    r"|q?quad)(?![a-zA-Z])|\\[!()\[\]]"
)
_SYNONYMS: dict[str, str] = {
    **{synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms},
    **{"ldots": "dots", "cdots": "dots"},
}
_SIGNS = str.maketrans(
    SIGNS
    | {"\u2014": " ", "\u221a": r"\sqrt ", "\u2026": r"\dots ", "\u2220": r"\angle ", "\u00b2": "^2", "\u00b3": "^3"}
)
_FRACTION = re.compile(r"\\([dtc]?frac)\s*(\d)\s*(\d)")  # \frac12
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")  # "non-zero", but not "a-b"
# Letters of scripts without spaces between words: Han, kana, Thai, Lao, Myanmar, Khmer.
_UNSPACED = re.compile(
    "([\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff])"
)
_MATH = re.compile(r"\$\$?([^$]*)\$\$?|\\\((.*?)\\\)|\\\[(.*?)\\\]", re.S)
# Variables side by side, which are a product with a space between them and without. Not so the name of a command.
_SPACED_LETTERS = re.compile(r"(?<![a-zA-Z\\])(?<!\\[a-zA-Z])([a-zA-Z])\s+(?=[a-zA-Z](?![a-zA-Z]))")
# What decides on the meaning of braces.
_BRACE_PARTS = re.compile(r"\\[a-zA-Z]+\*?|\\.?|[{}]|[\^_\]]|\s+|[^\\{}\^_\]\s]+", re.S)
_SIGNED = re.compile(r"\s*[-+]\s*(?:\d+|[a-z])\s*", re.I)
# A token: a run of letters, a number, the prime of f'(x), or any sign except the punctuation of prose and LaTeX.
_TOKEN = re.compile(
    r"[^\W\d_]+|\d*\.?\d+|(?<![^\W\d_]{2})(?<=[^\W\d_])'+(?![^\W\d_])|_+"
    r"|[^\w\s.,;:?\"'`$&~{}\\\u2018\u2019\u201c\u201d\u00ab\u00bb\u3001\u3002]"
)
_DIAGRAM = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.S)


def normal_text(problem: str) -> str:
    """A problem's text in one spelling. Problems with the same normal text are the same problem.

    Case, Unicode's forms, white space, punctuation of prose, and LaTeX's spacing, delimiters and synonyms are
    normalised away. Numbers, letters, operators and brackets stay.
    """
    return _text_and_ngrams(problem)[0]


def ngrams(problem: str) -> list[str]:
    """All runs of 13 words in a problem, in order; none if it is shorter. A word is a run of letters or a number.

    The code of a diagram ([asy]) does not count as words, because it begins alike in many problems.
    """
    return _ngrams(_tokens(_DIAGRAM.sub(" ", problem)))


def _ngrams(tokens: list[str]) -> list[str]:
    words = [token for token in tokens if token[-1].isalnum()]
    return [" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]


def _text_and_ngrams(problem: str) -> tuple[str, set[str]]:
    """Normal text and different n-grams, computed together."""
    tokens = _tokens(problem)
    # A text of nothing but punctuation has no tokens, and is its own normal text.
    return " ".join(tokens) or problem, set(ngrams(problem) if "[asy]" in problem else _ngrams(tokens))


def _tokens(problem: str) -> list[str]:
    text = unicodedata.normalize("NFKC", problem.translate(_SIGNS))
    if "\\" in text or "$" in text:
        text = _MATH.sub(lambda found: _SPACED_LETTERS.sub(r"\1", found[0]), text)
        text = _LAYOUT.sub(" ", _FRACTION.sub(r"\\\1 \2 \3 ", text.replace("{,}", "")))
    if "{" in text:
        text = _with_groups(text)
    text = _UNSPACED.sub(r" \1 ", text)
    text = _HYPHEN.sub(" ", _THOUSANDS.sub("", text.casefold()))
    tokens: list[str] = _TOKEN.findall(text)
    return [_SYNONYMS.get(token, token) for token in tokens]


def _with_groups(text: str) -> str:
    """The text with parentheses for the braces that have a meaning.

    These are the braces around an argument of several tokens, of a command, an exponent or an index: 2^{3x} is not
    2^{3}x. Other braces only group, and are dropped with the rest of LaTeX's layout.
    """
    parts: list[str] = []
    opened: list[tuple[int, bool]] = []  # for each open brace: its part, and whether it begins an argument
    is_argument = False  # whether an argument may follow
    for found in _BRACE_PARTS.finditer(text):
        part = found[0]
        parts.append(part)
        if part == "{":
            opened.append((len(parts) - 1, is_argument))
            is_argument = False
        elif part == "}" and opened:
            start, is_argument = opened.pop()
            if is_argument:
                inner = "".join(parts[start + 1 : -1])
                if len(_TOKEN.findall(inner)) > 1 and not _SIGNED.fullmatch(inner):
                    parts[start], parts[-1] = "(", ")"
        elif not part.isspace():
            is_argument = part in ("^", "_", "]") or (len(part) > 2 and part[0] == "\\")
    return "".join(parts)


@dataclass(frozen=True)
class Overlap:
    """A training problem and an evaluation problem that overlap: a row of the report.

    `overlap` is the share of the evaluation problem's different 13-grams that the training problem has too; 1 for an
    exact match.
    """

    train_id: str
    eval_dataset: str
    eval_id: str
    match: Literal["exact", "13gram"]
    overlap: float


@dataclass
class _Indexed:
    dataset: str
    id: str
    n_grams: int


class EvaluationIndex:
    """An index of evaluation problems by their text and by their 13-grams.

    Only the evaluation problems are held in memory. Training problems are looked up one by one, and the time for a
    look-up does not depend on the number of evaluation problems.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[_Indexed] = []
        self._by_text: defaultdict[str, list[int]] = defaultdict(list)
        self._by_ngram: defaultdict[str, list[int]] = defaultdict(list)
        for index, problem in enumerate(problems):
            text, grams = _text_and_ngrams(problem.problem)
            self.problems.append(_Indexed(problem.dataset, problem.id, len(grams)))
            self._by_text[text].append(index)
            for gram in grams:
                self._by_ngram[gram].append(index)

    def overlaps(self, train_id: str, problem: str) -> list[Overlap]:
        """The overlaps of one training problem: at most one for each evaluation problem, in their order."""
        text, grams = _text_and_ngrams(problem)
        exact = self._by_text.get(text, [])
        shared: defaultdict[int, int] = defaultdict(int)
        for gram in grams:
            for index in self._by_ngram.get(gram, ()):
                shared[index] += 1
        found = {
            index: self._row(train_id, index, "13gram", n / self.problems[index].n_grams) for index, n in shared.items()
        }
        found |= {index: self._row(train_id, index, "exact", 1.0) for index in exact}
        return [found[index] for index in sorted(found)]

    def _row(self, train_id: str, index: int, match: Literal["exact", "13gram"], overlap: float) -> Overlap:
        problem = self.problems[index]
        return Overlap(train_id, problem.dataset, problem.id, match, round(overlap, 4))
