import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from adder import Here, jsonl, sums
from tiny import tiny_tokenizer

from gsr_rl.generation import serve


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of a model that is read where a stand-in samples: its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """A file of problems as a benchmark."""
    return jsonl(tmp_path / "sums.jsonl", sums())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Here]:
    """A stand-in for the servers that a stage starts on this machine."""
    command = serve.command
    with Here(tmp_path / "end") as server:
        monkeypatch.setattr(serve, "_free_port", lambda: server.port)
        monkeypatch.setattr(serve, "command", lambda *arguments: server.command(command(*arguments)))
        yield server
