"""The verdict on one response: its final answer against the gold answer, with the reason why it failed."""

from dataclasses import dataclass
from typing import Literal

from rewards.answers import compare, extract_answer, parseable
from rewards.latex import MAX_CHARS, tidy
from rewards.limits import too_heavy

Reason = Literal["correct", "wrong", "no_answer", "timeout", "too_long", "gold_unparseable"]
REASONS: tuple[Reason, ...] = ("correct", "wrong", "no_answer", "timeout", "too_long", "gold_unparseable")


@dataclass(frozen=True)
class Verdict:
    """`answer` is the extracted text, None exactly if the response has no final answer.

    `unparsed` is set where an answer is wrong because nothing could read it as mathematics or words.
    """

    correct: bool
    reason: Reason
    answer: str | None
    unparsed: bool = False


def verify(response: str, gold: str) -> Verdict:
    """Judge a whole response: `judge_answer` of the answer that it gives. Never raises on strings."""
    return judge_answer(extract_answer(response), gold)


def judge_answer(answer: str | None, gold: str) -> Verdict:
    r"""Judge a final answer against a gold answer: plain, between dollars, or itself boxed. Never raises on strings.

    "timeout": the comparison took more time or memory than a worker of the pool may have. "too_long": the answer is
    longer, or would take more work, than any sensible one. "gold_unparseable": the gold is to blame, since nothing but
    its exact spelling could match.
    """
    if "boxed" in gold or "fbox" in gold:
        gold = extract_answer(gold) or gold
    if answer is None:
        return Verdict(False, "no_answer" if parseable(gold) else "gold_unparseable", None)
    judgement = compare(answer, gold)
    if judgement == "same":
        return Verdict(True, "correct", answer)
    if judgement == "timeout":
        return Verdict(False, "timeout", answer)
    if not parseable(gold):
        return Verdict(False, "gold_unparseable", answer)
    if len(answer) > MAX_CHARS or too_heavy(tidy(answer)):
        return Verdict(False, "too_long", answer)
    return Verdict(False, "wrong", answer, unparsed=judgement == "unreadable")
