"""The items of an evaluation, and its plan against a journal of answers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from plans import ONE, TWO, Model, plan, texts

from gsr_rl.episode import Problem
from gsr_rl.generation.generate import Job
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.plan import missing, plan_items, planned_episodes, sample_pools
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.settings.evaluation import Design


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
