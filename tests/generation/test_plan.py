"""The requests for a problem, and the episodes that the answers become."""

import asyncio
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from plans import ONE, PROMPTS, TWO, Model, access, plan, played, texts

from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from gsr_rl.generation.plan import PlanItem
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.scores import Scorer
from gsr_rl.metrics.all_metrics import evaluate
from gsr_rl.prompts import encode_prompt, shown_order, shuffled_order
from gsr_rl.settings.evaluation import Design


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


def test_one_text_with_two_golds_is_judged_for_each() -> None:
    """A problem of two benchmarks: the answers are the same, the verdicts are not."""
    shared = plan(Design([1], pool=1, extra=0))
    model = Model()
    five, seven = (Problem("x", dataset, "What?", gold) for dataset, gold in (("a", "1"), ("b", "7")))
    _, (first,) = played(shared, PlanItem(five), 1, model)
    _, (second,) = played(shared, PlanItem(seven), 1, model)
    assert first.candidates[0].text == second.candidates[0].text
    assert (first.candidates[0].correct, second.candidates[0].correct) == (True, False)
