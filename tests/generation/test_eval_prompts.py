"""Token ids and episodes of an evaluation stay what they were: journals hold answers to these very prompts."""

import asyncio
import hashlib
import json
from typing import Any

import pytest

from gsr_rl.episode import Episode, Problem
from gsr_rl.generation.plan import ModelAccess, Plan, PlanItem
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.evaluation import Design

PROBLEMS = [Problem(f"p{i}", "toy", f"What is {i} + {i}?", str(2 * i)) for i in range(4)]
K, EXTRA, BUDGET = 4, 1, 700


def fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def answer_to(prompt: list[int], index: int) -> str:
    """A text so long that the refinement prompt exceeds its budget."""
    return f"{sum(prompt)} and so on " * (20 + 40 * index) + f"\\boxed{{{index}}}"


@pytest.mark.parametrize(
    ("fixture", "prompts", "episodes"),
    [
        ("tokenizer", "db9fd258e5b73d1a", "babe1ef1f2a2bd1f"),
        ("thinking_tokenizer", "3cf66116973b3566", "e725eb02a8352ed0"),
    ],
)
def test_prompts_and_episodes_are_what_they_were(
    request: pytest.FixtureRequest, fixture: str, prompts: str, episodes: str
) -> None:
    """The fingerprints are those of commit 3a58b65, where the chain had an evaluation of its own beside `eval`.

    With the thinking template they are newer: there a response that the limit cut off in its thought was shown.
    """
    requests: list[Request] = []

    async def ask(request: Request) -> Answer:
        requests.append(request)
        ids: Any = request.prompt
        return Answer(answer_to(ids, request.index), cut_off=request.index == 2, tokens=9)

    model = ModelAccess(
        name="m",
        prompts=PromptSet(),
        tokenizer=request.getfixturevalue(fixture),
        by_tokens=True,
        max_tokens=BUDGET,
        chat_kwargs={},
        candidate={},
        refinement={},
    )
    plan = Plan(
        design=Design([K], pool=K + EXTRA),
        model=model,
        refiner=model,
        judge=lambda problem, text: f"{{{problem.gold}}}" in text,
        seed=3,
    )

    async def play() -> list[Episode]:
        return [(await plan.episodes(ask, PlanItem(problem), K))[0] for problem in PROBLEMS]

    made = asyncio.run(play())
    assert any("[cut off]" in candidate.text for episode in made for candidate in episode.candidates)
    rows = [
        {key: value for key, value in episode.to_dict().items() if key not in ("model", "refiner")} for episode in made
    ]
    assert fingerprint(rows) == episodes
    candidates, refinements = (
        [list(request.prompt) for request in requests if request.kind == kind]
        for kind in ("candidate 0", "refinement 0")
    )
    assert fingerprint(candidates[:: K + EXTRA] + refinements) == prompts
