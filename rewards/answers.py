r"""Whether two final answers are the same mathematics.

All functions are thread-safe and never raise on a string; comparisons are symmetric. Rules of text and exact arithmetic
come first and run in this process. What they leave open goes to the worker processes of `rewards.pool`.
"""

from collections.abc import Callable
from functools import lru_cache

from rewards.equality import Undecided, is_readable, same, undecided
from rewards.extract import extract_answer
from rewards.forms import leaves, read
from rewards.latex import MAX_CHARS, tidy
from rewards.limits import too_heavy
from rewards.pool import Judgement, shared
from rewards.units import own_unit

__all__ = ["compare", "equivalent", "extract_answer", "parseable"]


def equivalent(a: str, b: str) -> bool:
    r"""Whether two answers are the same mathematics.

    The relation is symmetric. It is not transitive where a rounded decimal stands for a fraction, or where a unit is
    left out. An empty answer equals nothing. Answers that are too heavy to work with are equal only if their text is.

    >>> equivalent(r"\dfrac12", "0.5")
    True
    >>> equivalent(r"50\%", "50")
    False
    >>> equivalent(r"\sqrt{8}", r"2\sqrt{2}"), equivalent("x > 0", r"(0, \infty)")
    (True, True)
    """
    return compare(a, b) == "same"


def compare(a: str, b: str) -> Judgement:
    r"""Compare two answers as `equivalent` does, and say why they are not the same.

    Returns "same", "different", "unreadable" (different, since an answer is neither mathematics nor words that can be
    read) or "timeout" (the comparison passed a limit of the pool).

    >>> compare("1/2", "0.5"), compare("1/2", "0.6"), compare(r"\frac{1}", "0.5")
    ('same', 'different', 'unreadable')
    """
    a, b = a.strip(), b.strip()
    if a == b:
        return "same" if a else "different"
    if max(len(a), len(b)) > MAX_CHARS:
        return "different"
    a, b = sorted((tidy(a), tidy(b)))
    try:
        return _compare(a, b)
    except _TimedOut:
        return "timeout"


class _TimedOut(Exception):
    """A comparison passed a limit. It is raised so that no cache remembers it: the next time may be luckier."""


@lru_cache(maxsize=65_536)
def _compare(a: str, b: str) -> Judgement:
    """Compare two tidied answers.

    Raises:
        _TimedOut: the comparison passed a limit of the pool.
    """
    if not a or not b:
        return "different"
    judgement = _here_or_in_pool(lambda: same(read(a), read(b), undecided), a, b)
    opaque = judgement == "different" and any(leaf.kind == "opaque" for text in (a, b) for leaf in leaves(read(text)))
    return "unreadable" if opaque else judgement


def parseable(gold: str) -> bool:
    r"""Whether a gold answer can be compared beyond its spelling: a number, words, or LaTeX that Math-Verify reads.

    >>> parseable(r"\frac{x}{2}"), parseable("none"), parseable("10^{10^{10}}")
    (True, True, False)
    """
    try:
        return _parseable(tidy(gold))
    except _TimedOut:
        return False


@lru_cache(maxsize=65_536)
def _parseable(gold: str) -> bool:
    gold = own_unit(gold) or gold
    if not gold or too_heavy(gold):
        return False
    return _here_or_in_pool(lambda: is_readable(read(gold), undecided), gold, "") == "same"


def _here_or_in_pool(rules: Callable[[], bool], a: str, b: str) -> Judgement:
    try:
        return "same" if rules() else "different"
    except Undecided:
        judgement = shared.judge(a, b)
    except RecursionError:
        return "unreadable"
    if judgement == "timeout":
        raise _TimedOut
    return judgement
