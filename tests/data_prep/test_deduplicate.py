"""Duplicates, conflicting and unreadable gold answers; pass rates, and the filter that uses them."""

import json
from pathlib import Path

import pytest

from data_prep.deduplicate import deduplicate
from data_prep.difficulty import pass_rates, select
from gsr_rl.episode import Episode, Problem, Response, write_episodes
from gsr_rl.errors import UsageError


def problem(problem_id: str, text: str, gold: str) -> Problem:
    return Problem(problem_id, "d", text, gold)


def test_duplicates_and_conflicts_are_dropped_and_reported() -> None:
    result = deduplicate(
        [
            problem("a", "What is $1/2$?", "0.5"),
            problem("b", "Name a prime.", "2"),
            problem("c", r"what is \(1/2\)", r"\frac{1}{2}"),  # the same text, an equivalent gold
            problem("d", "Name  a prime", "3"),  # the same text, another gold
            problem("e", "Which?", r"\frac{1}{"),
            problem("f", "What is $1+2$?", "3"),
            problem("g", "Name a Prime!", "2"),  # "!" may be a factorial: another text
        ]
    )
    assert [problem.id for problem in result.problems] == ["a", "f", "g"]
    assert result.duplicates == [{"kept": "a", "dropped": "c"}]
    assert result.conflicting_golds == [{"ids": ["b", "d"], "golds": ["2", "3"]}]
    assert result.unreadable_golds == [{"id": "e", "gold": r"\frac{1}{"}]


def episode(problem_id: str, *right: bool, extra: tuple[bool, ...] = (), dataset: str = "d") -> Episode:
    responses = [tuple(Response("t", "1", correct) for correct in verdicts) for verdicts in (right, extra)]
    return Episode(problem_id, dataset, "P", "1", responses[0], extra_candidates=responses[1])


def test_the_pass_rate_is_the_share_of_all_samples_of_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    episodes = [
        episode("a", True, False, False, False),
        episode("a", True, True, False, extra=(True,)),  # 4 of 8
        episode("b", False, False),
        episode("b", True, dataset="other"),
        episode("c"),  # nothing sampled
    ]
    write_episodes(path, episodes)
    rates = pass_rates(path)
    assert rates == {("d", "a"): 0.5, ("d", "b"): 0.0, ("other", "b"): 1.0}
    problems = [problem(problem_id, "P", "1") for problem_id in "abc"] + [Problem("b", "other", "P", "1")]
    kept, counts = select(problems, rates, lowest=0.1, highest=0.9, keep_unsampled=True)
    assert [problem.id for problem in kept] == ["a", "c"]
    assert counts == {"kept": 2, "below": 1, "above": 1, "unsampled": 1}
    kept, counts = select(problems, rates, lowest=0.5, highest=1.0, keep_unsampled=False)
    assert [(problem.dataset, problem.id) for problem in kept] == [("d", "a"), ("other", "b")]
    assert counts == {"kept": 2, "below": 1, "above": 0, "unsampled": 1}


def test_a_line_that_is_no_episode_is_named(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    write_episodes(path, [episode("a", True)])
    with path.open("a") as file:
        file.write(json.dumps(episode("b").to_dict() | {"candidates": [{"text": "t"}]}) + "\n")
    with pytest.raises(UsageError, match=r'candidates.jsonl: row 2: "candidates\[0\].answer" is missing'):
        pass_rates(path)
