"""Pipelined stages against a barrier between them, with long-tailed lengths; for bench/rollout_speed.py."""

import math
import random
from collections.abc import Sequence

from figures import figure
from served import Request, Rollout

from gsr_rl.metrics.logged import CANDIDATE, REFINEMENT

SIGMA = 1.0  # of the logarithm of a length; the median is an eighth of the longest response


def compare(rollout: Rollout, rounds: int) -> None:
    """Print how many times as fast the loop is as the same requests with a barrier, and what the prefix cache held."""
    lengths = long_tailed(rollout)
    pipelined, barrier = [], []
    for _ in range(rounds):
        seconds, requests = rollout.run(lengths)
        pipelined.append(seconds)
        seconds, repeated = rollout.repeat(requests)
        barrier.append(seconds)
        print(f"pipelined {pipelined[-1]:.2f} s, barrier {barrier[-1]:.2f} s", flush=True)
        assert [request.tokens for request in repeated] == [n for prompt in lengths for n in prompt]
    drawn = sorted(n for prompt in lengths for n in prompt)
    print(f"{len(drawn)} responses: {sum(drawn)} tokens, median {drawn[len(drawn) // 2]}, longest {drawn[-1]}")
    figure("pipelined stages against a barrier", min(barrier) / min(pipelined), "times as fast")
    for stage in (CANDIDATE, REFINEMENT):
        figure(f"{stage} prompt tokens in the prefix cache", 100 * cached_share(requests, stage), "%")


def long_tailed(rollout: Rollout) -> list[list[int]]:
    """The tokens of each prompt's responses, candidates first: lognormal, up to the recipe's longest response."""
    gsr, longest = rollout.config.gsr, rollout.config.actor_rollout_ref.rollout.response_length
    rng = random.Random(0)

    def draw() -> int:
        return min(longest, max(1, round(rng.lognormvariate(math.log(longest / 8), SIGMA))))

    return [[draw() for _ in range(gsr.k + gsr.m)] for _ in rollout.problems]


def cached_share(requests: Sequence[Request], stage: str) -> float:
    """The share of the stage's prompt tokens that vLLM found in its prefix cache."""
    own = [request for request in requests if request.stage == stage]
    return sum(request.cached for request in own) / sum(len(request.prompt_ids) for request in own)
