"""Token ids are the same wherever a problem is asked: by the chain's own evaluation, and by `eval` through a server."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from gsr_rl.generation.sampler import Sampler

from gsr_rl.episode import Episode, Problem
from gsr_rl.generation.plan import Asked, Item, Plan
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.settings.evaluation import Design
from gsr_rl.settings.gsr import GsrConfig

PROBLEMS = [Problem(f"p{i}", "toy", f"What is {i} + {i}?", str(2 * i)) for i in range(4)]
EXTRA = 1


def said(prompt: list[int], index: int) -> str:
    """Long enough that the budget of the refinement prompt is felt."""
    return f"{sum(prompt)} and so on " * (20 + 40 * index) + f"\\boxed{{{index}}}"


class Engine:
    """In place of vLLM's: keeps the prompts, and answers each of them n times."""

    def __init__(self) -> None:
        self.prompts: list[list[int]] = []

    def generate(self, requests: list[Any], params: Any) -> list[Any]:
        prompts = [list(one["prompt_token_ids"]) for one in requests]
        self.prompts += prompts
        return [
            SimpleNamespace(
                outputs=[
                    SimpleNamespace(
                        text=said(prompt, i), token_ids=[0] * 9, finish_reason="length" if i == 2 else "stop"
                    )
                    for i in range(params.n)
                ]
            )
            for prompt in prompts
        ]


@pytest.mark.parametrize("fixture", ["tokenizer", "thinking_tokenizer"])
def test_prompts_and_episodes_are_those_of_the_chain(request: pytest.FixtureRequest, fixture: str) -> None:
    tokenizer, gsr, budget = request.getfixturevalue(fixture), GsrConfig(k=4, m=2, seed=3), 700
    sampler: Any = object.__new__(Sampler)
    sampler.gsr, sampler.prompt_length, sampler.chat_kwargs, sampler.tokenizer = gsr, budget, {}, tokenizer
    sampler.judge, sampler.llm = lambda problem, text: f"{{{problem.gold}}}" in text, Engine()
    wanted: list[Episode] = sampler.refine(sampler.candidates(PROBLEMS, EXTRA))

    asked: list[Request] = []

    async def ask(one: Request) -> Answer:
        asked.append(one)
        ids: Any = one.prompt
        return Answer(said(ids, one.index), cut_off=one.index == 2, tokens=9)

    model = Asked("m", gsr.prompts, tokenizer, True, budget, {}, {}, {})
    plan = Plan(Design([4], pool=4 + EXTRA), model, model, sampler.judge, gsr.seed)

    async def play() -> list[Episode]:
        return [(await plan.episodes(ask, Item(problem), 4))[0] for problem in PROBLEMS]

    made = asyncio.run(play())
    assert [one.to_dict() for one in made] == [{**one.to_dict(), "model": "m", "refiner": "m"} for one in wanted]
    assert any("[cut off]" in one.text for row in made for one in row.candidates)
    prompts = {
        kind: [list(one.prompt) for one in asked if one.kind == kind] for kind in ("candidate 0", "refinement 0")
    }
    assert prompts["candidate 0"][::5] + prompts["refinement 0"] == sampler.llm.prompts
