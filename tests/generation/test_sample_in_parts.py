"""Sampling that goes on after an interrupt."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gsr_rl.episode import Episode, Problem, Response, read_episodes
from gsr_rl.generation import sampler
from gsr_rl.generation.sampler import sample_in_parts

PROBLEMS = [Problem(str(i), "toy", f"{i}?", str(i)) for i in range(5)]


def episodes(part: Sequence[Problem], text: str) -> list[Episode]:
    return [Episode(p.id, p.dataset, p.problem, p.gold, (Response(text, None, False),)) for p in part]


def test_parts_that_are_whole_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "PART", 2)
    path = tmp_path / "base.jsonl"
    asked: list[tuple[int, int]] = []

    def interrupted(part: Sequence[Problem], first: int) -> list[Episode]:
        if first == 2:
            raise KeyboardInterrupt
        return episodes(part, "first start")

    def sample(part: Sequence[Problem], first: int) -> list[Episode]:
        asked.append((first, len(part)))
        return episodes(part, "second start")

    with pytest.raises(KeyboardInterrupt):
        sample_in_parts(path, PROBLEMS, interrupted)
    assert not path.exists()
    sample_in_parts(path, PROBLEMS, sample)
    assert asked == [(2, 2), (4, 1)]
    done = read_episodes(path)
    assert [one.id for one in done] == ["0", "1", "2", "3", "4"]
    assert [one.candidates[0].text for one in done] == ["first start"] * 2 + ["second start"] * 3
    assert [one.name for one in tmp_path.iterdir()] == ["base.jsonl"]


def test_parts_of_other_problems_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "PART", 2)
    path = tmp_path / "base.jsonl"
    (tmp_path / "base.parts").mkdir()
    sampler.write_episodes(tmp_path / "base.parts" / "0.jsonl", episodes(PROBLEMS[3:], "of another split"))
    sample_in_parts(path, PROBLEMS[:2], lambda part, _: episodes(part, "own"))
    assert [one.candidates[0].text for one in read_episodes(path)] == ["own", "own"]
