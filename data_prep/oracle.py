"""The oracle teacher of the arithmetic problems: a solver that is always right, not a language model."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from rewards.answers import equivalent, extract_answer


class Teacher(Protocol):
    """Writes the targets of supervised fine-tuning. An LLM teacher is one more class with these two methods."""

    def solve(self, problem: Problem) -> str:
        """A direct solution."""
        ...

    def refine(self, problem: Problem, candidates: Sequence[str]) -> str:
        """A refined solution, given the candidates' texts as the student sees them, in that order."""
        ...


class Step(NamedTuple):
    """One sum or difference of two integers."""

    left: int
    operator: str
    right: int

    @property
    def term(self) -> int:
        """The right operand with the operator's sign."""
        return self.right if self.operator == "+" else -self.right

    @property
    def value(self) -> int:
        return self.left + self.term

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


# The length cap keeps int() below Python's limit on conversions from text.
_NUMBER = r"(-?\d{1,1000})"
_QUESTION = re.compile(rf"What is {_NUMBER}((?: [+-] \d{{1,1000}})+)\?", re.ASCII)
_WRITTEN_STEP = re.compile(rf"{_NUMBER} ?([+-]) ?{_NUMBER} ?= ?{_NUMBER}\.?", re.ASCII)


class OracleTeacher:
    """Worked solutions of `arithmetic_problems`, from left to right, one step a line.

    Raises:
        UsageError: a problem of another form, or one whose gold answer is not its value; names the problem's id.
    """

    def solve(self, problem: Problem) -> str:
        """Such as "7 + 5 = 12", "12 - 3 = 9", "\\boxed{9}", each on a line of its own."""
        steps = _steps(problem)
        return "\n".join([*(f"{step} = {step.value}" for step in steps), f"\\boxed{{{steps[-1].value}}}"])

    def refine(self, problem: Problem, candidates: Sequence[str]) -> str:
        """The oracle's own steps, then one line a candidate (its first error, else whether its answer is right), then
        the boxed answer. Its own steps come first, so that a small model can lean on them when it judges."""
        steps = _steps(problem)
        *solution, answer = self.solve(problem).split("\n")
        judged = [f"Solution {i}: {_judge(text, steps)}" for i, text in enumerate(candidates, start=1)]
        return "\n".join([*solution, *judged, answer])


def _steps(problem: Problem) -> list[Step]:
    question = _QUESTION.fullmatch(problem.problem.strip())
    if question is None:
        raise UsageError(f"problem '{problem.id}': the oracle reads 'What is 7 + 5 - 3?' alone; use another teacher")
    steps: list[Step] = []
    running = int(question[1])
    for operator, right in re.findall(r"([+-]) (\d+)", question[2]):
        steps.append(Step(running, operator, int(right)))
        running = steps[-1].value
    if not equivalent(str(running), problem.gold):
        raise UsageError(f"problem '{problem.id}': gold answer '{problem.gold}', but it is {running}; mend the answer")
    return steps


def _judge(candidate: str, steps: Sequence[Step]) -> str:
    answer = extract_answer(candidate)
    right = answer is not None and equivalent(answer, str(steps[-1].value))
    if error := _first_error(candidate, steps, right):
        return error
    if answer is None:
        return "no answer."
    if right:
        return "correct."
    return f"the answer {answer} is wrong." if re.fullmatch(r"-?[0-9]{1,12}", answer) else "the answer is wrong."


def _first_error(candidate: str, steps: Sequence[Step], right: bool) -> str | None:
    """The first wrong step among the lines "a + b = c" of a candidate; all other lines are passed over.

    A step is wrong if it does not hold. In a solution with a wrong answer it is wrong as well if it miscopies one
    operand of the step that is due. A true step that adds up terms in another order is no error.
    """
    pending = Counter([steps[0].left, *(step.term for step in steps)])
    done: list[Step] = []
    for line in candidate.splitlines():
        match = _WRITTEN_STEP.fullmatch(line.strip())
        if match is None:
            continue
        written = Step(int(match[1]), match[2], int(match[3]))
        if int(match[4]) != written.value:
            return f"{written} is {written.value}, not {int(match[4])}."
        operands = Counter([written.left, written.term])
        if operands <= pending:
            pending = pending - operands + Counter([written.value])
            done.append(written)
        elif not right and written not in done and done == list(steps[: len(done)]) and len(done) < len(steps):
            due = steps[len(done)]
            if written.left == due.left or written.term == due.term:
                return f"step {len(done) + 1} is {due}, not {written}."
    return None
