"""The drills of bench/, in small: failing servers, kills, and an interrupt."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from scripted_server import Act, Body, ScriptedServer, of_messages_and_seed

from gsr_rl.generation.journal import Journal

REPO = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(
    "drill", [["teach_faults.py", "--problems=25"], ["teach_kill.py", "--problems=25", "--kills=2", "--concurrency=8"]]
)
def test_drills(drill: list[str]) -> None:
    command = [sys.executable, str(REPO / "bench" / drill[0]), *drill[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same rows in the same order" in done.stdout and ": yes" in done.stdout


def test_an_interrupt_is_told_apart_and_what_is_done_stays(tmp_path: Path) -> None:
    """After Ctrl-C the process ends by itself, and its journal holds what was answered."""
    enough = threading.Event()

    def handler(body: Body) -> Act:
        if server.seen == 20:
            enough.set()
        return of_messages_and_seed(body)

    with ScriptedServer(handler, delay=0.05) as server:
        command = [sys.executable, str(REPO / "bench" / "teach_work.py"), server.url, f"--folder={tmp_path}"]
        process = subprocess.Popen(
            [*command, "--concurrency=4", "--problems=500"],
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
        )
        assert process.stderr is not None
        assert enough.wait(60)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) != 0
        assert "KeyboardInterrupt" in process.stderr.read()
        seen = server.seen
        assert 20 <= seen < 500 * 6
    with Journal(tmp_path / "answers.jsonl") as journal:
        assert seen - 4 <= len(journal) <= seen
