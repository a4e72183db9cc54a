"""Plans of small evaluations, and a model that answers them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gsr_rl.episode import Episode, Problem
from gsr_rl.generation.plan import ModelAccess, Plan, PlanItem
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.evaluation import Design

PROMPTS = PromptSet(direct="{problem} Box it.", refine="{problem}\n{candidates}\nBetter?", candidate="{index}: {text}")
ONE, TWO = Problem("1", "toy", "What is 1 + 1?", "2"), Problem("2", "toy", "What is 1 + 2?", "3")


def access(name: str = "m", tokenizer: Any = None, by_tokens: bool = False, max_tokens: int = 1000) -> ModelAccess:
    """A model with short prompts."""
    return ModelAccess(
        name=name,
        prompts=PROMPTS,
        tokenizer=tokenizer,
        by_tokens=by_tokens,
        max_tokens=max_tokens,
        chat_kwargs={},
        candidate={"max_tokens": 5},
        refinement={"max_tokens": 9},
    )


def plan(design: Design, model: ModelAccess | None = None, refiner: ModelAccess | None = None) -> Plan:
    """A plan whose judge looks for the gold answer in braces."""
    model = model or access()

    def judge(problem: Problem, text: str) -> bool:
        return f"{{{problem.gold}}}" in text

    return Plan(design=design, model=model, refiner=refiner or model, judge=judge, seed=7)


class Model:
    """Answers each request with a text of its own, "kind/index/number \\boxed{number}", and keeps the requests."""

    def __init__(self, says: Callable[[Request], Awaitable[Answer]] | None = None) -> None:
        self.requests: list[Request] = []
        self.answers: dict[str, Answer] = {}
        self._says = says

    async def ask(self, request: Request) -> Answer:
        if request.key not in self.answers:
            self.requests.append(request)
            number = len(self.requests)
            says = Answer(f"{request.kind}/{request.index}/{number} \\boxed{{{number}}}", tokens=number)
            self.answers[request.key] = await self._says(request) if self._says else says
        await asyncio.sleep(0)
        return self.answers[request.key]

    async def journal(self, request: Request) -> Answer:
        return self.answers[request.key]

    def requests_for(self, kind: str) -> list[Request]:
        return [request for request in self.requests if request.kind == kind]


def played(plan: Plan, item: PlanItem, k: int, model: Model | None = None) -> tuple[Model, list[Episode]]:
    """Ask for everything, then make the episodes of the answers."""
    model = model or Model()
    asyncio.run(plan.generate(model.ask, item))
    return model, asyncio.run(plan.episodes(model.journal, item, k))


def texts(responses: Sequence[Any]) -> list[str]:
    return [response.text for response in responses]
