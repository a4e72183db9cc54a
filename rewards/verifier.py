"""The verdict on one response: its final answer against the gold answer, with the reason why it failed."""

from dataclasses import dataclass
from typing import Literal

from rewards.answers import equivalent, extract_answer, parseable
from rewards.latex import tidy, too_heavy

Reason = Literal["correct", "wrong", "no_answer", "timeout", "too_long", "gold_unparseable"]


@dataclass(frozen=True)
class Verdict:
    """`answer` is the extracted text, None exactly if the response has no final answer."""

    correct: bool
    reason: Reason
    answer: str | None


def verify(response: str, gold: str) -> Verdict:
    r"""Judge a response against a gold answer: plain, between dollars, or itself boxed. Never raises on strings.

    "too_long": the answer is longer, or would take more work, than any sensible one. "gold_unparseable": the gold is to
    blame, since nothing but its exact spelling could match.
    """
    answer = extract_answer(response)
    if "boxed" in gold or "fbox" in gold:
        gold = extract_answer(gold) or gold
    return Verdict((reason := _reason(answer, gold)) == "correct", reason, answer)


def _reason(answer: str | None, gold: str) -> Reason:
    if answer is not None and equivalent(answer, gold):
        return "correct"
    if not parseable(gold):
        return "gold_unparseable"
    if answer is None:
        return "no_answer"
    return "too_long" if too_heavy(tidy(answer)) else "wrong"
