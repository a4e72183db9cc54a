"""Work for an engine that takes many requests at once: the same results as from servers, in rounds of what is owed."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_server import MODEL, Handler, Reply, ScriptedServer, completion, of_messages_and_seed

from data_prep.rows import SftRow
from gsr_rl.episode import Problem
from gsr_rl.errors import UsageError
from gsr_rl.generation.generate import ForAll
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.rounds import in_rounds
from gsr_rl.generation.targets import LlmTeacher, Outcomes
from gsr_rl.prompts import PromptSet
from gsr_rl.settings.gsr import from_mapping
from gsr_rl.settings.recipes import recipes_dir
from gsr_rl.settings.served import Served
from gsr_rl.settings.teach import TeachConfig

PROMPTS = PromptSet()
PROBLEMS = [Problem(f"p{i}", "d", f"Which digit is {i}?", "7") for i in range(40)]
TRIES = 3


class Engine:
    """Answers as the scripted server's handler, last request first, in blocks of 4; notes what each round asks for."""

    def __init__(self, handler: Handler = of_messages_and_seed) -> None:
        self.handler = handler
        self.rounds: list[list[Request]] = []

    def __call__(self, served: Served, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        assert served.model == MODEL
        self.rounds.append(list(requests))
        last_first = list(requests)[::-1]
        for first in range(0, len(requests), 4):
            yield [(one.key, self.answer(one)) for one in last_first[first : first + 4]]

    def answer(self, request: Request) -> Answer | str:
        reply = self.handler(request.body())
        assert isinstance(reply, Reply)
        return request.read(reply.body) if reply.status == 200 else json.loads(reply.body)["error"]["message"]


class TwiceEach(Engine):
    """Every block comes again, as one that was tried again does; with other texts, to tell whose are kept."""

    def __call__(self, served: Served, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        for block in super().__call__(served, requests):
            yield block
            yield [(key, Answer("another")) for key, _ in block]


def targets(path: Path, each: ForAll | None = None, url: str = "http://none/v1") -> tuple[list[SftRow], Outcomes]:
    section: dict[str, Any] = yaml.safe_load((recipes_dir() / "base.yaml").read_text())["teach"]
    section |= {"teacher": "llm", "refine_weight": 0.5, "tries": TRIES}
    section["llm"] |= {"urls": [url], "model": MODEL, "retry_s": 0.01, "max_tokens": 50}
    teach = from_mapping(TeachConfig, section, "teach")
    more = {} if each is None else {"each": each}
    teacher = LlmTeacher(teach, PROMPTS, PROMPTS, 0, lambda problem, text: text.endswith(f"{{{problem.gold}}}"), **more)
    with Journal(path) as journal:
        return teacher.rows(journal, PROBLEMS, [])


@pytest.fixture(scope="module")
def by_a_server(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SftRow], Outcomes]:
    with ScriptedServer() as server:
        return targets(tmp_path_factory.mktemp("server") / "answers.jsonl", url=server.url)


@pytest.mark.parametrize("kind", [Engine, TwiceEach])
def test_rows_and_their_order_are_those_of_a_server(
    tmp_path: Path, by_a_server: tuple[list[SftRow], Outcomes], kind: type[Engine]
) -> None:
    engine = kind()
    assert targets(tmp_path / "answers.jsonl", partial(in_rounds, engine)) == by_a_server
    asked = [[request.index for request in one] for one in engine.rounds]
    # Each round holds one try of all problems without a correct target.
    assert [set(one) for one in asked] == [{number} for number in range(TRIES)]
    assert len(asked[0]) == len(PROBLEMS) > len(asked[1]) > len(asked[2])
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == sum(map(len, asked))


def test_a_second_start_asks_for_what_is_owed_alone(tmp_path: Path, by_a_server: tuple[list[SftRow], Outcomes]) -> None:
    class Killed(BaseException):
        pass

    class Dies(Engine):
        def __call__(self, served: Served, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
            yield from list(super().__call__(served, requests))[:3]
            raise Killed

    path = tmp_path / "answers.jsonl"
    with pytest.raises(Killed):
        targets(path, partial(in_rounds, Dies()))
    before = {json.loads(line)["key"] for line in path.read_text().splitlines()}
    assert len(before) == 3 * 4
    engine = Engine()
    assert targets(path, partial(in_rounds, engine)) == by_a_server
    asked = [request.key for one in engine.rounds for request in one]
    assert len(asked) == len(set(asked)) and not before & set(asked)
    again = Engine()
    assert targets(path, partial(in_rounds, again)) == by_a_server
    assert again.rounds == []


def test_a_run_begun_with_servers_goes_on_in_rounds(tmp_path: Path, by_a_server: tuple[list[SftRow], Outcomes]) -> None:
    path = tmp_path / "answers.jsonl"
    with ScriptedServer() as server:
        targets(path, url=server.url)
    engine = Engine()
    assert targets(path, partial(in_rounds, engine)) == by_a_server
    assert engine.rounds == []


def test_requests_without_an_answer_end_the_run_after_the_others(tmp_path: Path) -> None:
    def refuses_one(body: dict[str, Any]) -> Reply:
        if "digit is 5?" in body["messages"][-1]["content"]:
            return Reply(400, b'{"error": {"message": "prompt too long"}}')
        return of_messages_and_seed(body)

    path = tmp_path / "answers.jsonl"
    with pytest.raises(UsageError, match=r"1 requests to toy failed, one with: prompt too long; the same command"):
        targets(path, partial(in_rounds, Engine(refuses_one)))
    assert len(path.read_text().splitlines()) == len(PROBLEMS) - 1


def test_an_engine_that_gives_no_answer_to_some_does_not_loop(tmp_path: Path) -> None:
    def nothing(served: Served, requests: Sequence[Request]) -> Iterator[Sequence[tuple[str, Answer | str]]]:
        yield []

    with pytest.raises(UsageError, match=rf"{len(PROBLEMS)} requests to toy failed, one with: no answer came"):
        targets(tmp_path / "answers.jsonl", partial(in_rounds, nothing))


def test_a_model_that_never_says_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"teach.engine=ray: no answer of toy has a text"):
        targets(tmp_path / "answers.jsonl", partial(in_rounds, Engine(lambda _: completion(""))))
