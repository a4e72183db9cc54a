"""The client of OpenAI-compatible servers, against a server on a real socket that fails as real servers do."""

import asyncio
import email.utils
import json
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import (
    MODEL,
    Act,
    Body,
    Reply,
    ScriptedServer,
    completion,
    error,
    faulty,
    of_messages_and_seed,
    times_asked,
)

from gsr_rl.errors import UsageError
from gsr_rl.generation import servers
from gsr_rl.generation.generate import Ask, Job, ask_servers, usage
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Answer, Request
from gsr_rl.generation.servers import REQUEST_TRIES, check_servers
from gsr_rl.settings.served import Served

KEY = "sk-very-secret"


def served(*urls: str, **changes: Any) -> Served:
    values: dict[str, Any] = {
        "urls": list(urls),
        "model": MODEL,
        "api_key_env": "TEACH_TEST_KEY",
        "concurrency": 8,
        "timeout_s": 20.0,
        "retry_s": 0.01,
    }
    return Served(**(values | changes))


def requests(n: int, kind: str = "direct") -> Iterator[Request]:
    return (Request(kind, MODEL, [{"role": "user", "content": f"{i}?"}], {"max_tokens": 5}) for i in range(n))


def expected(n: int) -> list[str]:
    """The server's texts, worked out without the client."""
    bodies = [json.loads(of_messages_and_seed(request.body()).body) for request in requests(n)]
    return [body["choices"][0]["message"]["content"] for body in bodies]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "answers.jsonl") as journal:
        yield journal


def ask_all(server: Served, journal: Journal, requests: Iterable[Request]) -> list[Answer]:
    async def work(ask: Ask, request: Request) -> Answer:
        return await ask(request)

    return ask_servers(server, journal, Job("test", requests, work))


def texts(server: Served, journal: Journal, n: int) -> list[str]:
    return [answer.text for answer in ask_all(server, journal, requests(n))]


def test_answers_come_in_the_order_of_the_requests_and_are_asked_for_once(journal: Journal) -> None:
    with ScriptedServer(delay=0.01) as server:
        assert texts(served(server.url), journal, 100) == expected(100)
        assert server.peak == 8
        assert texts(served(server.url), journal, 120) == expected(120)
        assert (server.seen, len(journal)) == (120, 120)
    assert texts(served("http://127.0.0.1:1/v1"), journal, 120) == expected(120)  # nothing is pending


def test_token_ids_go_to_the_other_path(journal: Journal) -> None:
    def handler(body: Body) -> Act:
        return Reply(200, json.dumps({"choices": [{"text": f"{body['prompt']}", "finish_reason": "length"}]}).encode())

    with ScriptedServer(handler) as server:
        request = Request("candidate", MODEL, [3, 1, 4], {"max_tokens": 5})
        assert ask_all(served(server.url), journal, [request]) == [Answer("[3, 1, 4]", cut_off=True)]


def test_nothing_is_lost_or_doubled_when_calls_fail(journal: Journal) -> None:
    n, share = 200, 0.3
    with ScriptedServer(faulty(share, seed=1)) as server:
        assert texts(served(server.url, timeout_s=0.5, concurrency=32), journal, n) == expected(n)
        assert server.seen > n / (1 - share) * 0.8
        assert len(times_asked(server.bodies)) == n
        assert server.peak <= 32
    assert len(journal) == n == len(journal.path.read_text().splitlines())


