"""Stand-ins at the network's edge: a client with scripted answers and a queue in memory. Everything else is real."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.workers.rollout.replica import TokenOutput

from gsr_rl.verl_plugin.agent_loop import GsrAgentLoop, RolloutContext
from gsr_rl.verl_plugin.worker import GsrAgentLoopWorker

TRAINING = {"temperature": 0.8, "top_p": 1.0, "top_k": -1, "repetition_penalty": 1.0, "logprobs": True}
REFINE_MARK = "Problem again:"


@dataclass
class Request:
    text: str
    prompt_ids: list[int]
    sampling: dict[str, Any]
    id: str
    priority: int

    @property
    def is_refinement(self) -> bool:
        return REFINE_MARK in self.text


Reply = Callable[[Request], Awaitable[str]]


class ScriptedClient:
    """Answers as `reply` says, keeps the requests, and takes keys out of the dict as verl's server does.

    It is no dataclass, because verl builds the loop with Hydra, and Hydra would turn a dataclass into a configuration.
    """

    def __init__(self, tokenizer: Any, reply: Reply) -> None:
        self.tokenizer, self.reply = tokenizer, reply
        self.requests: list[Request] = []

    async def generate(
        self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], priority: int = 0
    ) -> TokenOutput:
        text = self.tokenizer.decode(prompt_ids)
        request = Request(text, list(prompt_ids), dict(sampling_params), request_id, priority)
        self.requests.append(request)
        max_tokens = sampling_params.pop("max_tokens")
        text = await self.reply(request)
        token_ids = self.tokenizer.encode(text, add_special_tokens=False)
        token_ids = token_ids[:max_tokens] if len(token_ids) >= max_tokens else token_ids
        return TokenOutput(
            token_ids=token_ids,
            log_probs=[-0.5] * len(token_ids),
            stop_reason="completed",
            extra_fields={"min_global_steps": 7, "max_global_steps": 7},
        )

    @property
    def candidates(self) -> list[Request]:
        return [request for request in self.requests if not request.is_refinement]

    @property
    def refinements(self) -> list[Request]:
        return [request for request in self.requests if request.is_refinement]


def make_config(prompt_length: int = 512, **gsr: Any) -> DictConfig:
    """The part of verl's configuration that loop and worker read."""
    prompts = {
        "system": "Solve.",
        "direct": "{problem}",
        "refine": REFINE_MARK + " {problem}\n{candidates}\nBetter:",
        "candidate": "({index}) {text}",
        "separator": "\n",
        "cut_off_mark": "[cut off]",
    }
    section = {"k": 3, "m": 2, "candidate_tokens": 40, "refinement_tokens": 60, "prompts": prompts} | gsr
    rollout = {"prompt_length": prompt_length, "n": 1, "val_kwargs": {"n": 1}, "scheduling_policy": "priority"}
    return OmegaConf.create(
        {"gsr": section, "actor_rollout_ref": {"rollout": rollout}, "data": {"apply_chat_template_kwargs": {}}}
    )


def make_row(
    problem: str = "2 + 3?", gold: str = "5", uid: str = "aaaa", index: int = 0, **more: Any
) -> dict[str, Any]:
    """One prompt as verl's dataset and worker pass it to the loop."""
    row = {
        "uid": uid,
        "session_id": 0,
        "index": index,
        "raw_prompt": [{"role": "user", "content": problem}],
        "data_source": "sums",
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {"id": f"p{index}", "index": index},
        "global_steps": 7,
        "dummy_tensor": torch.zeros(1, dtype=torch.uint8),
    }
    return row | more


def make_loop(tokenizer: Any, client: Any, config: DictConfig) -> GsrAgentLoop:
    return GsrAgentLoop(
        trainer_config=DictConfigWrap(config),
        server_manager=client,
        tokenizer=tokenizer,
        processor=None,
        dataset_cls=RLHFDataset,
        data_config=DictConfigWrap(config.data),
        tools=[],
    )


Judge = Callable[[AgentLoopOutput, Mapping[str, Any]], Awaitable[None]]


def make_judge(tokenizer: Any) -> Judge:
    """A judge that takes a response as correct if it boxes the gold answer."""

    async def judge(output: AgentLoopOutput, row: Mapping[str, Any]) -> None:
        text = tokenizer.decode(output.response_ids)
        output.reward_score = float(f"\\boxed{{{row['reward_model']['ground_truth']}}}" in text)
        output.extra_fields["reward_extra_info"] = {"acc": output.reward_score}
        output.extra_fields["reward_failed"] = False

    return judge


def run_loop(
    tokenizer: Any,
    reply: Reply,
    config: DictConfig | None = None,
    row: dict[str, Any] | None = None,
    validate: bool = False,
    step: int = 7,
    judge: Judge | None = None,
) -> tuple[list[AgentLoopOutput], ScriptedClient]:
    """The rows of one prompt from the loop, and the client that answered."""
    client = ScriptedClient(tokenizer, reply)

    async def run() -> list[AgentLoopOutput]:
        loop = make_loop(tokenizer, client, config or make_config())
        context = RolloutContext(validate, step, judge or make_judge(tokenizer))
        return await loop.run(dict(TRAINING), context=context, **(row or make_row()))

    return asyncio.run(run()), client


@dataclass
class MemoryQueue:
    """The part of TransferQueue's interface that the worker calls."""

    puts: list[SimpleNamespace] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)

    async def async_kv_put(self, key: str, partition_id: str, tag: dict[str, Any]) -> None:
        self.status[key] = tag["status"]

    async def async_kv_batch_put(
        self, keys: list[str], fields: TensorDict, tags: list[dict[str, Any]], partition_id: str
    ) -> None:
        self.puts.append(SimpleNamespace(keys=keys, fields=fields, tags=tags, partition_id=partition_id))


class Handle:
    """A reward-loop worker's Ray handle: `handle.compute_score.remote(data)`."""

    def __init__(self, score: Callable[[Any], dict[str, Any]]) -> None:
        async def remote(data: Any) -> dict[str, Any]:
            return score(data)

        self.compute_score = SimpleNamespace(remote=remote)


def make_worker(
    tokenizer: Any, client: Any = None, config: DictConfig | None = None, score: Callable[[Any], Any] | None = None
) -> GsrAgentLoopWorker:
    """The worker without a call of its constructor, which would load a model's configuration."""
    worker: Any = object.__new__(GsrAgentLoopWorker)
    worker.config = config or make_config()
    worker.tokenizer, worker.processor, worker.hf_model_type = tokenizer, None, None
    worker.dataset_cls, worker.tools, worker.mm_processor_kwargs = RLHFDataset, [], {}
    worker.llm_client = client
    worker.distillation_enabled = False
    worker.reward_loop_worker_handles = [Handle(score)] if score else None
    return worker
