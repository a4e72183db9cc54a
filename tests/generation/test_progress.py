"""What is said while servers are asked, though no item may be done for long."""

import pytest
from scripted_server import MODEL, ScriptedServer

from gsr_rl.generation import generate as generation
from gsr_rl.generation.generate import Ask, for_all
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Request
from gsr_rl.settings.served import Served


def test_answers_are_told_of_before_an_item_is_done(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generation, "LINES_S", 0.0)

    async def work(ask: Ask, item: int) -> None:
        for index in range(5):
            await ask(Request("direct", MODEL, [{"role": "user", "content": "?"}], {}, index))

    with ScriptedServer() as server, Journal(tmp_path_factory.mktemp("progress") / "answers.jsonl") as journal:
        served = Served([server.url], MODEL, "KEY", 4, 20.0, 0.1, None, None, {}, {})
        for_all(served, journal, [1], work, what="eval", total=1)
    lines = [line for line in capfd.readouterr().err.splitlines() if "tokens/s" in line]
    assert lines[0].startswith("gsr-rl eval: 0 of 1, ") and "requests/s" in lines[0]
    assert lines[0].endswith("10 tokens in, 3 out") and lines[-1].endswith("50 tokens in, 15 out")
    assert lines[-1].startswith("gsr-rl eval: 1 of 1, ")
