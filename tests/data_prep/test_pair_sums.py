"""Pair sums: each puzzle has one solution; everything that the oracle writes about it is true."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.pair_sums import pair_sums, refine, solve, solve_by_checks
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from rewards.answers import equivalent, extract_answer

PUZZLE = Problem("2,5,7,9=14", "pair_sums", "Which two of 2, 5, 7, 9 add up to 14?", "(5, 9)")
SOLVED = "14 - 5 = 9\n\\boxed{(5, 9)}"


@pytest.mark.parametrize(("numbers", "largest"), [(2, 9), (4, 9), (5, 15), (6, 30)])
def test_a_pair_sum_has_one_solution_and_its_gold_answer_is_that(numbers: int, largest: int) -> None:
    problems = pair_sums(30, seed=3, numbers=numbers, largest=largest, name="pairs")
    assert len({problem.problem for problem in problems}) == len({problem.id for problem in problems}) == 30
    for problem in problems:
        *listed, total = (int(number) for number in re.findall(r"\d+", problem.problem))
        solutions = [pair for pair in itertools.combinations(listed, 2) if sum(pair) == total]
        assert [str(pair) for pair in solutions] == [problem.gold]
        assert problem.dataset == "pairs"
        assert problem.id == f"{','.join(map(str, listed))}={total}"
        assert len(set(listed)) == numbers and min(listed) >= 1 and max(listed) <= largest
    assert problems == pair_sums(30, seed=3, numbers=numbers, largest=largest, name="pairs")
    assert problems != pair_sums(30, seed=4, numbers=numbers, largest=largest, name="pairs")


def test_pair_sums_fill_their_space_and_no_more() -> None:
    # Three of the numbers 1, 2, 3, 4: there are 4 triples, and each has three pairs with different sums, 12 puzzles.
    assert len(pair_sums(12, seed=0, numbers=3, largest=4)) == 12
    with pytest.raises(UsageError, match="give 12 puzzles, not 13; ask for fewer"):
        pair_sums(13, seed=0, numbers=3, largest=4)


@pytest.mark.parametrize(("n", "numbers", "largest"), [(0, 3, 9), (1, 1, 9), (1, 4, 3)])
def test_impossible_pair_sums_are_refused(n: int, numbers: int, largest: int) -> None:
    with pytest.raises(UsageError, match="pair sums: n="):
        pair_sums(n, seed=0, numbers=numbers, largest=largest)


def test_solve_shows_a_step_and_boxes_the_pair() -> None:
    assert solve(PUZZLE) == SOLVED


def test_refine_checks_as_far_as_the_first_right_candidate_and_solves() -> None:
    wrong = "14 - 2 = 9\n\\boxed{(2, 9)}"
    checked = "Solution 1: 2 + 9 = 11, not 14.\nSolution 2: no pair.\nSolution 3: 5 + 9 = 14, right.\n"
    assert refine(PUZZLE, [wrong, "", SOLVED, wrong]) == checked + SOLVED
    assert refine(PUZZLE, [SOLVED, wrong]) == f"Solution 1: 5 + 9 = 14, right.\n{SOLVED}"
    assert refine(PUZZLE, []) == SOLVED


@pytest.mark.parametrize(
    ("candidate", "check"),
    [
        ("It must be \\boxed{(5,9)}", "5 + 9 = 14, right."),
        ("5 + 9 = 13\n\\boxed{(5, 9)}", "5 + 9 = 14, right."),
        ("5 + 9 = 14\n\\boxed{(5, 7)}", "5 + 7 = 12, not 14."),
        ("\\boxed{(6, 8)}", "6 + 8 = 14, but not of these numbers."),
        ("\\boxed{(7, 7)}", "7 + 7 = 14, but not of these numbers."),
        ("\\boxed{(2, 5, 7)}", "no pair."),
        ("\\boxed{14}", "no pair."),
        ("5 + 9 = 14", "no pair."),
    ],
)
def test_check(candidate: str, check: str) -> None:
    assert refine(PUZZLE, [candidate]) == f"Solution 1: {check}\n{SOLVED}"


@pytest.mark.parametrize("text", ["What is 7 + 5?", "Which two of 7 add up to 7?", "Which of 2, 5 add up to 7?"])
def test_other_problems_are_refused_by_id(text: str) -> None:
    with pytest.raises(UsageError, match="problem 'p1': the oracle reads"):
        solve(Problem("p1", "d", text, "(2, 5)"))


@pytest.mark.parametrize("gold", ["(7, 7)", "14", "(2, 9)", "(5, 9, 0)"])
def test_a_false_gold_answer_is_refused(gold: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"gold answer '{gold}' does not solve it")):
        solve(Problem("p1", "d", PUZZLE.problem, gold))


@st.composite
def attempts(draw: st.DrawFn, problem: Problem) -> str:
    """A candidate that adds two of the puzzle's numbers, rightly or not; or text made of pieces of such a candidate."""
    if draw(st.integers(0, 4)) == 4:
        pieces = st.sampled_from(["7", "12", " ", "+", "=", "\n", "\\boxed{", "}", "(1, 2)", "(", ", "])
        return "".join(draw(st.lists(pieces, max_size=25)))
    first, second = (draw(st.sampled_from(re.findall(r"\d+", problem.problem))) for _ in range(2))
    return f"{first} + {second} = {draw(st.integers(0, 30))}\n\\boxed{{({first}, {second})}}"


