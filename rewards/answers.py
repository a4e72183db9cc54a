r"""Final answers: finding them, and deciding whether two of them are the same mathematics.

Thread-safe, never raises on a string, and symmetric. Rules of text and exact arithmetic come first, in this process;
what they leave open goes to `rewards.pool`.
"""

from collections.abc import Callable
from functools import lru_cache

from rewards.equality import Undecided, is_readable, same, undecided
from rewards.extract import extract_answer
from rewards.forms import leaves, read
from rewards.latex import MAX_CHARS, tidy
from rewards.limits import too_heavy
from rewards.pool import Judgement, shared

__all__ = ["compare", "equivalent", "extract_answer", "parseable"]


def equivalent(a: str, b: str) -> bool:
    r"""True if two answers are the same mathematics: "1/2", "\dfrac12" and "0.5" are; "50%" and "50" are not.

    Symmetric, but not transitive where a rounded decimal stands for a fraction, or where a unit is left out. An empty
    answer equals nothing. Answers that are too heavy to work with are equal only if they read the same.
    """
    return compare(a, b) == "same"


def compare(a: str, b: str) -> Judgement:
    """As `equivalent`, with the reason: "same", "different", "unreadable" (as different) or "timeout"."""
    a, b = a.strip(), b.strip()
    if a == b:
        return "same" if a else "different"
    if max(len(a), len(b)) > MAX_CHARS:
        return "different"
    a, b = sorted((tidy(a), tidy(b)))
    return _compare(a, b)


@lru_cache(maxsize=65_536)
def _compare(a: str, b: str) -> Judgement:
    if not a or not b:
        return "different"
    judgement = _here_or_in_pool(lambda: same(read(a), read(b), undecided), a, b)
    opaque = judgement == "different" and any(leaf.kind == "opaque" for text in (a, b) for leaf in leaves(read(text)))
    return "unreadable" if opaque else judgement


@lru_cache(maxsize=65_536)
def parseable(gold: str) -> bool:
    """True if a gold answer can be compared beyond its spelling: a number, words, or LaTeX that Math-Verify reads."""
    gold = tidy(gold)
    if not gold or too_heavy(gold):
        return False
    return _here_or_in_pool(lambda: is_readable(read(gold), undecided), gold, "") == "same"


def _here_or_in_pool(rules: Callable[[], bool], a: str, b: str) -> Judgement:
    try:
        return "same" if rules() else "different"
    except Undecided:
        return shared.judge(a, b)
    except RecursionError:
        return "unreadable"
