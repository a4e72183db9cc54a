"""Requests, their keys and seeds; answers, with and without thinking."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_rl.generation.requests import Answer, Request, Tally, answer_of, read_answer, split_thinking

MESSAGES = [{"role": "user", "content": "What is 1 + 1?"}]
REQUEST = Request("direct", "m", MESSAGES, {"temperature": 0.6, "max_tokens": 9}, index=1, run_seed=2)


def test_a_request_s_body_is_that_of_the_api() -> None:
    body = REQUEST.body()
    seed = body.pop("seed")
    assert body == {"model": "m", "messages": MESSAGES, "temperature": 0.6, "max_tokens": 9}
    assert REQUEST.path == "/chat/completions"
    tokens = replace(REQUEST, prompt=[5, 6])
    assert (tokens.path, tokens.body()["prompt"]) == ("/completions", [5, 6])
    assert 0 <= seed < 2**31 and seed != tokens.body()["seed"]


def test_everything_that_the_answer_depends_on_changes_key_and_seed() -> None:
    others = [
        replace(REQUEST, kind="refine"),
        replace(REQUEST, model="n"),
        replace(REQUEST, prompt=[{"role": "user", "content": "What is 1 + 2?"}]),
        replace(REQUEST, parameters={"temperature": 0.7, "max_tokens": 9}),
        replace(REQUEST, index=0),
        replace(REQUEST, run_seed=0),
    ]
    assert len({request.key for request in [REQUEST, *others]}) == 7
    assert len({request.body()["seed"] for request in [REQUEST, *others]}) == 7
    same = replace(REQUEST, parameters={"max_tokens": 9, "temperature": 0.6})
    assert (same.key, same.body()["seed"]) == (REQUEST.key, REQUEST.body()["seed"])


def body(message: dict[str, Any], finish_reason: str = "stop") -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish_reason}]}).encode()


@pytest.mark.parametrize(
    ("given_body", "answer"),
    [
        (body({"content": "2"}), Answer("2")),
        (body({"content": "2", "reasoning_content": "hm"}), Answer("2", "hm")),
        (body({"content": "2", "reasoning": "hm"}), Answer("2", "hm")),
        (body({"content": "<think>\nhm\n</think>\n\n2"}), Answer("2", "hm")),
        (body({"content": "hm\n</think>\n\n2"}), Answer("2", "hm")),
        (body({"content": "<think></think>2"}), Answer("2")),
        (body({"content": "<think>hm, and"}, "length"), Answer("", "hm, and", cut_off=True)),
        (body({"content": None, "reasoning_content": "hm"}, "length"), Answer("", "hm", cut_off=True)),
        (body({"content": ""}), Answer("")),
        (
            b'{"choices": [{"text": " 2"}], "usage": {"prompt_tokens": 7, "completion_tokens": 1}}',
            Answer(" 2", prompt_tokens=7, tokens=1),
        ),
    ],
)
def test_answers(given_body: bytes, answer: Answer) -> None:
    assert read_answer(given_body) == answer


@pytest.mark.parametrize(
    "broken",
    [
        *(
            b"",
            b"<html>",
            b"\xff",
            b"null",
            b"[]",
            b"{}",
            b'{"choices": []}',
            b'{"choices": [{}]}',
            b'{"choices": [null]}',
        ),
        *(body({"content": ["parts"]}), b'{"choices": [{"message": null}]}', body({"content": 7, "reasoning": "hm"})),
    ],
)
def test_bodies_that_are_no_completion(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"an empty body|a body that is no completion"):
        read_answer(broken)


def test_thinking_comes_back_in_tags() -> None:
    assert Answer("2", "hm").whole == "<think>\nhm\n</think>\n\n2"
    assert Answer("2").whole == "2"


@given(st.text(alphabet="ab <>/think\n"), st.text(alphabet="ab \n"))
def test_what_was_joined_splits_again(thinking: str, text: str) -> None:
    thinking, text = thinking.strip().replace("<think>", ""), text.strip()
    if thinking and "</think>" not in thinking:
        assert split_thinking(Answer(text, thinking.strip()).whole) == (thinking.strip(), text)


def test_an_engine_s_answer_is_that_of_a_server() -> None:
    """A server splits thinking off chat messages, and leaves what follows token ids as it is."""
    text = "<think>hm</think>two"
    assert answer_of(REQUEST, text, True, 7, 3) == Answer("two", "hm", True, 7, 3)
    assert answer_of(replace(REQUEST, prompt=[5, 6]), text, False, 7, 3) == Answer(text, "", False, 7, 3)


def test_what_the_journal_keeps_of_an_answer() -> None:
    row = REQUEST.row(Answer("2", "hm", True, 7, 3))
    about = {"kind": "direct", "model": "m"}
    assert row == {**about, "text": "2", "thinking": "hm", "cut_off": True, "prompt_tokens": 7, "tokens": 3}


def test_a_tally() -> None:
    tally = Tally()
    for answer in (Answer("2", prompt_tokens=7, tokens=3), Answer("", "hm", prompt_tokens=7, tokens=9)):
        tally.add(answer)
    assert tally == Tally(answered=2, blank=1, prompt_tokens=14, tokens=12)
