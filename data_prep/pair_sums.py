"""Pair sums: puzzles such as "Which two of 2, 5, 7, 9 add up to 14?", and the oracle that solves them.

The oracle is a solver that is always right, not a language model. It writes targets for supervised fine-tuning.
"""

import itertools
import random
import re
from collections.abc import Sequence

from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from rewards.answers import equivalent, extract_answer

# At most nine digits: that keeps int() below Python's limit on conversions from text.
_PUZZLE = re.compile(r"Which two of (\d{1,9}(?:, \d{1,9})+) add up to (\d{1,9})\?", re.ASCII)
_PAIR = re.compile(r"\((\d{1,9}), ?(\d{1,9})\)", re.ASCII)


def pair_sums(n: int, *, seed: int, numbers: int, largest: int, name: str = "pair_sums") -> list[Problem]:
    """Draw `n` distinct puzzles with one solution each.

    A solution is easier to check than to find. A vote over several tries therefore often fails although one of them is
    right, and a refinement that checks the tries need not fail.

    Args:
        numbers: how many distinct numbers a puzzle has. They are listed in rising order.
        largest: upper bound of the numbers, which are drawn uniformly from 1 up to it.
        name: the problems' dataset.

    Returns:
        Problems whose gold answer is the pair, "(5, 9)", and whose id is the puzzle, such as "2,5,7,9=14".

    Raises:
        UsageError: a setting is out of range, or there are fewer than `n` puzzles.
    """
    if n < 1 or numbers < 2 or largest < numbers:
        raise UsageError(
            f"pair sums: {n=}, {numbers=}, {largest=}; n must be at least 1, numbers at least 2, and largest at least "
            "numbers"
        )
    rng = random.Random(seed)
    drawn: dict[str, Problem] = {}
    for _ in range(1000 * n):
        listed = sorted(rng.sample(range(1, largest + 1), numbers))
        pair = sorted(rng.sample(listed, 2))
        total = sum(pair)
        if sum(sum(other) == total for other in itertools.combinations(listed, 2)) > 1:
            continue
        text = ", ".join(map(str, listed))
        problem_id = f"{text}={total}".replace(" ", "")
        question = f"Which two of {text} add up to {total}?"
        drawn[problem_id] = Problem(problem_id, name, question, f"({pair[0]}, {pair[1]})")
        if len(drawn) == n:
            return list(drawn.values())
    raise UsageError(f"pair sums: {numbers=}, {largest=} give {len(drawn)} puzzles, not {n}; ask for fewer")


def solve(problem: Problem) -> str:
    r"""The oracle's direct solution: "14 - 5 = 9" and, on the next line, "\boxed{(5, 9)}".

    It shows an easy step after a hard choice: whoever begins with a wrong number is led astray.

    Raises:
        UsageError: the problem is no pair sum, or its gold answer does not solve it. The error names the problem's id.
    """
    first, second = _solution(problem)
    return f"{first + second} - {first} = {second}\n\\boxed{{({first}, {second})}}"


def solve_by_checks(problem: Problem) -> str:
    r"""A direct solution that checks one pair after another: "2 + 9 = 11, not 14.", "5 + 9 = 14, right.", and the box.

    The order of the pairs is drawn by the problem's id. It is the hardest known rival of refinement on this puzzle.

    Raises:
        UsageError: as `solve`.
    """
    solution = _solution(problem)
    pairs = list(itertools.combinations(_numbers(problem), 2))
    random.Random(problem.id).shuffle(pairs)
    lines: list[str] = []
    for first, second in pairs:
        total = first + second
        lines.append(f"{first} + {second} = {total}, {'right' if total == sum(solution) else f'not {sum(solution)}'}.")
        if (first, second) == solution:
            return "\n".join([*lines, f"\\boxed{{({first}, {second})}}"])
    raise AssertionError("the solution is a pair of the puzzle's numbers")


def refine(problem: Problem, candidates: Sequence[str]) -> str:
    """The oracle's refinement: one line that checks each candidate, up to the first right one, and then `solve`.

    Args:
        candidates: the candidates' texts as the student sees them, in the same order. They may be none.

    Raises:
        UsageError: as `solve`.
    """
    solution = _solution(problem)
    checks = []
    for index, candidate in enumerate(candidates, start=1):
        pair = _PAIR.fullmatch(extract_answer(candidate) or "")
        checks.append(f"Solution {index}: {_check(pair, solution)}")
        if pair and (int(pair[1]), int(pair[2])) == solution:
            break
    return "\n".join([*checks, solve(problem)])


def _numbers(problem: Problem) -> list[int]:
    puzzle = _PUZZLE.fullmatch(problem.problem.strip())
    return [int(number) for number in puzzle[1].split(", ")] if puzzle else []


def _solution(problem: Problem) -> tuple[int, int]:
    puzzle = _PUZZLE.fullmatch(problem.problem.strip())
    if puzzle is None:
        reads = "the oracle reads only puzzles such as 'Which two of 2, 5, 9 add up to 14?'"
        raise UsageError(f"problem '{problem.id}': {reads}; use another teacher")
    for first, second in itertools.combinations(map(int, puzzle[1].split(", ")), 2):
        if first + second == int(puzzle[2]) and equivalent(f"({first}, {second})", problem.gold):
            return first, second
    raise UsageError(f"problem '{problem.id}': gold answer '{problem.gold}' does not solve it; fix the answer")


def _check(pair: re.Match[str] | None, solution: tuple[int, int]) -> str:
    if pair is None:
        return "no pair."
    first, second = int(pair[1]), int(pair[2])
    if first + second != sum(solution):
        return f"{first} + {second} = {first + second}, not {sum(solution)}."
    right = (first, second) == solution
    return f"{first} + {second} = {first + second}, {'right' if right else 'but not of these numbers'}."
