"""vLLM's OpenAI-compatible server for a local model, on loopback, for as long as a stage needs it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gsr_rl.child import end_with_parent
from gsr_rl.errors import UsageError
from gsr_rl.interrupt import interrupted_when
from gsr_rl.settings.served import Served

# The module behind `vllm serve`. That command itself (entrypoints/cli/main.py) asks for a distribution called `vllm`,
# and the CPU build has another name.
SERVER = "vllm.entrypoints.openai.api_server"
HOST = "127.0.0.1"
SAY_S = 30.0  # between two lines while the model loads
ENDS_IN_S = 30.0
LOOK_S = 1.0  # between two looks at whether the server is alive


@contextmanager
def at_urls(served: Served, engine: Mapping[str, Any], log: Path) -> Iterator[Served]:
    """`served` itself if it has URLs; otherwise its model is served while the block lasts.

    Args:
        engine: arguments of the engine, on top of which `served.engine` comes.
        log: file for the server's output.

    Raises:
        UsageError: the server ends before it answers, or before the block ends; names its log.
    """
    if served.urls:
        yield served
        return
    port = _free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command(str(served.model), port, {**engine, **served.engine}),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # so that it can be ended with all that it starts
            preexec_fn=end_with_parent,  # left behind, it would hold the memory that the next start needs
        )
    try:
        _wait(process, f"{served.model}", port, log)
        with _watched(process, f"{served.model}", log):
            yield served.model_copy(update={"urls": [f"http://{HOST}:{port}/v1"]})
    finally:
        _end(process)


def command(model: str, port: int, engine: Mapping[str, Any]) -> list[str]:
    """The server's command line. Each item of `engine`, such as `{"max_num_seqs": 8}`, becomes a flag of vLLM's."""
    # Where a request says nothing, the server would follow the model's generation_config.json; the rollout does not.
    fixed = ["--host", HOST, "--port", str(port), "--generation-config", "vllm", "--disable-uvicorn-access-log"]
    flags: list[str] = []
    for name, value in engine.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            flags += [f"--{flag}", json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return [sys.executable, "-m", SERVER, "--model", model, *fixed, *flags]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _wait(process: "subprocess.Popen[bytes]", model: str, port: int, log: Path) -> None:
    started = said = time.monotonic()
    while not _is_healthy(port):
        if process.poll() is not None:
            raise UsageError(f"vllm serve {model}: ended with exit code {process.returncode}; its log says why: {log}")
        if time.monotonic() - said > SAY_S:
            said = time.monotonic()
            print(f"gsr-rl: vllm serve {model} is starting, {said - started:.0f} s so far; log in {log}", flush=True)
        time.sleep(0.5)
    print(f"gsr-rl: vllm serve {model} answers after {time.monotonic() - started:.0f} s; log in {log}", flush=True)


@contextmanager
def _watched(process: "subprocess.Popen[bytes]", model: str, log: Path) -> Iterator[None]:
    """Interrupt the block if the server ends within it: a client would wait for a server that is away."""
    try:
        with interrupted_when(lambda: process.poll() is not None, LOOK_S):
            yield
    except KeyboardInterrupt:
        if process.poll() is None:  # the interrupt was the user's
            raise
        hint = "what was answered stays, and the same command resumes"
        raise UsageError(
            f"vllm serve {model}: ended with exit code {process.returncode} at work; its log says why: {log}; {hint}"
        ) from None


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=ENDS_IN_S)
            if number == signal.SIGKILL:
                return
