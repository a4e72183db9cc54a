import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.oracle import OracleTeacher
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from rewards.answers import equivalent, extract_answer

ORACLE = OracleTeacher()
SUM = Problem("7+5-3", "arithmetic", "What is 7 + 5 - 3?", "9")
STEPS, BOX = "7 + 5 = 12\n12 - 3 = 9", "\\boxed{9}"
SOLVED = f"{STEPS}\n{BOX}"


def test_solve_goes_from_left_to_right() -> None:
    assert ORACLE.solve(SUM) == SOLVED
    below_zero = Problem("x", "arithmetic", "What is 2 - 9 + 4?", "-3")
    assert ORACLE.solve(below_zero) == "2 - 9 = -7\n-7 + 4 = -3\n\\boxed{-3}"


def test_refine_solves_judges_every_candidate_in_order_and_answers() -> None:
    refined = ORACLE.refine(SUM, ["7 + 5 = 13\n13 - 3 = 10\n\\boxed{10}", SOLVED])
    assert refined == f"{STEPS}\nSolution 1: 7 + 5 is 12, not 13.\nSolution 2: correct.\n{BOX}"


@pytest.mark.parametrize(
    ("candidate", "judged"),
    [
        (SOLVED, "correct."),
        ("It must be \\boxed{9}", "correct."),
        ("7 + 5 = 12\n12 - 3 = 8\n\\boxed{8}", "12 - 3 is 9, not 8."),
        # The first error counts, also if a second one mends the answer.
        ("7 + 5 = 13\n13 - 3 = 9\n\\boxed{9}", "7 + 5 is 12, not 13."),
        # A miscopied operand, right or left; the steps hold, but lead elsewhere.
        ("7 + 5 = 12\n12 - 4 = 8\n\\boxed{8}", "step 2 is 12 - 3, not 12 - 4."),
        ("7 + 5 = 12\n11 - 3 = 8\n\\boxed{8}", "step 2 is 12 - 3, not 11 - 3."),
        ("7 + 6 = 13\n13 - 3 = 10\n\\boxed{10}", "step 1 is 7 + 5, not 7 + 6."),
        # Another order of the same terms is no error; a false step in it is one.
        ("5 - 3 = 2\n7 + 2 = 9\n\\boxed{9}", "correct."),
        ("7 - 3 = 4\n4 + 5 = 8\n\\boxed{8}", "4 + 5 is 9, not 8."),
        ("5 - 3 = 2\n\\boxed{2}", "the answer 2 is wrong."),
        # Steps repeated, or not of this sum at all, accuse nobody.
        ("7 + 5 = 12\n7 + 5 = 12\n12 - 3 = 9\n\\boxed{11}", "the answer 11 is wrong."),
        ("10 + 2 = 12\n\\boxed{12}", "the answer 12 is wrong."),
        ("2 * 7 + 5 = 19\n7 + 5 - 3 = 11\n\\boxed{11}", "the answer 11 is wrong."),
        ("\\boxed{\\text{a lot}}", "the answer is wrong."),
        ("7 + 5 = 12\n12 - 3 = 9", "no answer."),
        ("7 + 5 = 12\n12 -", "no answer."),
        ("", "no answer."),
    ],
)
def test_judgement(candidate: str, judged: str) -> None:
    assert ORACLE.refine(SUM, [candidate]) == f"{STEPS}\nSolution 1: {judged}\n{BOX}"


@pytest.mark.parametrize("text", ["What is 7?", "What is 7 * 5?", "What is 2 * 7 + 5?", "What is half of 7 + 5?"])
def test_other_problems_are_refused_by_id(text: str) -> None:
    with pytest.raises(UsageError, match="problem 'p1'"):
        ORACLE.solve(Problem("p1", "d", text, "12"))


def test_a_false_gold_answer_is_refused() -> None:
    with pytest.raises(UsageError, match=r"gold answer '10', but it is 9"):
        ORACLE.solve(Problem("7+5-3", "d", SUM.problem, "10"))


