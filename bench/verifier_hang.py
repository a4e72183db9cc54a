"""Measure 200 hostile responses among 5,000 normal responses: their cost, and whether any verdict is wrong.

    python bench/verifier_hang.py [--n 5000] [--hostile 200] [--endless 5] [--threads 4]

First the normal responses are judged alone. Then, with a fresh pool and empty caches, they are judged mixed with the
hostile responses.
"""

import argparse
import random
import time
from concurrent.futures import ThreadPoolExecutor

from figures import figure
from verifier_mix import Sample, endless, hostile, normal
from verifier_speed import processor_seconds

from rewards import answers, arithmetic, equality, forms, latex, limits, numerals
from rewards.pool import shared
from rewards.verifier import verify


def judge_all(samples: list[Sample], threads: int) -> tuple[float, float, int]:
    """Return the wall-clock time and the processor time, both in seconds, and the number of wrong verdicts."""
    for module in (answers, arithmetic, equality, forms, latex, limits, numerals):
        for function in vars(module).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()
    shared.close()
    shared.warm_up()
    start, busy = time.perf_counter(), processor_seconds()
    with ThreadPoolExecutor(threads) as pool:
        verdicts = list(pool.map(lambda sample: verify(sample.response, sample.gold).correct, samples))
    seconds, busy = time.perf_counter() - start, processor_seconds() - busy
    return seconds, busy, sum(verdict != sample.correct for verdict, sample in zip(verdicts, samples, strict=True))


def main() -> None:
    """Judge the normal responses, then the mixtures, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5_000)
    parser.add_argument("--hostile", type=int, default=200)
    parser.add_argument("--endless", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    samples = normal(options.n, seed=1)
    alone, busy_alone, wrong_alone = judge_all(samples, options.threads)
    print(
        f"{options.n} normal: {alone:.1f} s ({busy_alone:.1f} s of processor time), {wrong_alone} wrong",
        flush=True,
    )
    bad = [Sample(response, "42", correct=False) for response in hostile(options.hostile, seed=1)]
    worse = [Sample(response, "42", correct=False) for response in endless(options.endless)]
    for added, what in ((bad, f"{len(bad)} hostile"), (bad + worse, f"{len(worse)} more that only the pool ends")):
        mixed = samples + added
        random.Random(1).shuffle(mixed)
        before = shared.restarts
        together, busy, wrong = judge_all(mixed, options.threads)
        print(
            f"with {what}: {together:.1f} s ({busy:.1f} s), {wrong} wrong, {shared.restarts - before} restarts",
            end="",
        )
        print()
        figure(f"time with {what}, over the time without", together / alone, "times")


if __name__ == "__main__":
    main()