def test_work_is_spread_and_a_server_that_is_down_leaves_its_work_to_the_others(
    journal: Journal, capfd: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(delay=0.005) as first, ScriptedServer(delay=0.005) as second:
        with ScriptedServer(lambda _: error(503, "loading")) as bad:
            assert texts(served(first.url, second.url, bad.url, concurrency=4), journal, 200) == expected(200)
        assert first.answered + second.answered == 200
        assert min(first.answered, second.answered) > 60
        assert max(first.peak, second.peak) <= 4
        assert bad.seen < 60  # suspended after ten failures in a row, and then tried by single requests
    assert "fails (503 loading); suspended for" in capfd.readouterr().err


def test_while_all_servers_are_down_requests_are_retried(journal: Journal, capfd: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    with ScriptedServer(
        lambda body: error(500, "hm") if time.monotonic() < started + 0.6 else of_messages_and_seed(body)
    ) as server:
        assert texts(served(server.url), journal, 30) == expected(30)
    err = capfd.readouterr().err
    assert "no other server is left, so all requests wait" in err and "answers again" in err


@pytest.mark.parametrize("as_date", [False, True])
def test_the_time_that_a_busy_server_asks_for_is_honoured(journal: Journal, as_date: bool) -> None:
    at: list[float] = []

    def handler(body: Body) -> Act:
        at.append(time.time())
        # A date has whole seconds only.
        later = email.utils.formatdate(int(at[0]) + 2, usegmt=True) if as_date else "1"
        return error(429, "slow down", retry_after=later) if len(at) == 1 else of_messages_and_seed(body)

    with ScriptedServer(handler) as server:
        assert texts(served(server.url), journal, 1) == expected(1)
    assert len(at) == 2
    assert at[1] >= (int(at[0]) + 2 if as_date else at[0] + 1)


def test_equal_requests_of_several_items_are_sent_once(journal: Journal) -> None:
    async def work(ask: Ask, n: int) -> list[str]:
        answers = await asyncio.gather(*(ask(request) for request in requests(2)))
        return [answer.text for answer in answers]

    with ScriptedServer(delay=0.05) as server:
        assert ask_servers(served(server.url), journal, Job("test", range(3), work)) == [expected(2)] * 3
        assert server.seen == 2


def test_requests_may_depend_on_answers(journal: Journal) -> None:
    """Refinements depend on candidates: each item goes on as soon as its own answers are in."""

    async def work(ask: Ask, request: Request) -> str:
        first = await ask(request)
        return (await ask(Request("refine", MODEL, [{"role": "user", "content": first.text}]))).text

    with ScriptedServer() as server:
        results = ask_servers(served(server.url), journal, Job("test", requests(5), work, total=5))
        assert server.seen == 10
    assert [row["kind"] for row in journal.rows()].count("refine") == 5
    bodies = [Request("refine", MODEL, [{"role": "user", "content": text}]).body() for text in expected(5)]
    second = [json.loads(of_messages_and_seed(body).body)["choices"][0]["message"]["content"] for body in bodies]
    assert results == second


def test_items_are_taken_when_there_is_room(journal: Journal) -> None:
    taken: list[int] = []
    ahead: list[int] = []

    def items() -> Iterator[Request]:
        for request in requests(300):
            taken.append(1)
            ahead.append(len(taken) - len(journal))
            yield request

    with ScriptedServer() as server:
        ask_all(served(server.url, concurrency=5), journal, items())
    assert max(ahead) <= 2 * 5 + 1


# --- what stops a job -------------------------------------------------------------------------------------------------


def stopped(server: Served, journal: Journal, n: int = 20) -> str:
    with pytest.raises(UsageError) as raised:
        texts(server, journal, n)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_refused_request_stops_the_job_and_what_was_answered_stays(journal: Journal) -> None:
    def handler(body: Body) -> Act:
        refused = body["messages"][0]["content"] == "15?"
        return error(400, "the prompt is\ntoo long") if refused else of_messages_and_seed(body)

    with ScriptedServer(handler) as server:
        said = stopped(served(server.url, concurrency=1), journal)
        assert said == f"{server.url}: 400 the prompt is too long; fix the request or the server"
        assert len(journal) >= 14
        server.handler = of_messages_and_seed
        assert texts(served(server.url), journal, 20) == expected(20)
        assert server.seen <= 22  # the refused request twice, and a request that was in flight then


def test_a_wrong_key_is_named_by_its_variable_and_never_shown(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEACH_TEST_KEY", KEY)
    with ScriptedServer(lambda _: error(401, f"wrong key {KEY}")) as server:
        said = stopped(served(server.url), journal)
        assert said == f"{server.url}: 401 wrong key ***; put the right key into the variable TEACH_TEST_KEY"
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        server.handler = lambda body: error(500, KEY) if len(server.bodies) < 9 else of_messages_and_seed(body)
        texts(served(server.url), journal, 20)
    captured = capfd.readouterr()
    assert KEY not in captured.out + captured.err
    assert not any(KEY in path.read_text() for path in journal.path.parent.iterdir())


def test_a_request_that_always_fails_is_given_up_and_the_others_are_done(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "LONGEST_RETRY_S", 0.01)

    def handler(body: Body) -> Act:
        return error(500, "boom") if body["messages"][0]["content"] == "0?" else of_messages_and_seed(body)

    with ScriptedServer(handler) as server:
        said = stopped(served(server.url), journal, 300)
        assert said == (
            f"test: 1 requests failed time and again, one of them at {server.url}: 500 boom; "
            "fix the server; the same command asks for these requests alone"
        )
        times = times_asked(server.bodies)
        assert sorted(times.values())[-2:] == [1, REQUEST_TRIES]
        assert len(journal) == 299


@pytest.mark.parametrize("text", ["", None])
def test_answers_stop_the_job_if_none_has_a_text(journal: Journal, text: str | None) -> None:
    with ScriptedServer(lambda _: completion(text)) as server:
        for n in (3, 100):
            said = stopped(served(server.url), journal, n)
            assert said.startswith(f"{server.url}: no answer of toy has a text; raise its max_tokens")
            assert str(journal.path) in said
        # 3 of the first start, 32 after which the second stops, and those in flight: two for each of 8 slots
        assert len(journal) <= 3 + 32 + (2 * 8 - 1)


def test_some_answers_without_text_are_answers(journal: Journal) -> None:
    """Asked for three times if the model seems to have stopped at once, and once if it was cut off."""

    def handler(body: Body) -> Act:
        content = body["messages"][0]["content"]
        if content == "3?":
            return completion("")
        if content == "4?":
            return completion(None, reasoning_content="hm, hm", finish_reason="length")
        return of_messages_and_seed(body)

    with ScriptedServer(handler) as server:
        answers = ask_all(served(server.url), journal, requests(6))
        assert answers[3] == Answer("", prompt_tokens=10, tokens=3)
        assert answers[4] == Answer("", "hm, hm", cut_off=True, prompt_tokens=10, tokens=3)
        assert [answers[i].text for i in (0, 5)] == [expected(6)[i] for i in (0, 5)]
        assert sorted(times_asked(server.bodies).values()) == [1, 1, 1, 1, 1, 3]
    assert len(journal) == 6


# --- before the start -------------------------------------------------------------------------------------------------


def test_servers_that_answer_and_have_the_model_pass() -> None:
    with ScriptedServer(models=("other", MODEL)) as first, ScriptedServer() as second:
        check_servers(served(first.url, f"{second.url}/"), "teach.llm")


def test_a_server_that_is_not_there(journal: Journal) -> None:
    with socket.socket() as nobody, ScriptedServer() as server:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        with pytest.raises(UsageError) as raised:
            check_servers(served(server.url, url), "teach.llm")
    assert str(raised.value).startswith(f"{url}: does not answer (")
    assert str(raised.value).endswith("); start the server, or fix teach.llm.urls")


def test_a_model_that_is_not_served() -> None:
    with ScriptedServer(models=("a", "b")) as server, pytest.raises(UsageError) as raised:
        check_servers(served(server.url), "teach.student")
    assert str(raised.value) == f"{server.url}: does not serve 'toy', but a, b; set teach.student.model"


def test_a_url_without_its_end() -> None:
    with ScriptedServer() as server, pytest.raises(UsageError) as raised:
        check_servers(served(server.url.removesuffix("/v1")), "teach.llm")
    assert "404 no /models here; give the base URL, which usually ends in /v1" in str(raised.value)


# --- what was used ----------------------------------------------------------------------------------------------------


def test_usage_by_model(journal: Journal) -> None:
    journal.write([("weights of toy", {"weights": "w"})])  # not an answer
    with ScriptedServer(models=("toy", "free")) as server:
        texts(served(server.url), journal, 5)
        ask_all(
            served(server.url, model="free"), journal, [Request("score", "free", [{"role": "user", "content": "?"}])]
        )
    prices = {"price_in": 100.0, "price_out": 1000.0}
    used = usage(
        journal, {"toy": served(server.url, **prices), "free": served(server.url), "unused": served(server.url)}
    )
    assert used == {
        # 50 tokens in at 100 dollars a million and 15 out at 1000 are 2 cents.
        "toy": {"answers": 5, "tokens in": 50, "tokens out": 15, "dollars": 0.02},
        "free": {"answers": 1, "tokens in": 10, "tokens out": 3},
    }
