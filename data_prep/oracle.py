"""The oracle teacher of the pair sums: a solver that is always right, not a language model."""

import itertools
import re
from collections.abc import Sequence
from typing import Protocol

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


# The length caps keep int() below Python's limit on conversions from text.
_PUZZLE = re.compile(r"Which two of (\d{1,9}(?:, \d{1,9})+) add up to (\d{1,9})\?", re.ASCII)
_PAIR = re.compile(r"\((\d{1,9}), ?(\d{1,9})\)", re.ASCII)


class OracleTeacher:
    """Worked solutions of `pair_sums`.

    Raises:
        UsageError: a problem of another form, or one whose gold answer does not solve it; names the problem's id.
    """

    def solve(self, problem: Problem) -> str:
        """Such as "14 - 5 = 9" and, on the next line, "\\boxed{(5, 9)}".

        A step that is easy, after a choice that is hard: whoever begins with the third number is led astray.
        """
        first, second = _solution(problem)
        return f"{first + second} - {first} = {second}\n\\boxed{{({first}, {second})}}"

    def refine(self, problem: Problem, candidates: Sequence[str]) -> str:
        """A check of each candidate's answer on a line of its own, as far as the first that is right; then `solve`."""
        solution = _solution(problem)
        checks = []
        for index, candidate in enumerate(candidates, start=1):
            pair = _PAIR.fullmatch(extract_answer(candidate) or "")
            checks.append(f"Solution {index}: {_check(pair, solution)}")
            if pair and (int(pair[1]), int(pair[2])) == solution:
                break
        return "\n".join([*checks, self.solve(problem)])


def _solution(problem: Problem) -> tuple[int, int]:
    puzzle = _PUZZLE.fullmatch(problem.problem.strip())
    if puzzle is None:
        reads = "the oracle reads 'Which two of 2, 5, 9 add up to 14?' alone"
        raise UsageError(f"problem '{problem.id}': {reads}; use another teacher")
    for first, second in itertools.combinations(map(int, puzzle[1].split(", ")), 2):
        if first + second == int(puzzle[2]) and equivalent(f"({first}, {second})", problem.gold):
            return first, second
    raise UsageError(f"problem '{problem.id}': gold answer '{problem.gold}' does not solve it; mend the answer")


def _check(pair: re.Match[str] | None, solution: tuple[int, int]) -> str:
    if pair is None:
        return "no pair."
    first, second = int(pair[1]), int(pair[2])
    if first + second != sum(solution):
        return f"{first} + {second} = {first + second}, not {sum(solution)}."
    right = (first, second) == solution
    return f"{first} + {second} = {first + second}, {'right' if right else 'but not of these numbers'}."
