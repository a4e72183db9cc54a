"""Progress while servers are asked, even if no item is done for a long time."""

import pytest
from scripted_server import MODEL, ScriptedServer

from gsr_rl.generation import progress
from gsr_rl.generation.generate import Ask, Job, ask_servers
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Request
from gsr_rl.settings.served import Served


def test_answers_are_reported_before_an_item_is_done(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINES_S", 0.0)

    async def work(ask: Ask, item: int) -> None:
        for index in range(5):
            await ask(Request("direct", MODEL, [{"role": "user", "content": "?"}], {}, index))

    with ScriptedServer() as server, Journal(tmp_path_factory.mktemp("progress") / "answers.jsonl") as journal:
        served = Served(urls=[server.url], model=MODEL, concurrency=4, timeout_s=20.0, retry_s=0.1)
        ask_servers(served, journal, Job("eval", [1], work, total=1))
    lines = [line for line in capfd.readouterr().err.splitlines() if "tokens/s" in line]
    assert lines[0].startswith("gsr-rl eval: 0 of 1, ") and "requests/s" in lines[0]
    assert lines[0].endswith("10 tokens in, 3 out") and lines[-1].endswith("50 tokens in, 15 out")
    assert lines[-1].startswith("gsr-rl eval: 1 of 1, ")
