"""Measure verdicts per second and core: this verifier and the verifier of verl 0.9.1, on the same 2,000 responses.

    python bench/verifier_speed.py [--n 2000]

The time is the processor time of this process and all its children, so that other work on the machine does not count.
The time before the first verdict (imports, start of the pools) does not count either, and is printed by itself.
"""

import argparse
import time
from collections.abc import Callable

import psutil
from figures import figure
from verifier_mix import Sample, normal

from rewards.pool import shared
from rewards.verifier import verify


def processor_seconds() -> float:
    """Return the processor time of this process and all its children, in seconds."""
    root = psutil.Process()
    return sum(sum(process.cpu_times()[:4]) for process in [root, *root.children(recursive=True)])


def measure(name: str, judge: Callable[[Sample], bool], samples: list[Sample]) -> float:
    """Judge all samples, print a line, and return the verdicts per second of processor time."""
    start, wall = processor_seconds(), time.perf_counter()
    right = sum(judge(sample) == sample.correct for sample in samples)
    seconds, wall = processor_seconds() - start, time.perf_counter() - wall
    rate = len(samples) / seconds
    print(f"{name:12} {rate:9.1f} verdicts/s per core   {right} of {len(samples)} right   {wall:.1f} s", flush=True)
    return rate


def main() -> None:
    """Measure the pool's start and both verifiers, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2_000)
    samples = normal(parser.parse_args().n)
    load = psutil.getloadavg()[0]
    print(f"{psutil.cpu_count()} cores, load {load:.1f} before the start", flush=True)

    start = time.perf_counter()
    shared.warm_up()
    seconds = time.perf_counter() - start
    helper, *_ = psutil.Process().children(recursive=True)
    print(f"pool: first worker after {seconds:.2f} s", end="")
    start = time.perf_counter()
    workers = [shared._take(), shared._take()]  # an idle worker and a new worker
    shared._idle += workers
    print(f", each further worker {time.perf_counter() - start:.3f} s", end="")
    worker = psutil.Process().children(recursive=True)[-1]
    unique = worker.memory_full_info().uss / 2**20
    print(f"; helper {helper.memory_info().rss / 2**20:.0f} MB, a worker {unique:.0f} MB beyond what it shares with it")

    ours = measure("gsr-rl", lambda sample: verify(sample.response, sample.gold).correct, samples)
    used = [psutil.Process(worker._pid).memory_full_info().uss / 2**20 for worker in shared._idle]
    print(f"{shared.questions} of {len(samples)} went to the pool; a worker now holds {max(used):.0f} MB of its own")

    from verl.utils.reward_score.math_verify import compute_score

    compute_score(r"\boxed{1}", "1")
    theirs = measure("verl 0.9.1", lambda sample: compute_score(sample.response, sample.gold) > 0.5, samples)
    figure("verdicts per second and core, this verifier over verl's", ours / theirs, "times")


if __name__ == "__main__":
    main()
