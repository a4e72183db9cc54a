r"""Decontamination: find training problems that also occur in an evaluation set.

Two problems overlap if their texts differ only in spelling (`normal_text`), or if they share 13 words in a row, as in
the decontamination of GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C). Problems with fewer than 13 words are
compared by their whole text only.
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
        text = _LAYOUT.sub(" ", _FRACTION.sub(r"\\\1 \2 \3 ", text.replace("{,}", "")))
    text = _HYPHEN.sub(" ", _THOUSANDS.sub("", text.casefold()))
    tokens: list[str] = _TOKEN.findall(text)
    return [_SYNONYMS.get(token, token) for token in tokens]


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
