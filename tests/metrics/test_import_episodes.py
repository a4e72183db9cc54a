"""import_episodes: which values are filled in, which are trusted, and which must be given."""

import json
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.episode import Episode, Response, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.metrics.import_episodes import RowImporter
from rewards.pool import shared

ROW: dict[str, Any] = {"id": "7", "dataset": "toy", "gold": r"$\frac{1}{2}$", "candidates": [{"text": r"\boxed{0.5}"}]}


def filled(**changes: Any) -> Episode:
    return Episode.from_dict(RowImporter()(ROW | changes))


@pytest.mark.parametrize(
    ("response", "answer", "correct"),
    [
        ({"text": r"so \boxed{0.5}"}, "0.5", True),
        ({"text": r"so \boxed{0.6}"}, "0.6", False),
        ({"text": "no idea"}, None, False),
        ({"answer": "1/2"}, "1/2", True),
        ({"answer": 0.5}, "0.5", True),
        ({"answer": 3}, "3", False),
        ({"answer": "2/4", "text": r"\boxed{7}"}, "2/4", True),  # the answer that is given counts, not the text
        ({"answer": None, "text": r"\boxed{0.5}"}, None, False),
        ({"answer": " ", "text": r"\boxed{0.5}"}, None, False),
        ({"answer": "0.5", "correct": False}, "0.5", False),  # a verdict that is given is trusted
        ({"answer": "7", "correct": True}, "7", True),
        ({"answer": "0.5", "correct": None}, "0.5", True),
        ({"text": r"\boxed{7}", "correct": True}, "7", True),
    ],
)
def test_one_response(response: dict[str, Any], answer: str | None, correct: bool) -> None:
    (found,) = filled(candidates=[response]).candidates
    assert (found.answer, found.correct) == (answer, correct)
    assert found.text == response.get("text", "")


def test_all_kinds_of_responses_are_filled_in() -> None:
    kinds = ("candidates", "refinements", "extra_candidates", "swapped_refinements")
    episode = filled(**{kind: [{"text": rf"\boxed{{{i}/4}}"}] for i, kind in enumerate(kinds, start=1)})
    for i, kind in enumerate(kinds, start=1):
        assert getattr(episode, kind) == (Response(rf"\boxed{{{i}/4}}", f"{i}/4", i == 2),)


def test_what_may_be_missing() -> None:
    row = {"id": 7, "dataset": "toy", "candidates": [{"answer": "1", "correct": True, "logprob": -1}]}
    row |= {"refinements": None, "extra_candidates": None, "run": "a"}
    expected = Episode("7", "toy", "", "", (Response("", "1", True),))
    assert Episode.from_dict(RowImporter()(row)) == expected
    # Without an answer there is nothing to judge, so no gold is needed.
    assert Episode.from_dict(RowImporter()(row | {"candidates": [{"text": "hm"}]})).candidates[0].correct is False


def test_our_own_rows_are_left_as_they_are() -> None:
    response = Response("hm", None, True, cut_off=True, n_tokens=3, score=0.5)
    episode = Episode("1", "toy", "?", "2", (response,), (response,), (response,), (response,), 2, "a", "b")
    rows = RowImporter()
    assert Episode.from_dict(rows(episode.to_dict())) == episode
    assert (rows.extracted, rows.judged) == (0, 0)


def test_what_was_done_is_counted() -> None:
    rows = RowImporter()
    rows(ROW | {"candidates": [{"text": r"\boxed{1}"}, {"answer": "2"}, {"answer": "1", "correct": True}]})
    rows(ROW | {"gold": r"\frac{1}{", "candidates": [{"answer": "2"}]})
    assert (rows.extracted, rows.judged, rows.timeouts, rows.bad_golds) == (1, 3, 0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"candidates": [{"correct": True}]},
            r'"candidates\[0\].answer" and "candidates\[0\].text" are missing; write',
        ),
        ({"refinements": [{"text": None}]}, r'"refinements\[0\].answer" and "refinements\[0\].text" are missing'),
        ({"gold": None}, r'"gold" is missing, and so is "candidates\[0\].correct"; write one of them'),
        ({"gold": " "}, '"gold" is missing'),
        ({"gold": ["1"]}, '"gold" is missing'),
        ({"candidates": []}, '"candidates" is empty'),
        ({"candidates": None}, '"candidates" is NoneType; write list'),
        ({"candidates": ["1"]}, r"candidates\[0\] is not an object"),
        ({"candidates": [{"answer": ["1"]}]}, r'"candidates\[0\].answer" is list'),
        ({"candidates": [{"answer": True}]}, r'"candidates\[0\].answer" is bool'),
        ({"candidates": [{"answer": "1", "correct": 1}]}, r'"candidates\[0\].correct" is int; write bool'),
        ({"candidates": [{"answer": "1", "correct": "yes"}]}, r'"candidates\[0\].correct" is str; write bool'),
        ({"candidates": [{"answer": "1", "text": 5}]}, r'"candidates\[0\].text" is int'),
        ({"candidates": [{"answer": "1", "score": "high"}]}, r'"candidates\[0\].score" is str'),
        ({"candidates": [{"answer": "1", "score": float("nan")}]}, r'"candidates\[0\].score" is nan; write a finite'),
        ({"candidates": [{"answer": "1", "n_tokens": 1.5}]}, r'"candidates\[0\].n_tokens" is float'),
        ({"refinements": {}}, '"refinements" is dict; write list'),
        ({"id": None}, '"id" is NoneType'),
        ({"dataset": 1}, '"dataset" is int'),
        ({"round": "2"}, '"round" is str; write int'),
        ({"model": 1}, '"model" is int'),
    ],
)
def test_errors_name_file_line_and_key(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(ROW | changes) + "\n")
    with pytest.raises(UsageError, match=rf"bad\.jsonl:2: .*{message}"):
        read_episodes(path, RowImporter())


@pytest.mark.parametrize("key", ["id", "dataset", "candidates"])
def test_what_must_be_there(key: str) -> None:
    with pytest.raises(UsageError, match=f'"{key}" is missing'):
        Episode.from_dict(RowImporter()({k: v for k, v in ROW.items() if k != key}))


def test_an_answer_that_hangs_a_verifier_is_wrong_and_the_next_one_is_judged() -> None:
    shared.new_restarts()
    endless = {"answer": "(2999!)^{9998}"}
    rows = RowImporter()
    episode = Episode.from_dict(rows(ROW | {"candidates": [endless, {"answer": "0.5"}]}))
    assert [candidate.correct for candidate in episode.candidates] == [False, True]
    assert rows.timeouts == 1
    assert shared.new_restarts() == 1  # reported once, so that no other test counts it
