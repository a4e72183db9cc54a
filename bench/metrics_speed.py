"""Seconds that `gsr-rl metrics` takes on a large file: 1,000 problems with 16 candidates and 4 refinements each.

    python bench/metrics_speed.py [--problems 1000] [--candidates 16] [--refinements 4]

The command runs as a user would run it: in a process of its own, on one core, start-up included. The file gives the
answers, in the kinds and spellings of `verifier_mix`: numbers, fractions, surds, tuples, intervals, matrices, words.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import figure
from verifier_mix import answers, normal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=1_000)
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--refinements", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        episodes, results = Path(folder, "episodes.jsonl"), Path(folder, "results.json")
        rng, texts = random.Random(0), [sample.response for sample in normal(500)]
        with episodes.open("w") as file:
            for number in range(options.problems):
                row = problem(number, rng, texts, options.candidates, options.refinements)
                file.write(json.dumps(row) + "\n")
        command = [sys.executable, "-m", "gsr_rl.cli", "metrics", "--episodes", str(episodes), "--json", str(results)]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=on_one_core)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        megabytes = episodes.stat().st_size / 1e6
    print(done.stdout.splitlines()[0])
    print(
        f"{options.problems} problems x ({options.candidates} + {options.refinements}), {megabytes:.0f} MB: "
        f"{seconds:.1f} s, {cpu:.1f} s of processor time, {after.ru_maxrss / 1024:.0f} MB of memory"
    )
    responses = options.problems * (options.candidates + options.refinements)
    figure("`gsr-rl metrics` on one core, start-up included", responses / seconds, "responses/s")


def problem(number: int, rng: random.Random, texts: list[str], k: int, m: int) -> dict[str, Any]:
    """An episode. On average half of its candidates are right, in two spellings; the others are wrong or silent."""
    gold, other, wrong = answers(rng)
    spellings = [gold, gold, other]
    wrongs = [wrong, *(rng.choice(answers(rng)) for _ in range(3)), None]
    skill = rng.betavariate(1, 1)

    def response(right: float) -> dict[str, Any]:
        correct = rng.random() < right
        answer = rng.choice(spellings) if correct else rng.choice(wrongs)
        text = rng.choice(texts)
        return {"text": text, "answer": answer, "correct": correct, "n_tokens": len(text) // 4}

    return {
        "id": str(number),
        "dataset": ("aime", "math")[number % 2],
        "problem": "?",
        "gold": gold,
        "candidates": [response(skill) for _ in range(k)],
        "refinements": [response((1 + skill) / 2) for _ in range(m)],
    }


def on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


if __name__ == "__main__":
    main()
