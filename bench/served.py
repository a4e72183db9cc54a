"""verl's vLLM server, asked by the project's own agent loop; for bench/rollout_speed.py."""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

import ray
from omegaconf import DictConfig, OmegaConf
from rollout import make_loop
from transformers import AutoTokenizer
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.trainer.constants_ppo import get_ppo_ray_runtime_env
from verl.workers.rollout.llm_server import LLMServerManager

from data_prep.pair_sums import pair_sums
from gsr_rl.episode import Problem
from gsr_rl.metrics.logged import CANDIDATE, REFINEMENT
from gsr_rl.verl_plugin.agent_loop import RolloutContext

# verl says of each loop that it has no builder of its own for the model, which only loops of several turns need.
logging.getLogger("verl.utils.tokenizer.continuous_token_wiring").setLevel(logging.ERROR)


@dataclass
class Request:
    """What the loop asked of verl's client, and how much came back."""

    stage: str
    id: str
    prompt_ids: list[int]
    sampling: dict[str, Any]
    priority: dict[str, int]
    tokens: int = 0
    cached: int = 0  # prompt tokens that vLLM found in its prefix cache

    async def send(self, client: Any) -> Any:
        output = await client.generate(
            self.id, prompt_ids=self.prompt_ids, sampling_params=dict(self.sampling), **self.priority
        )
        self.tokens, self.cached = len(output.token_ids), output.extra_fields["num_cached_tokens"]
        return output


class PromptClient:
    """verl's client for one prompt: it keeps the requests, and forces the lengths of their responses if it has any."""

    def __init__(self, client: Any, k: int, lengths: Sequence[int] = ()) -> None:
        self.client, self.k, self.lengths = client, k, lengths
        self.requests: list[Request] = []

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **priority: int
    ) -> Any:
        stage = CANDIDATE if len(self.requests) < self.k else REFINEMENT
        request = Request(stage, request_id, list(prompt_ids), dict(sampling_params), priority)
        if self.lengths:
            length = self.lengths[len(self.requests)]
            request.sampling |= {"max_tokens": length, "ignore_eos": True}
        self.requests.append(request)
        return await request.send(self.client)


@dataclass
class Rollout:
    """verl's server, and the prompts that it is asked."""

    config: DictConfig
    manager: LLMServerManager
    tokenizer: Any
    problems: list[Problem]

    def run(self, lengths: Sequence[Sequence[int]] = ()) -> tuple[float, list[Request]]:
        """Seconds of the loop for all prompts at once, and the requests that it made.

        Args:
            lengths: of each prompt's responses, candidates first; forced if given.
        """
        return asyncio.run(self._run(self.problems, lengths))

    def warm_up(self) -> None:
        """Other prompts, so that nothing is built for the first time while the clock runs."""
        asyncio.run(self._run(pair_sums(4, seed=1, numbers=4, largest=40), ()))

    def repeat(self, requests: Sequence[Request]) -> tuple[float, list[Request]]:
        """The same requests again, but no refinement before all candidates are there."""
        return asyncio.run(self._repeat([replace(request) for request in requests]))

    async def _run(self, problems: list[Problem], lengths: Sequence[Sequence[int]]) -> tuple[float, list[Request]]:
        await self._forget()
        client, k = self.manager.get_client(), self.config.gsr.k
        clients = [PromptClient(client, k, lengths[i] if lengths else ()) for i in range(len(problems))]
        start = time.perf_counter()
        await asyncio.gather(*(self._prompt(*pair) for pair in zip(clients, problems, strict=True)))
        seconds = time.perf_counter() - start
        return seconds, [request for prompt in clients for request in prompt.requests]

    async def _repeat(self, requests: list[Request]) -> tuple[float, list[Request]]:
        await self._forget()
        client = self.manager.get_client()
        start = time.perf_counter()
        for stage in (CANDIDATE, REFINEMENT):
            await asyncio.gather(*(request.send(client) for request in requests if request.stage == stage))
        return time.perf_counter() - start, requests

    async def _forget(self) -> None:
        """Empty the prefix cache."""
        for replica in self.manager.get_replicas():
            await replica.clear_kv_cache()

    async def _prompt(self, client: PromptClient, problem: Problem) -> None:
        loop = make_loop(self.tokenizer, client, self.config)
        rollout = self.config.actor_rollout_ref.rollout
        sampling = {key: rollout[key] for key in ("temperature", "top_p", "top_k")}
        sampling |= {"repetition_penalty": 1.0, "logprobs": rollout.calculate_log_probs}
        row = {
            "raw_prompt": [{"role": "user", "content": problem.problem}],
            "data_source": problem.dataset,
            "reward_model": {"style": "rule", "ground_truth": problem.gold},
            "session_id": 0,
        }
        await loop.run(sampling, context=RolloutContext(validate=False, step=1, judge=wrong), **row)


async def wrong(output: AgentLoopOutput, row: Any) -> None:
    """A verdict that costs nothing, and under which every candidate set is refined."""
    output.reward_score = 0.0
    output.extra_fields["reward_extra_info"] = {"acc": 0.0, "answer": None}
    output.extra_fields["reward_failed"] = False


@contextmanager
def served(config: DictConfig, prompts: int) -> Iterator[Rollout]:
    """verl's server with the weights of `actor_rollout_ref.model.path`, warmed up."""

    @ray.remote(num_gpus=1)
    class Seat:
        """Where a trainer's worker would sit. verl asks it for its node and device, and puts the server there."""

    os.environ.setdefault("RAY_worker_niceness", "0")  # else other processes go before verl's, not before vLLM's
    own = config.ray_kwargs.ray_init
    ray.init(
        **OmegaConf.to_container(
            OmegaConf.merge(own, {"runtime_env": OmegaConf.merge(get_ppo_ray_runtime_env(config), own.runtime_env)})
        )
    )
    try:
        tokenizer = AutoTokenizer.from_pretrained(config.actor_rollout_ref.model.path)
        problems = pair_sums(prompts, seed=0, numbers=3, largest=30)
        trainer = SimpleNamespace(workers=[Seat.remote()], world_size=1)
        manager = LLMServerManager.create(config=config, worker_group=trainer)
        rollout = Rollout(config, manager, tokenizer, problems)
        rollout.warm_up()
        yield rollout
    finally:
        ray.shutdown()
