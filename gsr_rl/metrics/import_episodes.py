"""Episodes that another program wrote: fills in what a row leaves out, where it follows from the rest of the row."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gsr_rl.errors import UsageError
from rewards.answers import extract_answer
from rewards.verifier import judge_answer

_RESPONSES = ("candidates", "refinements", "extra_candidates", "swapped_refinements")


@dataclass
class RowImporter:
    """Completes rows for `gsr_rl.episode.read_episodes`, and counts what it had to do.

    - A response's answer is the row's "answer" (null or blank: no answer). Where the key is missing, the answer is
      extracted from the text.
    - "correct" is trusted where it is given. Otherwise the answer is judged against "gold"; nothing else needs "gold".
    - Numbers are accepted as texts in "id", "gold" and "answer".

    Attributes:
        extracted: answers that were extracted from texts.
        judged: responses that were judged.
        timeouts, bad_golds: verdicts that are wrong only because the comparison took too long, or because the gold
            answer cannot be parsed (`rewards.verifier`).
    """

    extracted: int = 0
    judged: int = 0
    timeouts: int = 0
    bad_golds: int = 0

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The completed row, for `Episode.from_dict`, which reports all that is still wrong with it.

        Raises:
            UsageError: a response has neither answer nor text; a gold that is needed is missing; no candidates; an id,
                a gold or an answer that is NaN or infinite.
        """
        gold = _text(row.get("gold"), "gold")
        filled = row | {"id": _text(row["id"], "id")} if "id" in row else dict(row)
        filled |= {"problem": row.get("problem") or "", "gold": "" if gold is None else gold}
        for key in _RESPONSES:
            if isinstance(row.get(key), list):
                filled[key] = [self._response(item, f"{key}[{i}]", filled["gold"]) for i, item in enumerate(row[key])]
            elif key in row and row[key] is None and key != "candidates":
                del filled[key]
        if filled.get("candidates") == []:
            raise UsageError('"candidates" is empty; write at least one response there, or leave the row out')
        return filled

    def _response(self, item: Any, where: str, gold: Any) -> Any:
        if not isinstance(item, Mapping):
            return item
        answer = self._answer(item, where)
        correct = item.get("correct")
        if correct is None and (answer is None or isinstance(answer, str)):
            correct = self._judge(answer, where, gold)
        return {**item, "text": item.get("text") or "", "answer": answer, "correct": correct}

    def _answer(self, item: Mapping[str, Any], where: str) -> Any:
        if "answer" in item:
            answer = _text(item["answer"], f"{where}.answer")
            return None if isinstance(answer, str) and not answer.strip() else answer
        if not isinstance(item.get("text"), str):
            raise UsageError(f'"{where}.answer" and "{where}.text" are missing; write one of them')
        self.extracted += 1
        return extract_answer(item["text"])

    def _judge(self, answer: str | None, where: str, gold: Any) -> bool:
        self.judged += 1
        if answer is None:
            return False
        if not isinstance(gold, str) or not gold.strip():
            raise UsageError(f'"gold" is missing, and so is "{where}.correct"; write one of them')
        verdict = judge_answer(answer, gold)
        self.timeouts += verdict.reason == "timeout"
        self.bad_golds += verdict.reason == "gold_unparseable"
        return verdict.correct


def _text(value: Any, key: str) -> Any:
    """A number as text; anything else as it is, for `Episode.from_dict` to report."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    if not math.isfinite(value):
        raise UsageError(f'"{key}" is {value}, which is no number and no text; write the value, or null')
    return str(value)
