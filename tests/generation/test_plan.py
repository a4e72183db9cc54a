"""The requests for a problem, and the episodes that the answers become."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gsr_rl.episode import Episode, Problem
from gsr_rl.errors import UsageError
from gsr_rl.generation.generate import Job
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import (
    ModelAccess,
    Plan,
    PlanItem,
    missing,
    plan_items,
    planned_episodes,
    sample_pools,
)
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.scores import Scorer
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.prompts import PromptSet, encode_prompt, shown_order, shuffled_order
from gsr_rl.settings.evaluation import Design

PROMPTS = PromptSet(direct="{problem} Box it.", refine="{problem}\n{candidates}\nBetter?", candidate="{index}: {text}")
ONE, TWO = Problem("1", "toy", "What is 1 + 1?", "2"), Problem("2", "toy", "What is 1 + 2?", "3")


def access(name: str = "m", tokenizer: Any = None, by_tokens: bool = False, max_tokens: int = 1000) -> ModelAccess:
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


def test_the_first_k_of_the_pool_are_refined_and_the_rest_are_extra() -> None:
    model, (row,) = played(plan(Design([3], pool=5, m=2)), PlanItem(ONE), 3)
    pool = [f"candidate 0/{i}/{i + 1} \\boxed{{{i + 1}}}" for i in range(5)]
    order = shown_order(3, 7, "1")
    assert order == shuffled_order(3, 7, "eval", "1", "order")  # as in journals of earlier runs
    assert sorted(order) == [0, 1, 2]
    assert texts(row.candidates) == [pool[i] for i in order]
    assert texts(row.extra_candidates) == pool[3:]
    assert texts(row.refinements) == [f"refinement 0/{i}/{6 + i} \\boxed{{{6 + i}}}" for i in range(2)]
    assert [refinement.answer for refinement in row.refinements] == ["6", "7"]
    assert [candidate.correct for candidate in row.candidates] == [i == 1 for i in order]  # the gold is 2
    assert [candidate.n_tokens for candidate in row.candidates] == [i + 1 for i in order]
    assert (row.model, row.refiner, row.round, row.swapped_refinements) == ("m", "m", 1, ())
    (prompt,) = {str(request.prompt) for request in model.requests_for("refinement 0")}
    shown = "\n\n".join(f"{place}: {pool[i]}" for place, i in enumerate(order, start=1))
    assert prompt == str([{"role": "user", "content": f"What is 1 + 1?\n{shown}\nBetter?"}])
    assert {request.parameters["max_tokens"] for request in model.requests_for("candidate 0")} == {5}
    assert {request.parameters["max_tokens"] for request in model.requests_for("refinement 0")} == {9}


def test_a_slow_problem_does_not_hold_up_the_refinements_of_another() -> None:
    async def both() -> None:
        refined = asyncio.Event()

        async def says(request: Request) -> Answer:
            if request.prompt[0]["content"].startswith(ONE.problem):  # pyright: ignore
                await refined.wait()
            elif request.kind == "refinement 0":
                refined.set()
            return Answer("\\boxed{3}")

        model, both_refined = Model(says), plan(Design([2], pool=3))
        tasks = (both_refined.generate(model.ask, PlanItem(problem)) for problem in (ONE, TWO))
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        assert len(model.requests) == 8

    asyncio.run(both())


def test_each_response_is_judged_once() -> None:
    judged: Counter[str] = Counter()

    def judge(problem: Problem, text: str) -> bool:
        judged[text] += 1
        return True

    judging = replace(plan(Design([2, 3], pool=4, m=2)), judge=judge)
    model, _ = played(judging, PlanItem(ONE), 2)
    asyncio.run(judging.episodes(model.journal, PlanItem(ONE), 3))
    assert len(judged) == 4 + 2 + 2 and set(judged.values()) == {1}


def test_each_repeat_has_answers_and_an_order_of_its_own() -> None:
    eight, model = plan(Design([8], pool=8)), Model()
    rows = [played(eight, PlanItem(ONE, repeat), 8, model)[1][0] for repeat in range(3)]
    assert len(model.requests) == 3 * 9
    orders = [[int(text.split("/")[1]) for text in texts(row.candidates)] for row in rows]
    assert orders == [shown_order(8, 7, "1", repeat) for repeat in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert {len({request.key for request in model.requests}), len({request.seed for request in model.requests})} == {27}


def test_a_larger_pool_or_another_size_asks_only_for_what_is_new() -> None:
    model, _ = played(plan(Design([2], pool=3)), PlanItem(ONE), 2)
    played(plan(Design([2, 4], pool=6)), PlanItem(ONE), 2, model)
    assert Counter(request.kind for request in model.requests) == {"candidate 0": 6, "refinement 0": 2}


def test_a_sweep_refines_sets_of_every_size_of_one_pool() -> None:
    sweep = plan(Design([1, 2, 4], pool=5, m=2))
    model, _ = played(sweep, PlanItem(ONE), 1)
    assert Counter(request.kind for request in model.requests) == {"candidate 0": 5, "refinement 0": 6}
    for k in (1, 2, 4):
        (row,) = asyncio.run(sweep.episodes(model.journal, PlanItem(ONE), k))
        assert {text.split("/")[1] for text in texts(row.candidates)} == {str(i) for i in range(k)}
        assert [text.split("/")[1] for text in texts(row.extra_candidates)] == [str(i) for i in range(k, 5)]


def test_cross_refinement() -> None:
    cross = plan(Design([2], pool=3), access("a"), access("b"))
    model = Model()
    asyncio.run(cross.sample(model.ask, PlanItem(ONE)))
    assert [request.model for request in model.requests] == ["a", "a", "a"]
    _, (row,) = played(cross, PlanItem(ONE), 2, model)
    assert [request.model for request in model.requests] == ["a", "a", "a", "b"]
    assert (row.model, row.refiner) == ("a", "b")


def test_the_control_refines_the_candidates_of_another_problem() -> None:
    two, model = plan(Design([2], pool=3)), Model()
    played(two, PlanItem(TWO), 2, model)
    _, (row,) = played(two, PlanItem(ONE, other=TWO), 2, model)
    assert Counter(request.kind for request in model.requests) == {"candidate 0": 6, "refinement 0": 2, "swapped 0": 1}
    (control,) = model.requests_for("swapped 0")
    others = {f"candidate 0/{i}/{i + 1} \\boxed{{{i + 1}}}" for i in range(2)}
    message = control.prompt[0]["content"]  # pyright: ignore
    assert message.startswith(ONE.problem) and all(text in message for text in others)
    assert texts(row.swapped_refinements) == [model.answers[control.key].text]
    assert not others & set(texts(row.candidates))


def test_rounds_refine_the_refinements_of_the_round_before() -> None:
    population, k, rounds = 5, 2, 3
    recursion = plan(Design([k], population, 1, extra=2, sets=population, rounds=rounds))
    model, rows = played(recursion, PlanItem(ONE), k)
    assert len(model.requests) == population * (1 + rounds)
    assert [row.round for row in rows] == [1] * 5 + [2] * 5 + [3] * 5
    pool = {f"candidate 0/{i}/{i + 1} \\boxed{{{i + 1}}}" for i in range(population)}
    for number in (1, 2, 3):
        of_round = [row for row in rows if row.round == number]
        sets = [frozenset(texts(row.candidates)) for row in of_round]
        assert len(set(sets)) == population and all(len(drawn) == k and drawn <= pool for drawn in sets)
        for row, chosen in zip(of_round, sets, strict=True):
            extra = set(texts(row.extra_candidates))
            assert len(extra) == 2 and extra <= pool - chosen and len(row.refinements) == 1
        pool = {row.refinements[0].text for row in of_round}
        assert len(pool) == population
    figures = evaluate(rows)["toy"]
    assert list(figures["rounds"]) == ["1", "2", "3"] and figures["n"] == 1 and figures["sets"] == population


def test_sets_of_a_round_are_drawn_evenly() -> None:
    """Over 30 problems, with 5 sets of 2 of 5 candidates each, every candidate is in about 60 sets."""
    recursion, model = plan(Design([2], 5, 1, extra=0, sets=5)), Model()
    counts: Counter[str] = Counter()
    for i in range(30):
        _, rows = played(recursion, PlanItem(replace(ONE, id=str(i))), 2, model)
        counts.update(text.split("/")[1] for row in rows for text in texts(row.candidates))
    sigma = math.sqrt(150 * 0.4 * 0.6)
    assert all(abs(count - 60) < 4 * sigma for count in counts.values()) and sum(counts.values()) == 300


def test_scores_of_the_whole_pool() -> None:
    async def says(request: Request) -> Answer:
        if request.kind == "score":
            return Answer(repr(float(len(request.prompt[1]["content"]))))  # pyright: ignore
        return Answer(f"<think>hm</think>{'x' * request.index}")

    model, unscored = Model(says), plan(Design([2], pool=3))
    _, (row,) = played(unscored, PlanItem(ONE, other=TWO), 2, model)
    assert {candidate.score for candidate in (*row.candidates, *row.extra_candidates)} == {None}
    scored = replace(unscored, scorer=Scorer("rm", PROMPTS))
    asyncio.run(scored.sample(model.ask, PlanItem(ONE, other=TWO)))
    (row,) = asyncio.run(scored.episodes(model.journal, PlanItem(ONE, other=TWO), 2))
    assert [(candidate.text, candidate.score) for candidate in (*row.candidates, *row.extra_candidates)] == [
        *sorted([("", 0.0), ("x", 1.0)], key=lambda pair: shown_order(2, 7, "1")[len(pair[0])]),
        ("<think>hm</think>xx", 2.0),
    ]
    conversation = model.requests_for("score")[2].prompt
    assert conversation == [
        {"role": "user", "content": "What is 1 + 1? Box it."},
        {"role": "assistant", "content": "xx"},
    ]


# --- the prompts ------------------------------------------------------------------------------------------------------


def test_token_ids_where_the_chat_template_is_ours_to_apply(tokenizer: Any) -> None:
    model, (row,) = played(plan(Design([2], pool=2), access("m", tokenizer, by_tokens=True)), PlanItem(ONE), 2)
    direct, refine = (model.requests_for(kind)[0].prompt for kind in ("candidate 0", "refinement 0"))
    assert direct == encode_prompt(tokenizer, [{"role": "user", "content": "What is 1 + 1? Box it."}])
    shown = "\n\n".join(f"{i}: {text}" for i, text in enumerate(texts(row.candidates), start=1))
    content = f"What is 1 + 1?\n{shown}\nBetter?"
    assert refine == encode_prompt(tokenizer, [{"role": "user", "content": content}])
    assert model.requests[0].path == "/completions"


@pytest.mark.parametrize("by_tokens", [False, True])
def test_candidates_are_shortened_to_the_budget(tokenizer: Any, by_tokens: bool) -> None:
    async def says(request: Request) -> Answer:
        return Answer("word " * 300 + f"\\boxed{{{request.index}}}")

    refiner = access("m", tokenizer, by_tokens, max_tokens=200)
    model, (row,) = played(plan(Design([2], pool=2), refiner), PlanItem(ONE), 2, Model(says))
    assert all(text.startswith("[cut off]") and text.endswith("}") for text in texts(row.candidates))
    prompt: Any = model.requests_for("refinement 0")[0].prompt
    ids = prompt if by_tokens else encode_prompt(tokenizer, prompt)
    assert 150 < len(ids) <= 200


def test_without_a_tokenizer_candidates_are_shown_whole() -> None:
    async def says(request: Request) -> Answer:
        return Answer("word " * 3000, "a thought", cut_off=request.index == 1)

    _, (row,) = played(plan(Design([2], pool=2)), PlanItem(ONE), 2, Model(says))
    whole = ("word " * 3000).strip()
    assert sorted(texts(row.candidates)) == [whole, f"{whole} [cut off]"]


def test_a_problem_that_leaves_no_room_is_named(tokenizer: Any) -> None:
    with pytest.raises(
        UsageError, match=r"problem 1 of toy: .* tokens, the refinement prompt may have 10; raise actor"
    ):
        played(plan(Design([2], pool=2), access("m", tokenizer, max_tokens=10)), PlanItem(ONE), 2)


# --- items, and a plan against a journal ------------------------------------------------------------------------------


def test_a_control_is_among_the_first_problems_in_their_first_repeat() -> None:
    four, two, alone = (
        [Problem(str(i), name, "?", "1") for i in range(n)] for name, n in (("a", 4), ("b", 2), ("c", 1))
    )
    items = plan_items(four, repeats=2, swapped=3)
    assert [(item.problem.id, item.repeat) for item in items] == [
        (str(i), repeat) for i in range(4) for repeat in (0, 1)
    ]
    assert {item.problem.id: item.other.id for item in items if item.other} == {"0": "1", "1": "2", "2": "0"}
    assert all(item.other is None for item in items if item.repeat)
    assert [item.other and item.other.id for item in plan_items(two, swapped=3)] == ["1", "0"]
    # Nobody's candidates are left for a problem that is alone.
    assert [item.other for item in (*plan_items(alone, swapped=3), *plan_items(four, swapped=1))] == [None] * 5
    assert [item.other for item in plan_items(four)] == [None] * 4


def answering(model: Model) -> Any:
    """A backend that writes the model's answers to the journal."""

    def backend(journal: Journal, job: Job[Any, Any]) -> list[Any]:
        async def ask(request: Request) -> Answer:
            answer = await model.ask(request)
            journal.write([(request.key, request.row(answer))])
            return answer

        async def work() -> list[Any]:
            return [await job.work(ask, item) for item in job.items]

        return asyncio.run(work())

    return backend


