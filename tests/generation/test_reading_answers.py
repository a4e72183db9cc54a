"""Answers of servers: how they end, contents in parts, signs that are no text; and thoughts that a template opens."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from gsr_rl.episode import Problem, Verdict
from gsr_rl.generation import servers
from gsr_rl.generation.plan import ModelAccess, Plan, PlanItem
from gsr_rl.generation.ray_engine import _answer
from gsr_rl.generation.requests import Answer, Request, Tally, read_answer
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.evaluation import Design

PROBLEMS = Problem("1", "toy", "What is 1 + 1?", "2"), Problem("2", "toy", "What is 1 + 2?", "3")
PROMPTS = PromptSet(direct="{problem}", refine="{problem}\n{candidates}\nBetter?", candidate="{index}: {text}")


def body(content: Any, **choice: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, **choice}]}).encode()


@pytest.mark.parametrize("reason", ["stop", "STOP", "eos", "eos_token", "stop_sequence", "end_turn", {"type": "stop"}])
def test_ends_that_the_model_chose(reason: Any) -> None:
    assert read_answer(body("2", finish_reason=reason)) == Answer("2")


@pytest.mark.parametrize(
    "reason", ["length", "max_tokens", "content_filter", "abort", "error", None, "", {"type": "length"}, {}, 3]
)
def test_any_other_end_is_cut_off(reason: Any) -> None:
    assert read_answer(body("2", finish_reason=reason)) == Answer("2", cut_off=True)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ([{"type": "text", "text": "so "}, {"type": "text", "text": "2"}], Answer("so 2")),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "2"}], Answer("2", "hm")),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "2"}], Answer("2", "hm")),
        ([{"type": "output_text", "text": "<think>hm</think>2"}], Answer("2", "hm")),
        ([], Answer("")),
    ],
)
def test_contents_in_parts(content: Any, answer: Answer) -> None:
    assert read_answer(body(content, finish_reason="stop")) == answer


def test_reasoning_in_parts() -> None:
    message = {"content": "2", "reasoning": [{"type": "reasoning.text", "text": "h"}, {"text": "m"}]}
    whole = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    assert read_answer(whole).text == "2" and set(read_answer(whole).thinking) == {"h", "m"}


def test_what_is_no_text_is_replaced_and_counted() -> None:
    answer = read_answer(
        rb'{"choices": [{"message": {"content": "2 \ud83d\u0000 \ud83d\ude00"}, "finish_reason": "stop"}]}'
    )
    assert answer == Answer("2 \ufffd\ufffd \U0001f600", replaced=2)
    tally = Tally()
    for each in (answer, Answer("2")):
        tally.add(each)
    assert (tally.answered, tally.replaced) == (2, 1)
    row = Request("direct", "m", [{"role": "user", "content": "?"}]).row(answer)
    assert row["replaced"] == 2 and servers.answer_in({"k": row}, "k") == answer  # pyright: ignore[reportArgumentType]
    assert "replaced" not in Request("direct", "m", [1]).row(Answer("2"))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("inf", 600.0), ("1e9", 600.0), ("nan", 0.0), ("-3", 0.0), ("soon", 0.0), (None, 0.0)],
)
def test_a_server_can_make_requests_wait_only_so_long(header: str | None, seconds: float) -> None:
    assert min(servers._seconds(header), servers.LONGEST_WAIT_S) == seconds


def test_an_empty_answer_to_a_prompt_that_fills_the_context_is_cut_off() -> None:
    row = {"generated_text": "", "generated_tokens": [], "num_input_tokens": 100}
    request = Request("candidate 0", "m", [1, 2], {"max_tokens": 10})
    assert _answer(row, request, {"max_model_len": 100}, {0}) == Answer("", cut_off=True, prompt_tokens=100)


def access(tokenizer: Any) -> ModelAccess:
    return ModelAccess(
        name="m",
        prompts=PROMPTS,
        tokenizer=tokenizer,
        by_tokens=tokenizer is not None,
        max_tokens=1000,
        chat_kwargs={},
        candidate={"max_tokens": 5},
        refinement={"max_tokens": 9},
    )


def played(model: ModelAccess, says: Answer, judge: Any = None, swapped: bool = False) -> Any:
    requests: list[Request] = []

    async def ask(request: Request) -> Answer:
        requests.append(request)
        return says

    plan = Plan(design=Design([2], pool=2), model=model, refiner=model, judge=judge or (lambda *_: "5" in _[1]), seed=7)
    item = PlanItem(PROBLEMS[0], other=PROBLEMS[1] if swapped else None)
    (row,) = asyncio.run(plan.episodes(ask, item, 2))
    return row, requests


def test_a_thought_that_the_template_opened_and_the_limit_cut_off(thinking_tokenizer: Any, tokenizer: Any) -> None:
    thought = Answer("perhaps \\boxed{5}, or", cut_off=True, tokens=9)
    judged: list[str] = []

    def judge(problem: Problem, text: str) -> bool:
        judged.append(text)
        return "5" in text.rpartition("</think>")[2]

    row, requests = played(access(thinking_tokenizer), thought, judge)
    assert {(each.answer, each.correct, each.cut_off) for each in (*row.candidates, *row.refinements)} == {
        (None, False, True)
    }
    assert [each.text for each in row.candidates] == ["[cut off]"] * 2
    assert "boxed" not in thinking_tokenizer.decode(requests[-1].prompt)
    assert set(judged) == {"<think>\nperhaps \\boxed{5}, or\n</think>\n\n"}
    row, _ = played(access(tokenizer), thought)  # a template that opens no thought
    assert [each.answer for each in row.candidates] == ["5"] * 2


@pytest.mark.parametrize("text", ["<think>perhaps", "", "It is prob"])
def test_the_swapped_control_shows_each_mark_once(tokenizer: Any, text: str) -> None:
    for model in (access(tokenizer), access(None), replace(access(tokenizer), max_tokens=90)):
        row, requests = played(model, Answer(text, cut_off=True), swapped=True)
        assert len(row.swapped_refinements) == 1
        for request in requests[2:]:
            prompt = tokenizer.decode(request.prompt) if request.is_tokens else str(request.prompt)
            assert "[cut off] [cut off]" not in prompt
            assert request.kind.startswith("candidate") or prompt.count("[cut off]") == 2


def test_an_answer_of_the_reward_function_s_own() -> None:
    row, _ = played(access(None), Answer("the answer is 7"), lambda *_: Verdict(True, "seven"))
    assert [(each.answer, each.correct) for each in row.candidates] == [("seven", True)] * 2
