"""gsr_rl.episode: JSON Lines there and back, errors that name file, line and key, atomic writing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_rl.episode import Episode, Problem, Response, read_episodes, write_episodes
from gsr_rl.errors import UsageError

# A model may write any text, lone surrogates and line separators included.
texts = st.text(st.characters(exclude_categories=()), max_size=20)
responses = st.builds(
    Response,
    texts,
    st.none() | texts,
    st.booleans(),
    cut_off=st.booleans(),
    n_tokens=st.none() | st.integers(0, 9),
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
sets = st.lists(responses, max_size=3).map(tuple)
names = st.none() | texts
episodes = st.builds(
    Episode,
    *(texts, texts, texts, texts, sets),
    refinements=sets,
    extra_candidates=sets,
    swapped_refinements=sets,
    round=st.integers(1, 3),
    model=names,
    refiner=names,
)

ROW: dict[str, Any] = {
    "id": "7",
    "dataset": "toy",
    "problem": "1+1?",
    "gold": "2",
    "candidates": [{"text": "so 2", "answer": "2", "correct": True}, {"text": "hm", "answer": None, "correct": False}],
}


def test_a_response_s_answer_is_extracted_from_its_text() -> None:
    response = Response.of("so \\boxed{5}", True, cut_off=True, n_tokens=7)
    assert response == Response("so \\boxed{5}", "5", True, cut_off=True, n_tokens=7)
    assert Response.of("no idea", False) == Response("no idea", None, False)


def test_an_episode_of_a_problem() -> None:
    problem = Problem("7", "toy", "1+1?", "2")
    first, second = Response("so 2", "2", True), Response("hm", None, False)
    assert Episode.of(problem, [first]) == Episode("7", "toy", "1+1?", "2", (first,))
    episode = Episode.of(
        problem,
        [first, second],
        refinements=[second],
        extra_candidates=iter([first]),
        swapped_refinements=(second, first),
        round=2,
        model="m",
        refiner="r",
    )
    responses = ((first, second), (second,), (first,), (second, first))
    assert episode == Episode("7", "toy", "1+1?", "2", *responses, 2, "m", "r")
    assert episode.problem_only == problem


@given(st.lists(episodes, max_size=4))
def test_written_episodes_are_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Episode]) -> None:
    path = tmp_path_factory.mktemp("episodes") / "new folder" / "episodes.jsonl"
    write_episodes(path, rows)
    assert read_episodes(path) == rows
    assert len(path.read_bytes().splitlines()) == len(rows)


@given(episodes)
def test_to_dict_is_plain_json(episode: Episode) -> None:
    row = episode.to_dict()
    assert json.loads(json.dumps(row)) == row
    assert Episode.from_dict(row) == episode


def test_optional_keys_and_further_keys() -> None:
    row = ROW | {"run": "a", "candidates": [ROW["candidates"][0] | {"logprob": -1.0}]}
    expected = Episode("7", "toy", "1+1?", "2", (Response("so 2", "2", True, cut_off=False, n_tokens=None),))
    assert Episode.from_dict(row) == expected


def test_what_is_unknown_is_not_written() -> None:
    (written,) = Episode.from_dict(ROW | {"candidates": ROW["candidates"][1:]}).to_dict()["candidates"]
    assert written == {"text": "hm", "answer": None, "correct": False, "cut_off": False}
    assert "model" not in Episode.from_dict(ROW).to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold": 2}, '"gold" is int; write str'),
        ({"candidates": None}, '"candidates" is NoneType; write list'),
        ({"refinements": ["2"]}, r"refinements\[0\] is not an object"),
        ({"candidates": [{"text": "2", "answer": "2"}]}, r'"candidates\[0\].correct" is missing'),
        ({"candidates": [{"text": "2", "answer": "2", "correct": 1}]}, r'"candidates\[0\].correct" is int; write bool'),
        ({"candidates": [{"text": "2", "answer": 2, "correct": True}]}, r'"candidates\[0\].answer" is int'),
        (
            {"extra_candidates": [{"text": "", "answer": None, "correct": False, "n_tokens": True}]},
            r'"extra_candidates\[0\].n_tokens" is bool',
        ),
    ],
)
def test_errors_name_file_line_and_key(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(ROW) + "\n\n" + json.dumps(ROW | change) + "\n")
    with pytest.raises(UsageError, match=rf"bad\.jsonl:3: .*{message}"):
        read_episodes(path)


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"id": "\xff"}', b"nonsense"])
def test_a_line_that_is_no_object(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(line)
    with pytest.raises(UsageError, match=r"bad\.jsonl:1: not"):
        read_episodes(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.jsonl: No such file"):
        read_episodes(tmp_path / "nowhere.jsonl")


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    first = Episode.from_dict(ROW)
    write_episodes(path, [first])

    def breaking_off() -> Iterator[Episode]:
        yield first
        raise RuntimeError("the rollout died")

    with pytest.raises(RuntimeError):
        write_episodes(path, breaking_off())
    assert read_episodes(path) == [first]
    assert [file.name for file in tmp_path.iterdir()] == ["episodes.jsonl"]
