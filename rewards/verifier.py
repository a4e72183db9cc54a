"""The verdict on a response: whether its final answer equals the gold answer, and if not, why."""

from dataclasses import dataclass
from typing import Literal

from rewards.answers import compare, extract_answer, parseable
from rewards.latex import MAX_CHARS, tidy
from rewards.limits import too_heavy
from rewards.units import own_unit

Reason = Literal["correct", "wrong", "no_answer", "timeout", "too_long", "gold_unparseable"]


@dataclass(frozen=True)
class Verdict:
    """Verdict on an answer. `answer` is the extracted text, and None only if the response has no final answer.

    `unparsed` is set where an answer is wrong because it could be read neither as mathematics nor as words.
    """

    correct: bool
    reason: Reason
    answer: str | None
    unparsed: bool = False


def verify(response: str, gold: str) -> Verdict:
    r"""Judge a whole response by the final answer that it gives. Never raises on strings.

    >>> verify(r"Hence $x = \boxed{0.5}$.", r"\frac{1}{2}")
    Verdict(correct=True, reason='correct', answer='0.5', unparsed=False)
    >>> verify("I do not know.", "42").reason
    'no_answer'
    """
    return judge_answer(extract_answer(response), gold)


def judge_answer(answer: str | None, gold: str) -> Verdict:
    r"""Judge a final answer (None if there is none) against a gold answer. Never raises on strings.

    The gold may be plain, between dollars, or in a box. The reasons of a verdict are:

    - "correct", "wrong", "no_answer"
    - "timeout": the comparison took more time or memory than a worker of the pool may have
    - "too_long": the answer is longer, or would take more work, than any sensible answer
    - "gold_unparseable": the fault is the gold's, since nothing but its exact spelling could match

    >>> judge_answer("41", "$42$").reason, judge_answer("9^{9^{9}}", "42").reason, judge_answer("42", "").reason
    ('wrong', 'too_long', 'gold_unparseable')
    """
    if "boxed" in gold or "fbox" in gold:
        gold = extract_answer(gold) or gold
    if answer is None:
        return Verdict(False, "no_answer" if parseable(gold) else "gold_unparseable", None)
    judgement = compare(answer, gold)
    number = own_unit(tidy(gold)) if judgement in ("different", "unreadable") else None
    if number:  # a gold may have a unit that no list knows: 16\text{ daps}
        judgement = compare(answer, number)
    if judgement == "same":
        return Verdict(True, "correct", answer)
    if judgement == "timeout":
        return Verdict(False, "timeout", answer)
    if not parseable(gold):
        return Verdict(False, "gold_unparseable", answer)
    if len(answer) > MAX_CHARS or too_heavy(tidy(answer)):
        return Verdict(False, "too_long", answer)
    return Verdict(False, "wrong", answer, unparsed=judgement == "unreadable")
