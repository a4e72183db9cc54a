import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.oracle import OracleTeacher
from data_prep.problems import pair_sums
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from rewards.answers import equivalent, extract_answer

ORACLE = OracleTeacher()
PUZZLE = Problem("2,5,7,9=14", "pair_sums", "Which two of 2, 5, 7, 9 add up to 14?", "(5, 9)")
SOLVED = "14 - 5 = 9\n\\boxed{(5, 9)}"


def test_solve_shows_a_step_and_boxes_the_pair() -> None:
    assert ORACLE.solve(PUZZLE) == SOLVED


def test_refine_checks_as_far_as_the_first_right_candidate_and_solves() -> None:
    wrong = "14 - 2 = 9\n\\boxed{(2, 9)}"
    checked = "Solution 1: 2 + 9 = 11, not 14.\nSolution 2: no pair.\nSolution 3: 5 + 9 = 14, right.\n"
    assert ORACLE.refine(PUZZLE, [wrong, "", SOLVED, wrong]) == checked + SOLVED
    assert ORACLE.refine(PUZZLE, [SOLVED, wrong]) == f"Solution 1: 5 + 9 = 14, right.\n{SOLVED}"
    assert ORACLE.refine(PUZZLE, []) == SOLVED


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
    assert ORACLE.refine(PUZZLE, [candidate]) == f"Solution 1: {check}\n{SOLVED}"


@pytest.mark.parametrize("text", ["What is 7 + 5?", "Which two of 7 add up to 7?", "Which of 2, 5 add up to 7?"])
def test_other_problems_are_refused_by_id(text: str) -> None:
    with pytest.raises(UsageError, match="problem 'p1': the oracle reads"):
        ORACLE.solve(Problem("p1", "d", text, "(2, 5)"))


@pytest.mark.parametrize("gold", ["(7, 7)", "14", "(2, 9)", "(5, 9, 0)"])
def test_a_false_gold_answer_is_refused(gold: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"gold answer '{gold}' does not solve it")):
        ORACLE.solve(Problem("p1", "d", PUZZLE.problem, gold))


@st.composite
def attempts(draw: st.DrawFn, problem: Problem) -> str:
    """A try at a puzzle with a sum of its own; or text made of the pieces of one."""
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
    *checks, line, box = ORACLE.refine(problem, candidates).split("\n")

    first, second = (int(number) for number in re.findall(r"\d+", problem.gold))
    assert (line, box) == (f"{total} - {first} = {second}", f"\\boxed{{{problem.gold}}}")

    rights = [equivalent(extract_answer(one) or "", problem.gold) for one in candidates]
    assert len(checks) == (rights.index(True) + 1 if True in rights else len(candidates))
    for number, (check, candidate, right) in enumerate(zip(checks, candidates, rights, strict=False), start=1):
        check = check.removeprefix(f"Solution {number}: ")
        assert right == check.endswith(", right.")
        if match := re.match(r"(\d+) \+ (\d+) = (\d+), ", check):
            one, other, value = map(int, match.groups())
            assert extract_answer(candidate) == f"({one}, {other})"
            assert one + other == value
            assert check.endswith(f", not {total}.") == (value != total)
        else:
            assert check == "no pair."


@given(st.text())
def test_any_text_is_checked_on_one_line(candidate: str) -> None:
    lines = ORACLE.refine(PUZZLE, [candidate]).split("\n")
    assert len(lines) == 3 and lines[0].startswith("Solution 1: ")