def test_items_that_lack_an_answer_and_the_episodes_of_the_others(tmp_path: Path) -> None:
    small = plan(Design([2], pool=3))
    items, model = plan_items([ONE, TWO], repeats=2, swapped=2), Model()
    with Journal(tmp_path / "answers.jsonl") as journal:
        assert missing(journal, items, small.generate) == items
        answering(model)(journal, Job("test", items[:2], small.generate))
        # The control of the first problem has asked for the candidates of the second.
        assert missing(journal, items, small.sample) == items[3:]
        assert missing(journal, items, small.generate) == items[2:]
        with pytest.raises(KeyError):
            list(planned_episodes(small, journal, items, 2))
        rows = list(planned_episodes(small, journal, items[:2], 2))
        assert [row.id for row in rows] == ["1", "1"] and len({texts(row.candidates)[0] for row in rows}) == 2
        assert [len(row.swapped_refinements) for row in rows] == [1, 0]
        (asked,) = asyncio.run(small.episodes(model.journal, items[0], 2))
        assert rows[0] == asked


def test_pools_are_sampled_in_the_order_of_their_requests(tmp_path: Path) -> None:
    model = Model()
    with Journal(tmp_path / "answers.jsonl") as journal:
        pools = list(sample_pools(plan(Design([2], pool=3)), answering(model), journal, [ONE, TWO]))
    assert [(pool.id, texts(pool.candidates)) for pool in pools] == [
        (str(n + 1), [f"candidate 0/{i}/{3 * n + i + 1} \\boxed{{{3 * n + i + 1}}}" for i in range(3)])
        for n in range(2)
    ]
    assert [candidate.correct for candidate in pools[0].candidates] == [False, True, False]
    assert {request.kind for request in model.requests} == {"candidate 0"}
