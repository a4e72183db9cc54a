"""Requests a second of the client on one core, and its memory, against a fast server in another process.

    python bench/teach_speed.py [--requests 20000] [--concurrency 256]

The client is bound to one core, the server to another. Two rates are printed: by the clock, and by the client's own
processor time, which other work on the machine does not change. Every answer is fsynced before it counts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from figures import figure

from gsr_rl.generation.generate import Ask, Job, ask_servers
from gsr_rl.generation.journal import Journal
from gsr_rl.generation.requests import Request
from gsr_rl.settings.served import Served

SERVER = Path(__file__).parent.parent / "tests" / "support" / "scripted_server.py"
# About the length of a problem and of a short solution.
PROBLEM = "Solve it step by step. " * 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=256)
    options = parser.parse_args()
    n, cores = options.requests, sorted(os.sched_getaffinity(0))
    server = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        os.sched_setaffinity(server.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})
        measure(url, n, options.concurrency)
    finally:
        server.kill()


def measure(url: str, n: int, concurrency: int) -> None:
    """Print memory and rates of n requests."""
    process = psutil.Process()
    served = Served(urls=[url], model="toy", api_key_env="TEACH_DRILL_KEY", concurrency=concurrency, timeout_s=60.0)
    marks: list[tuple[int, float, float, float]] = []  # requests taken, MB, wall, processor seconds

    def mark(taken: int) -> None:
        processor = sum(process.cpu_times()[:2])
        marks.append((taken, process.memory_info().rss / 2**20, time.monotonic(), processor))

    def requests() -> Iterator[Request]:
        for i in range(n):
            if i % (n // 10) == 0:
                mark(i)
            yield Request("direct", "toy", [{"role": "user", "content": f"{i}: {PROBLEM}"}], {"max_tokens": 64})

    async def work(ask: Ask, request: Request) -> None:
        await ask(request)

    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "answers.jsonl") as journal:
        ask_servers(served, journal, Job("speed", requests(), work, n))
        mark(n)
        assert len(journal) == n
    for taken, rss, *_ in marks:
        print(f"{taken:8} requests  {rss:6.0f} MB")
    # The start does not count: connections are made, modules are loaded.
    (first, _, start, cpu_start), (last, _, end, cpu_end) = marks[1], marks[-1]
    print(f"{psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}; concurrency {concurrency}")
    figure("requests by the clock", (last - first) / (end - start), "requests/s")
    figure("requests by the client's processor time", (last - first) / (cpu_end - cpu_start), "requests/s")


if __name__ == "__main__":
    main()
