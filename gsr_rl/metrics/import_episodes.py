"""Episodes made elsewhere: what a row leaves out and can be worked out is filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gsr_rl.errors import UsageError
from rewards.answers import extract_answer
from rewards.verifier import judge_answer

_RESPONSES = ("candidates", "refinements", "extra_candidates", "swapped_refinements")


@dataclass
class ForeignRows:
    """Fills in a row for `gsr_rl.episode.read_episodes`, and counts what it had to do.

    An answer is what the row gives (null or blank: there is none), else what its text says. `correct` is trusted where
    it is given, else the answer is judged against the gold, which is needed for nothing else. Numbers serve as text.
    `timeouts` and `bad_golds` count the verdicts that are wrong for such a reason alone (`rewards.verifier`).
    """

    extracted: int = 0
    judged: int = 0
    timeouts: int = 0
    bad_golds: int = 0

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row that `Episode.from_dict` takes, where nothing is wrong beyond what is left out.

        Raises:
            UsageError: a response with neither answer nor text; a gold that is needed and not there; no candidates.
        """
        gold = _text(row.get("gold"))
        filled = row | {"id": _text(row["id"])} if "id" in row else dict(row)
        filled |= {"problem": row.get("problem") or "", "gold": "" if gold is None else gold}
        for key in _RESPONSES:
            if isinstance(row.get(key), list):
                filled[key] = [self._response(one, f"{key}[{i}]", filled["gold"]) for i, one in enumerate(row[key])]
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
            answer = _text(item["answer"])
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


def _text(value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else value
