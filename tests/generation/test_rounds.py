"""Work for an engine that takes many requests at once: the same results as from servers, in rounds of requests."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_server import MODEL, Handler, Reply, ScriptedServer, completion, of_messages_and_seed

from data_prep.rows import SftRow
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from gsr_rl.generation import progress
from gsr_rl.generation.generate import Ask, Backend, Job, ask_servers
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.rounds import Sample, in_rounds
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.served import Served
from gsr_rl.settings.teach import Teach

PROMPTS = PromptSet()
PROBLEMS = [Problem(f"p{i}", "d", f"Which digit is {i}?", "7") for i in range(40)]
TRIES = 3


class Engine:
    """Answers as a scripted server, last request first, in blocks of 4; keeps the requests of each round."""

    def __init__(self, handler: Handler = of_messages_and_seed) -> None:
        self.handler = handler
        self.rounds: list[list[Request]] = []

    def __call__(self, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        assert {request.model for request in requests} == {MODEL}
        self.rounds.append(list(requests))
        last_first = list(requests)[::-1]
        for first in range(0, len(requests), 4):
            yield [(request.key, self.answer(request)) for request in last_first[first : first + 4]]

    def answer(self, request: Request) -> Answer | str:
        reply = self.handler(request.body())
        assert isinstance(reply, Reply)
        return request.read(reply.body) if reply.status == 200 else json.loads(reply.body)["error"]["message"]


class TwiceEach(Engine):
    """Every block comes twice, as after a retry; the second time with other texts, to tell which texts are kept."""

    def __call__(self, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        for block in super().__call__(requests):
            yield block
            yield [(key, Answer("another")) for key, _ in block]


def targets(path: Path, backend: Backend) -> tuple[list[SftRow], Outcomes]:
    llm = {"model": MODEL, "max_tokens": 50}
    teacher = LlmTeacher(
        teach=Teach.of({"teacher": "llm", "refine_weight": 0.5, "tries": TRIES, "llm": llm}, "teach"),
        model=MODEL,
        prompts=PROMPTS,
        teacher_prompts=PROMPTS,
        run_seed=0,
        judge=lambda problem, text: text.endswith(f"{{{problem.gold}}}"),
        backend=backend,
    )
    with Journal(path) as journal:
        return teacher.rows(journal, PROBLEMS, [])


def by(sample: Sample) -> Backend:
    return partial(in_rounds, sample, Served(model=MODEL))


def at(server: ScriptedServer) -> Backend:
    return partial(ask_servers, Served(urls=[server.url], model=MODEL, retry_s=0.01))


@pytest.fixture(scope="module")
def by_a_server(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SftRow], Outcomes]:
    with ScriptedServer() as server:
        return targets(tmp_path_factory.mktemp("server") / "answers.jsonl", at(server))


@pytest.mark.parametrize("kind", [Engine, TwiceEach])
def test_rows_and_their_order_are_those_of_a_server(
    tmp_path: Path, by_a_server: tuple[list[SftRow], Outcomes], kind: type[Engine]
) -> None:
    engine = kind()
    assert targets(tmp_path / "answers.jsonl", by(engine)) == by_a_server
    indices = [[request.index for request in requests] for requests in engine.rounds]
    # Each round holds one try of all problems without a correct target.
    assert [set(round_) for round_ in indices] == [{number} for number in range(TRIES)]
    assert len(indices[0]) == len(PROBLEMS) > len(indices[1]) > len(indices[2])
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == sum(map(len, indices))


def test_after_an_interrupt_in_the_middle_of_a_round_nothing_that_was_answered_is_asked_for_again(
    tmp_path: Path, by_a_server: tuple[list[SftRow], Outcomes]
) -> None:
    class Killed(BaseException):
        pass

    class Dies(Engine):
        def __call__(self, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
            yield from list(super().__call__(requests))[:3]
            raise Killed

    path = tmp_path / "answers.jsonl"
    with pytest.raises(Killed):
        targets(path, by(Dies()))
    before = {json.loads(line)["key"] for line in path.read_text().splitlines()}
    assert len(before) == 3 * 4
    engine = Engine()
    assert targets(path, by(engine)) == by_a_server
    keys = [request.key for requests in engine.rounds for request in requests]
    assert len(keys) == len(set(keys)) and not before & set(keys)
    again = Engine()
    assert targets(path, by(again)) == by_a_server
    assert again.rounds == []


def test_a_run_that_began_with_servers_resumes_in_rounds(
    tmp_path: Path, by_a_server: tuple[list[SftRow], Outcomes]
) -> None:
    path = tmp_path / "answers.jsonl"
    with ScriptedServer() as server:
        targets(path, at(server))
    engine = Engine()
    assert targets(path, by(engine)) == by_a_server
    assert engine.rounds == []


def test_requests_without_an_answer_end_the_run_after_the_others(tmp_path: Path) -> None:
    def refuses_one(body: dict[str, Any]) -> Reply:
        if "digit is 5?" in body["messages"][-1]["content"]:
            return Reply(400, b'{"error": {"message": "prompt too long"}}')
        return of_messages_and_seed(body)

    path = tmp_path / "answers.jsonl"
    with pytest.raises(
        UsageError, match=r"1 requests to toy failed, one of them with: prompt too long; the same command"
    ):
        targets(path, by(Engine(refuses_one)))
    assert len(path.read_text().splitlines()) == len(PROBLEMS) - 1


def test_an_engine_that_answers_nothing_ends_the_run(tmp_path: Path) -> None:
    def nothing(requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        yield []

    with pytest.raises(UsageError, match=rf"{len(PROBLEMS)} requests to toy failed, one of them with: no answer came"):
        targets(tmp_path / "answers.jsonl", by(nothing))


def test_a_model_without_any_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^vLLM: no answer of toy has a text"):
        targets(tmp_path / "answers.jsonl", by(Engine(lambda _: completion(""))))


def test_results_are_in_the_order_of_the_items_and_items_may_share_requests(tmp_path: Path) -> None:
    async def work(ask: Ask, item: int) -> str:
        first = await ask(Request("direct", MODEL, [{"role": "user", "content": f"{item % 2}?"}]))
        return (await ask(Request("refine", MODEL, [{"role": "user", "content": first.text}]))).text

    engine = Engine()
    with Journal(tmp_path / "answers.jsonl") as journal:
        results = by(engine)(journal, Job("test", range(300), work))
        assert len(journal) == 4
    assert [len(requests) for requests in engine.rounds] == [2, 2]
    assert len(results) == 300 and results[:2] * 150 == results and results[0] != results[1]


def test_an_error_of_the_work_is_raised_as_it_is(tmp_path: Path) -> None:
    async def work(ask: Ask, item: int) -> str:
        raise ZeroDivisionError

    with Journal(tmp_path / "answers.jsonl") as journal, pytest.raises(ZeroDivisionError):
        by(Engine())(journal, Job("test", [1], work))


def test_a_round_has_all_requests_that_need_no_answer_of_it(tmp_path: Path) -> None:
    """An item may ask for several answers at the same time, and need other answers before some of them."""

    async def work(ask: Ask, item: int) -> list[Answer]:
        async def slow(number: int) -> Answer:
            for _ in range(number):
                await asyncio.to_thread(time.sleep, 0.01)
            return await ask(Request(f"slow {number}", MODEL, [{"role": "user", "content": f"{item}?"}]))

        await ask(Request("first", MODEL, [{"role": "user", "content": f"{item}?"}]))
        return list(await asyncio.gather(*(slow(number) for number in range(3))))

    engine = Engine()
    with Journal(tmp_path / "answers.jsonl") as journal:
        by(engine)(journal, Job("test", range(2), work))
    assert [len(requests) for requests in engine.rounds] == [2, 2 * 3]


def test_the_rate_of_a_round_is_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    now = 0.0

    class Slow(Engine):
        def answer(self, request: Request) -> Answer | str:
            nonlocal now
            now += 1.0 if request.kind == "first" else 0.5
            return super().answer(request)

    async def work(ask: Ask, item: int) -> None:
        for kind in ("first", "second"):
            await ask(Request(kind, MODEL, [{"role": "user", "content": f"{item}?"}]))

    with pytest.MonkeyPatch.context() as patch, Journal(tmp_path / "answers.jsonl") as journal:
        patch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
        by(Slow())(journal, Job("test", range(4), work))
    lines = [line for line in capfd.readouterr().err.splitlines() if "4 of 4" in line]
    assert [line.partition("/s, ")[2] for line in lines] == [
        "1.0 requests/s, 3 tokens/s, 40 tokens in, 12 out",
        "2.0 requests/s, 6 tokens/s, 80 tokens in, 24 out",  # tokens of both rounds
    ]
