"""The server of a local model: its command line, its start and its end. The real one runs in the end-to-end suite."""

import http.client
import inspect
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from gsr_rl.errors import UsageError
from gsr_rl.generation import serve
from gsr_rl.settings.served import Served

# Becomes healthy at the third request, with a process of its own beside it.
STAND_IN = """
import http.server, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
seen = [0]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        seen[0] += 1
        self.send_response(200 if seen[0] > 2 and self.path == "/health" else 503)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "command", lambda model, port, engine: [sys.executable, "-c", STAND_IN, str(port)])


def local(**changes: Any) -> Served:
    values: dict[str, Any] = {"model": "m", "concurrency": 1, "timeout_s": 1.0}
    return Served(**(values | changes))


def gone(pid: int) -> bool:
    """Whether a process ends within half a minute. Nobody may be there to collect it."""
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        time.sleep(0.05)
    return not psutil.pid_exists(pid)


def test_urls_are_taken_as_they_are(tmp_path: Path) -> None:
    served = local(urls=["http://a/v1"])
    with serve.at_urls(served, {}, tmp_path / "log") as same:
        assert same is served
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_server_serves_until_the_block_ends_in_any_way(tmp_path: Path, stand_in: None, fails: bool) -> None:
    log = tmp_path / "deep" / "llm.log"
    try:
        with serve.at_urls(local(), {}, log) as served:
            (url,) = served.urls
            port = int(url.removeprefix("http://127.0.0.1:").removesuffix("/v1"))
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
            connection.close()
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0
    assert gone(int(log.read_text().split("\n")[0]))


def test_a_server_that_ends_at_its_start_is_named_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [sys.executable, "-c", "print('no such model'); raise SystemExit(3)"]
    monkeypatch.setattr(serve, "command", lambda *_: fails)
    log = tmp_path / "llm.log"
    with pytest.raises(UsageError) as raised, serve.at_urls(local(), {}, log):
        pass
    assert str(raised.value) == f"vllm serve m: ended with exit code 3; its log says why: {log}"
    assert "no such model" in log.read_text()


# --- what we rely on in vLLM ------------------------------------------------------------------------------------------

ENGINE = {"max_model_len": 512, "enforce_eager": True, "block_size": 32, "gpu_memory_utilization": 0.9, "dtype": None}


def test_the_command_line() -> None:
    line = serve.command("folder/model", 8123, {**ENGINE, "enable_prefix_caching": False, "hf_overrides": {"a": [1]}})
    assert line[:5] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", "folder/model"]
    assert line[-10:] == [
        *("--max-model-len", "512", "--enforce-eager", "--block-size", "32", "--gpu-memory-utilization", "0.9"),
        *("--no-enable-prefix-caching", "--hf-overrides", '{"a": [1]}'),
    ]


def test_vllm_reads_the_command_line() -> None:
    from vllm.entrypoints.openai import api_server
    from vllm.entrypoints.openai.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    assert api_server.__name__ == serve.SERVER
    assert 'if __name__ == "__main__":' in inspect.getsource(api_server)
    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(serve.command("m", 8123, ENGINE)[3:])
    assert (arguments.model, arguments.host, arguments.port) == ("m", "127.0.0.1", 8123)
    assert (arguments.max_model_len, arguments.enforce_eager, arguments.block_size) == (512, True, 32)
    assert arguments.generation_config == "vllm" and arguments.disable_uvicorn_access_log


def test_vllm_can_give_the_device_back() -> None:
    from vllm.v1.engine.core_client import InprocClient, SyncMPClient
    from vllm.v1.engine.llm_engine import LLMEngine

    assert callable(InprocClient.shutdown) and callable(SyncMPClient.shutdown)
    assert "self.engine_core = " in inspect.getsource(LLMEngine.__init__)
