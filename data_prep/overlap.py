r"""Decontamination: training problems that stand in an evaluation set.

Two problems overlap if their texts are the same but for spelling (`normal_text`), or if they share 13 words in a row,
as in the decontamination of GPT-3 (Brown et al. 2020, arXiv 2005.14165, appendix C). Problems under 13 words compare
exactly only.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gsr_rl.episode import Problem

NGRAM = 13

# LaTeX that is for looks alone; of the rest, signs and synonyms are written in one way.
_LAYOUT = re.compile(
    r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits|(?:text|math)(?:rm|bf|it|sf|tt)?|operatorname|mbox"
    r"|q?quad)(?![a-zA-Z])|\\[!()\[\]]"
)
_SYNONYMS: dict[str, str] = {
    **{"dfrac": "frac", "tfrac": "frac", "cfrac": "frac"},
    **{"leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge", "neq": "ne", "ldots": "dots", "cdots": "dots"},
}
_SIGNS = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2014": " ", "\u00d7": r"\times ", "\u00b7": r"\cdot ", "\u2019": "'"}
    | {"\u2264": r"\le ", "\u2265": r"\ge ", "\u2260": r"\ne ", "\u03c0": r"\pi ", "\u221e": r"\infty "}
    | {"\u221a": r"\sqrt ", "\u00b0": r"^\circ ", "\u2026": r"\dots ", "\u2220": r"\angle "}
    | {"\u00b2": "^2", "\u00b3": "^3"}
)
_FRACTION = re.compile(r"\\([dtc]?frac)\s*(\d)\s*(\d)")  # \frac12
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")  # "non-zero", but not "a-b"
# A run of letters, a number, the prime of f'(x), or any sign but the punctuation of prose and LaTeX.
_TOKEN = re.compile(
    r"[^\W\d_]+|\d*\.?\d+|(?<![^\W\d_]{2})(?<=[^\W\d_])'+(?![^\W\d_])|_+"
    r"|[^\w\s.,;:?\"'`$&~{}\\\u2018\u2019\u201c\u201d\u00ab\u00bb\u3001\u3002]"
)
_DIAGRAM = re.compile(r"\[asy\].*?(?:\[/asy\]|\Z)", re.S)


def normal_text(problem: str) -> str:
    """A problem's text without what makes no other problem of it; numbers, letters, operators and brackets stay.

    What goes: case, Unicode's forms, white space, punctuation of prose, LaTeX's spacing, delimiters and synonyms.
    """
    return _read(problem)[0]


def ngrams(problem: str) -> list[str]:
    """The runs of 13 words of a problem, in order; none if it is shorter. Words are runs of letters, and numbers.

    The code of a diagram ([asy]) holds none: it begins alike in many problems.
    """
    return _ngrams(_tokens(_DIAGRAM.sub(" ", problem)))


def _ngrams(tokens: list[str]) -> list[str]:
    words = [token for token in tokens if token[-1].isalnum()]
    return [" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)]


def _read(problem: str) -> tuple[str, set[str]]:
    """Normal text and n-grams at once."""
    tokens = _tokens(problem)
    # Nothing but punctuation stands for itself.
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
    """One training problem and one evaluation problem that overlap: a row of the report.

    `overlap` is the share of the evaluation problem's different 13-grams that the training problem has; 1 for "exact".
    """

    train_id: str
    eval_dataset: str
    eval_id: str
    match: Literal["exact", "13gram"]
    overlap: float


@dataclass
class _Evaluated:
    dataset: str
    id: str
    n_grams: int


class EvaluationIndex:
    """Evaluation problems by their text and by their 13-grams.

    They alone are held in memory; training problems are looked up one by one, in time that does not depend on how many
    evaluation problems there are.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[_Evaluated] = []
        self._by_text: defaultdict[str, list[int]] = defaultdict(list)
        self._by_ngram: defaultdict[str, list[int]] = defaultdict(list)
        for index, problem in enumerate(problems):
            text, grams = _read(problem.problem)
            self.problems.append(_Evaluated(problem.dataset, problem.id, len(grams)))
            self._by_text[text].append(index)
            for gram in grams:
                self._by_ngram[gram].append(index)

    def overlaps(self, train_id: str, problem: str) -> list[Overlap]:
        """At most one for each evaluation problem, in the order in which those were given."""
        text, grams = _read(problem)
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
        one = self.problems[index]
        return Overlap(train_id, one.dataset, one.id, match, round(overlap, 4))
