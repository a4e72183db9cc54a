"""What is asked for one problem of an evaluation, and what becomes of the answers."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError
from gsr_rl.generation.plan import Asked, Item, Plan
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.scores import Scorer
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.prompts import PromptSet, encode_prompt, shuffled_order
from gsr_rl.settings.evaluation import Design

PROMPTS = PromptSet(direct="{problem} Box it.", refine="{problem}\n{candidates}\nBetter?", candidate="{index}: {text}")
ONE, TWO = Problem("1", "toy", "What is 1 + 1?", "2"), Problem("2", "toy", "What is 1 + 2?", "3")


def asked(name: str = "m", tokenizer: Any = None, by_tokens: bool = False, max_tokens: int = 1000) -> Asked:
    parameters = {"max_tokens": 5}, {"max_tokens": 9}
    return Asked(name, PROMPTS, tokenizer, by_tokens, max_tokens, {}, *parameters)


def plan(design: Design, model: Asked | None = None, refiner: Asked | None = None, **changes: Any) -> Plan:
    model = model or asked()
    return replace(
        Plan(design, model, refiner or model, lambda problem, text: f"{{{problem.gold}}}" in text, seed=7), **changes
    )


class Model:
    """Answers each request anew, "kind/index/number \\boxed{number}", and keeps what it was asked."""

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

    def asked_for(self, kind: str) -> list[Request]:
        return [one for one in self.requests if one.kind == kind]


def played(one: Plan, item: Item, k: int, model: Model | None = None) -> tuple[Model, list[Episode]]:
    """All is asked for, then the episodes are made of what was answered."""
    model = model or Model()
    asyncio.run(one.generate(model.ask, item))
    return model, asyncio.run(one.episodes(model.journal, item, k))


def texts(responses: Sequence[Any]) -> list[str]:
    return [one.text for one in responses]


def test_the_first_k_of_the_pool_are_refined_and_the_rest_are_extra() -> None:
    model, (row,) = played(plan(Design([3], pool=5, m=2)), Item(ONE), 3)
    pool = [f"candidate 0/{i}/{i + 1} \\boxed{{{i + 1}}}" for i in range(5)]
    order = shuffled_order(3, 7, "eval", "1", "order")
    assert sorted(order) == [0, 1, 2]
    assert texts(row.candidates) == [pool[i] for i in order]
    assert texts(row.extra_candidates) == pool[3:]
    assert texts(row.refinements) == [f"refinement 0/{i}/{6 + i} \\boxed{{{6 + i}}}" for i in range(2)]
    assert [one.answer for one in row.refinements] == ["6", "7"]
    assert [one.correct for one in row.candidates] == [i == 1 for i in order]  # the gold is 2
    assert [one.n_tokens for one in row.candidates] == [i + 1 for i in order]
    assert (row.model, row.refiner, row.round, row.swapped_refinements) == ("m", "m", 1, ())
    (prompt,) = {str(one.prompt) for one in model.asked_for("refinement 0")}
    shown = "\n\n".join(f"{place}: {pool[i]}" for place, i in enumerate(order, start=1))
    assert prompt == str([{"role": "user", "content": f"What is 1 + 1?\n{shown}\nBetter?"}])
    assert {one.parameters["max_tokens"] for one in model.asked_for("candidate 0")} == {5}
    assert {one.parameters["max_tokens"] for one in model.asked_for("refinement 0")} == {9}


def test_a_slow_problem_does_not_hold_up_the_refinements_of_another() -> None:
    async def both() -> None:
        refined = asyncio.Event()

        async def says(request: Request) -> Answer:
            if request.prompt[0]["content"].startswith(ONE.problem):  # pyright: ignore
                await refined.wait()
            elif request.kind == "refinement 0":
                refined.set()
            return Answer("\\boxed{3}")

        model, one = Model(says), plan(Design([2], pool=3))
        await asyncio.wait_for(asyncio.gather(*(one.generate(model.ask, Item(p)) for p in (ONE, TWO))), 30)
        assert len(model.requests) == 8

    asyncio.run(both())


def test_each_response_is_judged_once() -> None:
    judged: Counter[str] = Counter()

    def judge(problem: Problem, text: str) -> bool:
        judged[text] += 1
        return True

    one = replace(plan(Design([2, 3], pool=4, m=2)), judge=judge)
    model, _ = played(one, Item(ONE), 2)
    asyncio.run(one.episodes(model.journal, Item(ONE), 3))
    assert len(judged) == 4 + 2 + 2 and set(judged.values()) == {1}


def test_repeats_are_asked_anew_and_shown_in_another_order() -> None:
    one, model = plan(Design([8], pool=8)), Model()
    rows = [played(one, Item(ONE, repeat), 8, model)[1][0] for repeat in range(3)]
    assert len(model.requests) == 3 * 9
    orders = [[int(text.split("/")[1]) for text in texts(row.candidates)] for row in rows]
    assert orders[0] == shuffled_order(8, 7, "eval", "1", "order")
    assert len({tuple(order) for order in orders}) == 3
    assert {len({request.key for request in model.requests}), len({r.body()["seed"] for r in model.requests})} == {27}


def test_a_larger_pool_or_another_size_asks_for_what_is_new_alone() -> None:
    model, _ = played(plan(Design([2], pool=3)), Item(ONE), 2)
    played(plan(Design([2, 4], pool=6)), Item(ONE), 2, model)
    assert Counter(one.kind for one in model.requests) == {"candidate 0": 6, "refinement 0": 2}


def test_a_sweep_refines_sets_of_every_size_of_one_pool() -> None:
    one = plan(Design([1, 2, 4], pool=5, m=2))
    model, _ = played(one, Item(ONE), 1)
    assert Counter(request.kind for request in model.requests) == {"candidate 0": 5, "refinement 0": 6}
    for k in (1, 2, 4):
        (row,) = asyncio.run(one.episodes(model.journal, Item(ONE), k))
        assert {text.split("/")[1] for text in texts(row.candidates)} == {str(i) for i in range(k)}
        assert [text.split("/")[1] for text in texts(row.extra_candidates)] == [str(i) for i in range(k, 5)]


def test_cross_refinement() -> None:
    one = plan(Design([2], pool=3), asked("a"), asked("b"))
    model = Model()
    asyncio.run(one.sample(model.ask, Item(ONE)))
    assert [request.model for request in model.requests] == ["a", "a", "a"]
    _, (row,) = played(one, Item(ONE), 2, model)
    assert [request.model for request in model.requests] == ["a", "a", "a", "b"]
    assert (row.model, row.refiner) == ("a", "b")


def test_the_control_refines_the_candidates_of_another_problem() -> None:
    one, model = plan(Design([2], pool=3)), Model()
    played(one, Item(TWO), 2, model)
    _, (row,) = played(one, Item(ONE, other=TWO), 2, model)
    assert Counter(request.kind for request in model.requests) == {"candidate 0": 6, "refinement 0": 2, "swapped 0": 1}
    (control,) = model.asked_for("swapped 0")
    others = {texts for i in range(2) for texts in [f"candidate 0/{i}/{i + 1} \\boxed{{{i + 1}}}"]}
    said = control.prompt[0]["content"]  # pyright: ignore
    assert said.startswith(ONE.problem) and all(text in said for text in others)
    assert texts(row.swapped_refinements) == [model.answers[control.key].text]
    assert not others & set(texts(row.candidates))


def test_rounds_refine_the_refinements_of_the_round_before() -> None:
    population, k, rounds = 5, 2, 3
    one = plan(Design([k], population, 1, extra=2, sets=population, rounds=rounds))
    model, rows = played(one, Item(ONE), k)
    assert len(model.requests) == population * (1 + rounds)
    assert [row.round for row in rows] == [1] * 5 + [2] * 5 + [3] * 5
    pool = {f"candidate 0/{i}/{i + 1} \\boxed{{{i + 1}}}" for i in range(population)}
    for number in (1, 2, 3):
        of_round = [row for row in rows if row.round == number]
        sets = [frozenset(texts(row.candidates)) for row in of_round]
        assert len(set(sets)) == population and all(len(one) == k and one <= pool for one in sets)
        for row, chosen in zip(of_round, sets, strict=True):
            extra = set(texts(row.extra_candidates))
            assert len(extra) == 2 and extra <= pool - chosen and len(row.refinements) == 1
        pool = {row.refinements[0].text for row in of_round}
        assert len(pool) == population
    figures = evaluate(rows)["toy"]
    assert list(figures["rounds"]) == ["1", "2", "3"] and figures["n"] == 1 and figures["sets"] == population


def test_sets_of_a_round_are_drawn_evenly() -> None:
    """Over many problems each candidate is in about as many sets: 30 problems of 5 sets of 2 of 5, 60 each."""
    one, model = plan(Design([2], 5, 1, extra=0, sets=5)), Model()
    counts: Counter[str] = Counter()
    for i in range(30):
        _, rows = played(one, Item(replace(ONE, id=str(i))), 2, model)
        counts.update(text.split("/")[1] for row in rows for text in texts(row.candidates))
    sigma = math.sqrt(150 * 0.4 * 0.6)
    assert all(abs(count - 60) < 4 * sigma for count in counts.values()) and sum(counts.values()) == 300


def test_scores_of_the_whole_pool() -> None:
    async def says(request: Request) -> Answer:
        if request.kind == "score":
            return Answer(repr(float(len(request.prompt[1]["content"]))))  # pyright: ignore
        return Answer(f"<think>hm</think>{'x' * request.index}")

    model, unscored = Model(says), plan(Design([2], pool=3))
    _, (row,) = played(unscored, Item(ONE, other=TWO), 2, model)
    assert {one.score for one in (*row.candidates, *row.extra_candidates)} == {None}
    scored = replace(unscored, scorer=Scorer("rm", PROMPTS))
    asyncio.run(scored.sample(model.ask, Item(ONE, other=TWO)))
    (row,) = asyncio.run(scored.episodes(model.journal, Item(ONE, other=TWO), 2))
    assert [(one.text, one.score) for one in (*row.candidates, *row.extra_candidates)] == [
        *sorted([("", 0.0), ("x", 1.0)], key=lambda pair: shuffled_order(2, 7, "eval", "1", "order")[len(pair[0])]),
        ("<think>hm</think>xx", 2.0),
    ]
    conversation = model.asked_for("score")[2].prompt
    assert conversation == [
        {"role": "user", "content": "What is 1 + 1? Box it."},
        {"role": "assistant", "content": "xx"},
    ]


# --- the prompts ------------------------------------------------------------------------------------------------------


def test_token_ids_where_the_template_is_ours(tokenizer: Any) -> None:
    model, (row,) = played(plan(Design([2], pool=2), asked("m", tokenizer, by_tokens=True)), Item(ONE), 2)
    direct, refine = (model.asked_for(kind)[0].prompt for kind in ("candidate 0", "refinement 0"))
    assert direct == encode_prompt(tokenizer, [{"role": "user", "content": "What is 1 + 1? Box it."}])
    shown = "\n\n".join(f"{i}: {text}" for i, text in enumerate(texts(row.candidates), start=1))
    content = f"What is 1 + 1?\n{shown}\nBetter?"
    assert refine == encode_prompt(tokenizer, [{"role": "user", "content": content}])
    assert model.requests[0].path == "/completions"


@pytest.mark.parametrize("by_tokens", [False, True])
def test_candidates_are_shortened_to_the_budget(tokenizer: Any, by_tokens: bool) -> None:
    async def says(request: Request) -> Answer:
        return Answer("word " * 300 + f"\\boxed{{{request.index}}}")

    refiner = asked("m", tokenizer, by_tokens, max_tokens=200)
    model, (row,) = played(plan(Design([2], pool=2), refiner), Item(ONE), 2, Model(says))
    assert all(one.text.startswith("[cut off]") and one.text.endswith("}") for one in row.candidates)
    prompt: Any = model.asked_for("refinement 0")[0].prompt
    ids = prompt if by_tokens else encode_prompt(tokenizer, prompt)
    assert 150 < len(ids) <= 200


def test_without_a_tokenizer_candidates_are_shown_whole() -> None:
    async def says(request: Request) -> Answer:
        return Answer("word " * 3000, "a thought", cut_off=request.index == 1)

    _, (row,) = played(plan(Design([2], pool=2)), Item(ONE), 2, Model(says))
    whole = ("word " * 3000).strip()
    assert sorted(texts(row.candidates)) == [whole, f"{whole} [cut off]"]


def test_a_problem_that_leaves_no_room_is_named(tokenizer: Any) -> None:
    with pytest.raises(
        UsageError, match=r"problem 1 of toy: .* tokens, the refinement prompt may have 10; raise actor"
    ):
        played(plan(Design([2], pool=2), asked("m", tokenizer, max_tokens=10)), Item(ONE), 2)
