"""Rows of prompts in a real TransferQueue, and the trainer's own steps over them, without models."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from rollout import make_row, make_worker
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.utils import tensordict_utils as tu
from verl.utils.transferqueue_utils import tqbridge
from verl.workers.rollout.replica import TokenOutput

from gsr_rl.episode import Response
from gsr_rl.settings.gsr import Gsr
from gsr_rl.verl_plugin.agent_loop import to_output
from gsr_rl.verl_plugin.trainer import GsrTrainer

UIDS = (f"prompt{i}" for i in itertools.count())
ACTOR = {
    "ppo_mini_batch_size": 1,
    "calculate_entropy": False,
    "entropy_coeff": 0.0,
    "use_kl_loss": False,
    "policy_loss": {"loss_mode": "vanilla"},
    "ppo_epochs": 1,
    "data_loader_seed": 1,
    "shuffle": False,
}


def response(stage: str, reward: float, length: int) -> AgentLoopOutput:
    ids = list(range(10, 10 + length))
    generated = TokenOutput(
        token_ids=ids, log_probs=[-0.5] * length, extra_fields={"min_global_steps": 7, "max_global_steps": 7}
    )
    output = to_output(stage, [1, 2, 3] if stage == "candidate" else [1, 2, 3, 4, 5, 6], generated, 0)
    output.reward_score = reward
    output.extra_fields["response"] = Response("text", "5", reward > 0.5, False, length)
    output.extra_fields["reward_extra_info"] = {"acc": reward}
    return output


def store(tokenizer: Any, candidates: list[float], refinements: list[float]) -> KVBatchMeta:
    """The rows of one prompt, written by the worker; their lengths are 2, 3, 4, ..."""
    lengths = itertools.count(2)
    rows = [response("candidate", reward, next(lengths)) for reward in candidates]
    rows += [response("refinement", reward, next(lengths)) for reward in refinements]
    worker = make_worker(tokenizer)
    uid = next(UIDS)
    asyncio.run(worker._agent_loop_postprocess(rows or [worker._failed_row()], False, **make_row(uid=uid)))
    return stored([uid])


def stored(uids: list[str]) -> KVBatchMeta:
    """The batch of these prompts, made from the queue's listing as verl's replay buffer makes it."""
    tags = tq.kv_list("train")["train"]
    keys = [key for key in tags if key.split("_")[0] in uids]
    return KVBatchMeta(keys=keys, tags=[tags[key] for key in keys], partition_id="train", extra_info={})


def together(*batches: KVBatchMeta) -> KVBatchMeta:
    keys = [key for batch in batches for key in batch.keys]
    tags = [tag for batch in batches for tag in batch.tags]
    return KVBatchMeta(keys=keys, tags=tags, partition_id="train", extra_info={})


def read(batch: KVBatchMeta, field: str) -> list[Any]:
    data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=[field])[field]
    return [row.tolist() for row in data.unbind()] if isinstance(data, torch.Tensor) else list(data)


def make_trainer(tokenizer: Any, refine_weight: float = 0.5, ranks: int = 1, mini_batches: int = 2) -> GsrTrainer:
    """The trainer without its constructor, which starts models."""
    trainer: Any = object.__new__(GsrTrainer)
    trainer.gsr = Gsr(k=4, m=2, refine_weight=refine_weight)
    trainer.num_mini_batches, trainer.global_steps = mini_batches, 1
    trainer.tokenizer = tokenizer
    trainer.actor_rollout_wg = SimpleNamespace(_dispatch_info={"actor": list(range(ranks))})
    trainer.config = OmegaConf.create(
        {
            "algorithm": {
                "adv_estimator": "grpo",
                "use_kl_in_reward": False,
                "gamma": 1.0,
                "lam": 1.0,
                "norm_adv_by_std_in_grpo": True,
            },
            "actor_rollout_ref": {"rollout": {"n": 1}, "actor": ACTOR},
        }
    )
    return trainer


def advantages(trainer: GsrTrainer, batch: KVBatchMeta) -> dict[str, list[float]]:
    """[advantage, number of tokens with it] by key, read back from the queue after verl's own step."""
    trainer._compute_advantage(batch, {})
    rows = dict(zip(batch.keys, read(batch, "advantages"), strict=True))
    assert all(len(set(row)) == 1 for row in rows.values())
    return {key: [row[0], len(row)] for key, row in rows.items()}


def update(trainer: Any, batch: KVBatchMeta, **actor: Any) -> tuple[TensorDict, dict[str, Any]]:
    """The data that the workers get of a balanced batch, by verl's own way, and the metrics. The batch stays whole."""
    trainer.config.actor_rollout_ref.actor = ACTOR | actor
    trainer.config.actor_rollout_ref.rollout.temperature = 1.0
    received: list[TensorDict] = []

    def update_actor(part: KVBatchMeta) -> TensorDict:
        tqbridge()(received.append)(part)
        return tu.get_tensordict({}, {"metrics": {"mfu": [0.0]}})

    trainer.actor_rollout_wg.update_actor = update_actor
    metrics: dict[str, Any] = {}
    trainer._compute_advantage(batch, metrics)
    assert trainer._update_actor(batch, metrics) is batch
    (data,) = received
    return data, metrics


def lengths_of(data: TensorDict) -> list[int]:
    return [int(row.sum()) for row in data["response_mask"].unbind()]


def compute_log_probs(trainer: Any, batch: KVBatchMeta) -> tuple[list[str], dict[str, Any]]:
    """Keys of the rows that the workers get in the pass of old log-probs, and the metrics."""
    trainer.config.actor_rollout_ref.rollout.update({"temperature": 1.0, "calculate_log_probs": True})
    trainer.config.actor_rollout_ref.actor = ACTOR | {"loss_agg_mode": "token-mean", "loss_scale_factor": None}
    received: list[str] = []

    def compute_log_prob(part: KVBatchMeta) -> KVBatchMeta:
        received.extend(part.keys)
        rows = tq.kv_batch_get(keys=part.keys, partition_id="train", select_fields=["input_ids"])["input_ids"]
        per_token = [-torch.arange(1.0, len(row) + 1) / 10 for row in rows.unbind()]
        nested = torch.nested.as_nested_tensor(per_token, layout=torch.jagged)
        fields = TensorDict({"log_probs": nested, "entropy": nested}, batch_size=len(part))
        return tq.kv_batch_put(keys=part.keys, partition_id="train", fields=fields)

    trainer.actor_rollout_wg.compute_log_prob = compute_log_prob
    metrics: dict[str, Any] = {}
    assert trainer._compute_old_log_prob(batch, metrics) is batch
    return received, metrics
