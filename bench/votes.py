"""Majority votes over 100,000 answers, in sets of 8: seconds, and comparisons by sympy.

python bench/votes.py [--n 100000]
"""

import argparse
import random
import time

from figures import figure
from verifier_mix import answers

from gsr_rl.metrics.voting import majority_score
from rewards.pool import shared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    n = parser.parse_args().n
    rng = random.Random(0)
    sets: list[list[str]] = []
    for _ in range(n // 8):
        choices = [*answers(rng), str(rng.randint(0, 1000))]
        sets.append([rng.choice(choices) for _ in range(8)])
    shared.warm_up()
    start = time.perf_counter()
    for candidates in sets:
        majority_score(candidates, [False] * 8)
    seconds = time.perf_counter() - start
    print(f"{n} answers: {seconds:.1f} s, {shared.questions} comparisons by sympy")
    figure("votes over answers in sets of 8", n / seconds, "answers/s")


if __name__ == "__main__":
    main()
