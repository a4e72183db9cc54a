"""Decontamination of 15,000 training problems against 1,500 evaluation problems: seconds, and problems per second.

python bench/overlap.py [--n 15000] [--m 1500]
python bench/overlap.py --train FILE --eval FILE...
"""

import argparse
import random
import resource
import time
from collections.abc import Iterable, Iterator

from figures import figure

from data_prep.hub import evaluation_problems
from data_prep.overlap import EvaluationIndex
from gsr_rl.episode import Problem

_WORDS = [a + b + c for a in "bdfklmnprst" for b in "aeiou" for c in ("n", "r", "st", "lle", "ving")]


def synthetic(n: int, seed: int) -> Iterator[Problem]:
    """Problems of 20 to 100 words, numbers and formulas."""
    rng = random.Random(seed)
    for i in range(n):
        words = [
            rng.choice(_WORDS) if rng.random() < 0.8 else str(rng.randint(2, 99)) for _ in range(rng.randint(20, 100))
        ]
        formula = rf"$\frac{{{rng.randint(1, 9)}}}{{x}} + {rng.randint(2, 99)}y^2 \leq {rng.randint(2, 999)}$"
        yield Problem(str(i), "synthetic", f"{' '.join(words)} {formula}?", "")


def planted(problems: Iterable[Problem], others: list[Problem], share: int) -> Iterator[Problem]:
    """The problems; every `share`-th of them also contains one of the others, in capitals."""
    for i, problem in enumerate(problems):
        text = problem.problem + others[i % len(others)].problem.upper() if i % share == 0 else problem.problem
        yield Problem(problem.id, problem.dataset, text, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=15_000)
    parser.add_argument("--m", type=int, default=1_500)
    parser.add_argument("--train")
    parser.add_argument("--eval", nargs="+", default=[])
    options = parser.parse_args()
    if options.train:
        evaluated = [problem for source in options.eval for problem in evaluation_problems(source)]
        train = evaluation_problems(options.train)
    else:
        evaluated = list(synthetic(options.m, seed=1))
        train = planted(synthetic(options.n, seed=2), evaluated, share=100)
    start, cpu = time.perf_counter(), time.process_time()
    index = EvaluationIndex(evaluated)
    indexed = time.perf_counter() - start
    n = found = pairs = 0
    for problem in train:
        n += 1
        overlaps = index.overlaps(problem.id, problem.problem)
        found += bool(overlaps)
        pairs += len(overlaps)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{n} x {len(evaluated)} problems: {seconds:.1f} s, {cpu:.1f} s of processor time; {n / seconds:.0f} problems "
        f"a second after {indexed:.1f} s for the index; {found} overlap, in {pairs} pairs; {megabytes:.0f} MB"
    )
    figure("problems compared with all evaluation problems", n / seconds, "problems/s")


if __name__ == "__main__":
    main()