@given(st.data())
def test_everything_the_oracle_says_is_true(data: st.DataObject) -> None:
    problem = data.draw(st.sampled_from(pair_sums(40, seed=0, numbers=5, largest=15)))
    total = int(re.findall(r"\d+", problem.problem)[-1])
    candidates = data.draw(st.lists(attempts(problem), max_size=4))
    *checks, line, box = refine(problem, candidates).split("\n")

    first, second = (int(number) for number in re.findall(r"\d+", problem.gold))
    assert (line, box) == (f"{total} - {first} = {second}", f"\\boxed{{{problem.gold}}}")

    rights = [equivalent(extract_answer(candidate) or "", problem.gold) for candidate in candidates]
    assert len(checks) == (rights.index(True) + 1 if True in rights else len(candidates))
    for number, (check, candidate, right) in enumerate(zip(checks, candidates, rights, strict=False), start=1):
        check = check.removeprefix(f"Solution {number}: ")
        assert right == check.endswith(", right.")
        if match := re.match(r"(\d+) \+ (\d+) = (\d+), ", check):
            left, right_number, value = map(int, match.groups())
            assert extract_answer(candidate) == f"({left}, {right_number})"
            assert left + right_number == value
            assert check.endswith(f", not {total}.") == (value != total)
        else:
            assert check == "no pair."


@given(st.text())
def test_any_text_is_checked_on_one_line(candidate: str) -> None:
    lines = refine(PUZZLE, [candidate]).split("\n")
    assert len(lines) == 3 and lines[0].startswith("Solution 1: ")


def test_checked_solutions_try_pairs_until_the_right_one_and_box_it() -> None:
    problem = Problem("2,5,9=14", "pair_sums", "Which two of 2, 5, 9 add up to 14?", "(5, 9)")
    *checks, right, box = solve_by_checks(problem).split("\n")
    assert set(checks) <= {"2 + 5 = 7, not 14.", "2 + 9 = 11, not 14."}
    assert len(set(checks)) == len(checks)
    assert right == "5 + 9 = 14, right."
    assert box == "\\boxed{(5, 9)}"
    assert solve_by_checks(problem) == solve_by_checks(problem)


def test_checked_solutions_of_many_puzzles_begin_with_any_pair() -> None:
    problems = pair_sums(60, seed=0, numbers=3, largest=15)
    tries = [len(solve_by_checks(problem).split("\n")) - 1 for problem in problems]
    # Three pairs in random order: one, two or three checks, each for about a third of the puzzles.
    assert {n: 10 <= tries.count(n) <= 30 for n in (1, 2, 3)} == {1: True, 2: True, 3: True}
    assert len(tries) == sum(tries.count(n) for n in (1, 2, 3))
