"""Distillation that is killed with SIGKILL at random moments and resumed: are the rows the same, what is paid twice?

    python bench/teach_kill.py [--problems 300] [--kills 20] [--concurrency 32]

Each start is a process of its own, killed from outside up to 50 ms after a random number of its requests. Exit code 1
if the rows differ from those of an undisturbed run, or if the server saw more than one request for each answer plus
kills x concurrency.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from teach_work import K, work

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from scripted_server import Act, Body, ScriptedServer, of_messages_and_seed

# A request takes this long, so that many are in flight when the process dies.
DELAY_S = 0.02


class Killer:
    """The server's handler. It kills the process at work after `left` requests."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.process: subprocess.Popen[bytes] | None = None
        self.left = 0

    def __call__(self, body: Body) -> Act:
        self.left -= 1
        if self.left == 0 and self.process is not None:
            threading.Timer(self.rng.uniform(0, 0.05), self.process.kill).start()
        return of_messages_and_seed(body)


def lines(journal: Path) -> int:
    """Number of lines in a journal."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    wanted, killed = options.problems * (K + 2), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ScriptedServer() as server:
            whole = work([server.url], folder / "undisturbed", options.problems, options.concurrency)
        killer, journal = Killer(rng), folder / "killed" / "answers.jsonl"
        command = [sys.executable, str(Path(__file__).parent / "teach_work.py")]
        settings = [f"--problems={options.problems}", f"--concurrency={options.concurrency}"]
        with ScriptedServer(killer, delay=DELAY_S) as server:
            while True:
                kills_left = options.kills - killed
                # On average all starts do equally much; the last one is not killed.
                share = (wanted - lines(journal)) // (kills_left + 1)
                killer.left = rng.randint(1, max(1, 2 * share)) if kills_left else 0
                killer.process = subprocess.Popen(
                    [*command, server.url, f"--folder={folder / 'killed'}", *settings], stderr=subprocess.DEVNULL
                )
                code = killer.process.wait()
                killed += code == -signal.SIGKILL
                if code != -signal.SIGKILL:
                    break
        assert code == 0, f"the last start ended with exit code {code}"
        rows = folder / "killed" / "rows.parquet"
        same = rows.read_bytes() == whole.rows.read_bytes()
        written = lines(journal)
    most = wanted + killed * options.concurrency
    print(f"{options.problems} problems x ({K} candidates + 2 targets) = {wanted} answers, killed {killed} times")
    print(f"{written} lines in the journal")
    print(f"same rows in the same order as from an undisturbed run: {'yes' if same else 'NO'}")
    print(f"the server saw {server.seen} requests; answers + kills x concurrency = {most}")
    return 0 if same and written == wanted and server.seen <= most else 1


if __name__ == "__main__":
    sys.exit(main())
