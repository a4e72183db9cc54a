"""Knights and Knaves: every puzzle is parsed from its text and solved again, by another method."""

import itertools
import re
from collections import Counter

import pytest

from data_prep.knights import NAMES, benchmark, knights_knaves
from gsr_rl.errors import UsageError
from rewards.answers import equivalent, parseable

NUMBERS = ["none", "one", "two", "three", "four", "five", "six", "seven", "eight"]


def holds(said: str, speaker: str, knights: frozenset[str]) -> bool:
    """Whether a statement holds, parsed from its words, if `knights` are the knights."""

    def is_(part: str) -> bool:
        words = part.removesuffix(".").split()
        person = speaker if words[0] == "I" else words[0]
        return (person in knights) == (words[-1] == "knight")

    if said == "None of us is a knight.":
        return not knights
    if counted := re.fullmatch(r"Exactly (\w+) of us (?:are knights|is a knight)\.", said):
        return len(knights) == NUMBERS.index(counted[1])
    if alike := re.fullmatch(r"(\w+) and (\w+) are of the same kind\.", said):
        a, b = (speaker if name == "I" else name for name in alike.groups())
        return (a in knights) == (b in knights)
    if conditional := re.fullmatch(r"If (.*), then (.*)", said):
        return is_(conditional[2]) if is_(conditional[1]) else True
    for word, both in ((" and ", all), (" or ", any)):
        if word in said:
            return both(is_(part) for part in said.split(word))
    return is_(said)


def solve(text: str) -> list[str]:
    claims = re.findall(r'^(\w+): "(.*)"$', text, re.M)
    names = [name for name, _ in claims]
    found = []
    for size in range(len(names) + 1):
        for some in itertools.combinations(names, size):
            if all(holds(said, name, frozenset(some)) == (name in some) for name, said in claims):
                found.append(", ".join(some) or "none")
    return found


def test_each_puzzle_has_one_solution_and_that_is_its_gold_answer() -> None:
    problems = knights_knaves(140, seed=5, people=range(2, 9))
    assert [int(problem.id.split("-")[0]) for problem in problems] == [*range(2, 9)] * 20
    for problem in problems:
        assert solve(problem.problem) == [problem.gold]
        assert problem.problem.count('"\n') == int(problem.id.split("-")[0])
    texts = "\n".join(problem.problem for problem in problems)
    for form in (" or ", "If ", "same kind", "None of us", "Exactly two", " and "):
        assert form in texts


def test_the_same_seed_draws_the_same_puzzles_and_no_puzzle_twice() -> None:
    problems = knights_knaves(300, seed=1, people=[2])
    assert problems == knights_knaves(300, seed=1, people=[2]) != knights_knaves(300, seed=2, people=[2])
    assert len({problem.id for problem in problems}) == len({problem.problem for problem in problems}) == 300


def test_golds_are_verifiable() -> None:
    assert all(parseable(name) for name in (*NAMES, "none"))
    assert not any(equivalent(a, b) for a, b in itertools.combinations((*NAMES, "none"), 2))
    assert equivalent(r"\text{Ada, Hugo, Iris}", "Ada, Hugo, Iris") and equivalent("Hugo and Ada", "Ada, Hugo")
    assert not equivalent("Ada, Hugo", "Ada, Hugo, Iris") and not equivalent("Ada", "Ada, Hugo")


def test_the_evaluation_set_is_fixed() -> None:
    puzzles = benchmark()
    assert Counter(puzzle.id.split("-")[0] for puzzle in puzzles) == dict.fromkeys("234567", 100)
    assert {puzzle.dataset for puzzle in puzzles} == {"knights_knaves"}
    assert puzzles[0].id == benchmark()[0].id


@pytest.mark.parametrize(("n", "people"), [(0, [3]), (1, []), (1, [1]), (1, [3, 9])])
def test_settings_out_of_range(n: int, people: list[int]) -> None:
    with pytest.raises(UsageError, match="knights and knaves: n="):
        knights_knaves(n, seed=0, people=people)