@st.composite
def sums(draw: st.DrawFn) -> tuple[Problem, list[int]]:
    terms = [draw(st.integers(0, 20)), *draw(st.lists(st.integers(-20, 20), min_size=1, max_size=3))]
    expression = str(terms[0]) + "".join(f" {'-' if term < 0 else '+'} {abs(term)}" for term in terms[1:])
    return Problem(expression, "d", f"What is {expression}?", str(sum(terms))), terms


@st.composite
def attempts(draw: st.DrawFn, terms: list[int]) -> str:
    """A worked solution, step by step from left to right, with slips; or text made of the pieces of one."""
    if draw(st.integers(0, 4)) == 4:
        pieces = st.sampled_from(["7", "12", " ", "+", "-", "=", "\n", "\\boxed{", "}", "12 - 3 = 9\n", "is", "."])
        return "".join(draw(st.lists(pieces, max_size=25)))
    slip = st.sampled_from([0] * 8 + [1, -1, 10])
    lines, running = [], terms[0]
    for term in terms[1:]:
        copied = abs(term) + draw(slip)
        result = (running - copied if term < 0 else running + copied) + draw(slip)
        lines.append(f"{running} {'-' if term < 0 else '+'} {copied} = {result}")
        running = result
    lines.append(f"\\boxed{{{running + draw(slip)}}}")
    return "\n".join(lines[: draw(st.sampled_from([None, None, None, -1]))])


STEP = r"(-?\d+ [+-] -?\d+)"


def value(step: str) -> int:
    left, operator, right = step.split()
    return int(left) + (int(right) if operator == "+" else -int(right))


@given(st.data())
def test_everything_the_oracle_says_is_true(data: st.DataObject) -> None:
    problem, terms = data.draw(sums())
    candidates = data.draw(st.lists(attempts(terms), max_size=4))
    *refined, box = ORACLE.refine(problem, candidates).split("\n")
    solution, judged = [*refined[: len(terms) - 1], box], refined[len(terms) - 1 :]

    assert solution == ORACLE.solve(problem).split("\n")
    assert len(judged) == len(candidates)
    assert len(solution) == len(terms) and solution[-1] == f"\\boxed{{{sum(terms)}}}"
    for line in solution[:-1]:
        step, result = line.split(" = ")
        assert value(step) == int(result)

    for number, (line, candidate) in enumerate(zip(judged, candidates, strict=True), start=1):
        judgement = line.removeprefix(f"Solution {number}: ")
        answer, written = extract_answer(candidate), [text.strip() for text in candidate.splitlines()]
        right = answer is not None and equivalent(answer, problem.gold)
        if judgement == "correct.":
            assert right
        elif judgement == "no answer.":
            assert answer is None
        elif match := re.fullmatch(r"the answer (?:(-?\d+) )?is wrong\.", judgement):
            assert not right and match[1] in (None, answer)
        elif match := re.fullmatch(STEP + r" is (-?\d+), not (-?\d+)\.", judgement):
            step, result, claimed = match.groups()
            assert value(step) == int(result) != int(claimed)
            assert any(text.startswith(f"{step} = {claimed}") for text in written)
        else:
            match = re.fullmatch(rf"step (\d+) is {STEP}, not {STEP}\.", judgement)
            assert match is not None and not right
            index, due, copied = int(match[1]) - 1, match[2], match[3]
            assert solution[index] == f"{due} = {value(due)}"
            assert due != copied and any(text.startswith(f"{copied} = {value(copied)}") for text in written)


@given(st.text())
def test_any_text_is_judged_on_one_line(candidate: str) -> None:
    lines = ORACLE.refine(SUM, [candidate]).split("\n")
    assert len(lines) == 4 and lines[2].startswith("Solution 1: ")
    assert ORACLE.refine(SUM, [candidate]) == "\n".join(lines)
