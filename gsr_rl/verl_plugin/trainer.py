"""verl's synchronous V1 trainer with two-stage rows. Registered as `trainer.v1.trainer_mode=gsr`."""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import ray
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from gsr_rl.episode import Episode, Response, write_episodes
from gsr_rl.metrics.gap import summarize
from gsr_rl.metrics.logged import (
    CANDIDATE,
    IDLE_STEPS,
    REFINEMENT,
    ROWS_LEFT_OUT,
    SKIPPED,
    check_votes,
    train_metrics,
    val_metrics,
)
from gsr_rl.prompts import encode_prompt
from gsr_rl.settings.two_stage import training_settings
from gsr_rl.verl_plugin.actor import GsrActorRolloutRefWorker
from gsr_rl.verl_plugin.agent_loop import to_output
from gsr_rl.verl_plugin.episode_table import log_episodes
from gsr_rl.verl_plugin.minibatch import deal_rows, rows_to_update, stage_totals
from gsr_rl.verl_plugin.plain import plain
from gsr_rl.verl_plugin.sync_guard import check_correlation, with_deadline
from gsr_rl.verl_plugin.worker import to_field, to_tag

logger = logging.getLogger(__name__)

GUARD_PROMPTS = ("What is 2 + 3?", "Name the capital of France.", "Write a short poem about the sea.", "1, 2, 4, 8,")
GUARD_TOKENS = 32


class NoTrainableRows(Exception):
    """No row of a step can be trained on. Carries the step's batch, which the trainer still has to clear."""

    def __init__(self, batch: KVBatchMeta) -> None:
        super().__init__("no trainable rows")
        self.batch = batch


def _rows(batch: KVBatchMeta, keep: Sequence[int]) -> KVBatchMeta:
    return KVBatchMeta(
        keys=[batch.keys[i] for i in keep],
        tags=[batch.tags[i] for i in keep],
        partition_id=batch.partition_id,
        fields=batch.fields,
        extra_info=batch.extra_info,
    )


def _n_real(batch: KVBatchMeta) -> int:
    """Number of rows that are not padding."""
    return sum(not tag.get("is_padding") for tag in batch.tags)


@register_trainer("gsr")
class GsrTrainer(PPOTrainerSync):
    """verl's synchronous PPO trainer for rows of two stages.

    Key differences from verl's `PPOTrainerSync`:

    - Rows: a prompt has any number of rows, of two stages. Rows of failed episodes and of a stage without weight are
      dropped. The others are padded by less than one row per rank and mini-batch, and dealt evenly, so the number of
      optimizer steps does not depend on the number of rows (`_balance_batch`, `_get_required_batch_multiple`).
    - A step without any trainable row is skipped and counted (`_step_once`, `_compute_metrics`).
    - The update takes only rows in which the loss has a gradient, and a few others where needed to fill mini-batches
      (`_update_actor`). That saves time and changes no gradient, since λ and the stages' totals in the whole step go
      along for `stage_weighted_loss`.
    - Actors are `GsrActorRolloutRefWorker`s, which weight the loss by stage (`_init_resource_pool_mgr`).
    - Every weight sync has a deadline, and rollout and actor are compared after the first sync and in each step
      (`on_init_end`, `on_step_end`, `_compute_old_log_prob`): with a broken sync verl waits, or trains on noise.
    - Validation writes the episodes and adds GSR's metrics of them to verl's own (`_val_metrics_update`).
    """

    def __init__(self, config: DictConfig) -> None:
        self.gsr = training_settings(plain(config))
        with open_dict(config):
            # With any other mode verl 0.9.1 takes its asynchronous code paths (replay buffer, checkpoints, batches).
            config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)
        actor = config.actor_rollout_ref.actor
        self.num_mini_batches = config.data.train_batch_size // actor.ppo_mini_batch_size

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        for role in (Role.ActorRollout, Role.ActorRolloutRef):
            if role in self.role_worker_mapping:
                self.role_worker_mapping[role] = ray.remote(GsrActorRolloutRefWorker)

    # Weight sync

    def on_init_end(self) -> None:
        """Sync the weights to vLLM for the first time, and check that they have arrived.

        Raises:
            SyncError: a sync or the check took too long, or vLLM does not hold the actor's weights.
        """
        with_deadline(super().on_init_end, self.gsr.sync_guard.timeout_s, "the first weight sync")
        with_deadline(self._check_first_sync, self.gsr.sync_guard.timeout_s, "the check of the first weight sync")

    def on_step_end(self) -> None:
        """Sync the weights to vLLM after a step.

        Raises:
            SyncError: it took longer than `gsr.sync_guard.timeout_s`.
        """
        with_deadline(super().on_step_end, self.gsr.sync_guard.timeout_s, f"weight sync {self.global_steps}")

    def _check_first_sync(self) -> None:
        """Sample from vLLM on fixed prompts, and compare its log-probs with those of verl's own pass of the actor."""
        rollout, client = self.config.actor_rollout_ref.rollout, self.get_llm_client()
        sampling = {"temperature": rollout.temperature, "top_p": 1.0, "top_k": -1, "logprobs": True}

        async def generate() -> list[tuple[list[int], Any]]:
            prompts = [encode_prompt(self.tokenizer, [{"role": "user", "content": text}]) for text in GUARD_PROMPTS]
            outputs = await asyncio.gather(
                *(
                    client.generate(
                        uuid4().hex, prompt_ids=ids, sampling_params={**sampling, "max_tokens": GUARD_TOKENS}
                    )
                    for ids in prompts
                )
            )
            return list(zip(prompts, outputs, strict=True))

        rows = [to_output(CANDIDATE, ids, out, self.tokenizer.eos_token_id) for ids, out in asyncio.run(generate())]
        for row in rows:
            row.reward_score = 0.0
            row.extra_fields["response"] = Response(text="", answer=None, correct=False)
        batch = tq.kv_batch_put(
            keys=[f"guard_{i}_0" for i in range(len(rows))],
            fields=list_of_dict_to_tensordict([to_field(row, {"uid": "guard"}) for row in rows]),
            tags=[to_tag(row, 0) for row in rows],
            partition_id="guard",
        )
        self.checkpoint_manager.sleep_replicas()
        metrics: dict[str, Any] = {}
        batch = PPOTrainerSync._balance_batch(self, batch, metrics)
        self._compute_old_log_prob(batch, metrics, when="before the first step")
        tq.kv_clear(keys=batch.keys, partition_id="guard")
        self.checkpoint_manager.update_weights(self.global_steps)

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any], when: str = "") -> KVBatchMeta:
        batch = super()._compute_old_log_prob(batch, metrics)
        minimum = self.gsr.sync_guard.min_correlation
        correlation = check_correlation(metrics, minimum, when or f"step {self.global_steps}")
        logger.info("the correlation of rollout and actor probabilities is %.4f", correlation)
        return batch

    # Training

    def _step_once(self, metrics: dict[str, Any], timing_raw: dict[str, Any], sample_batch_size: int) -> KVBatchMeta:
        try:
            batch = super()._step_once(metrics, timing_raw, sample_batch_size)
            metrics[SKIPPED] = 0
        except NoTrainableRows as nothing:
            logger.warning("gsr-rl: step %d has no trainable row and is skipped", self.global_steps)
            metrics[SKIPPED] = 1
            batch = nothing.batch
        return batch

    def _get_required_batch_multiple(self, dp_size: int) -> int:
        return dp_size * self.num_mini_batches

    def _balance_batch(self, batch: KVBatchMeta, metrics: dict[str, Any], **kwargs: Any) -> KVBatchMeta:
        """Drop rows that cannot be trained on, pad the others and deal them evenly to ranks and mini-batches.

        Padding is less than one row per rank and mini-batch.

        Raises:
            NoTrainableRows: no row is left.
            UsageError: see `check_votes`.
        """
        metrics |= train_metrics(batch.keys, batch.tags)
        check_votes(self.gsr.selection, batch.tags)
        trained = {stage for stage, weight in self._stage_weights().items() if weight > 0}
        keep = [i for i, tag in enumerate(batch.tags) if tag["stage"] in trained]
        if not keep:
            raise NoTrainableRows(batch)
        dropped = [key for i, key in enumerate(batch.keys) if i not in set(keep)]
        if dropped:
            tq.kv_clear(keys=dropped, partition_id=batch.partition_id)
        batch = super()._balance_batch(_rows(batch, keep), metrics, **kwargs)
        batch.reorder(deal_rows(batch.tags, self._ranks(), self.num_mini_batches))
        return batch

    def _ranks(self) -> int:
        return max(self.actor_rollout_wg._dispatch_info["actor"]) + 1

    def _stage_weights(self) -> dict[str, float]:
        return {CANDIDATE: 1.0 - self.gsr.refine_weight, REFINEMENT: self.gsr.refine_weight}

    def _update_actor(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """Update on the rows in which the loss has a gradient.

        These are the rows with an advantage if the policy's term is the only one of the loss, else all rows.

        Returns:
            The whole batch, as verl's trainer expects.
        """
        fields = ["advantages", "response_mask"]
        rows = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        tokens = [int(mask.sum()) for mask in rows["response_mask"].unbind()]
        batch.extra_info |= {"refine_weight": self.gsr.refine_weight, "num_mini_batch": self.num_mini_batches}
        batch.extra_info["stage_totals"] = stage_totals(batch.tags, tokens, self.num_mini_batches)
        has_advantage = [bool(row.any()) for row in rows["advantages"].unbind()]
        metrics[IDLE_STEPS] = int(not any(has_advantage))
        has_signal = [advantage or not self._needs_advantage() for advantage in has_advantage]
        if not any(has_signal):
            logger.warning("gsr-rl: step %d: equal rewards in every group; nothing to learn", self.global_steps)
        lengths = [tag["seq_len"] for tag in batch.tags]
        part = _rows(batch, rows_to_update(has_signal, lengths, self._ranks() * self.num_mini_batches))
        part.reorder(deal_rows(part.tags, self._ranks(), self.num_mini_batches))
        metrics[ROWS_LEFT_OUT] = _n_real(batch) - _n_real(part)
        super()._update_actor(part, metrics)
        return batch

    def _needs_advantage(self) -> bool:
        """Whether the loss has a gradient only in rows with an advantage."""
        actor = self.config.actor_rollout_ref.actor
        if actor.use_kl_loss or actor.entropy_coeff:
            return False
        return actor.policy_loss.loss_mode == "vanilla"  # other modes look at all rows together

    def _compute_metrics(self, batch: KVBatchMeta, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        if metrics.get(SKIPPED):
            metrics["training/global_step"] = self.global_steps
            return
        super()._compute_metrics(batch, metrics, *args, **kwargs)

    # Validation

    def _val_metrics_update(
        self,
        data_sources: list[str],
        sample_uids: list[str],
        reward_extra_infos_dict: dict[str, list[Any]],
        sample_turns: list[Any],
        expected_acc_counts: dict[tuple[str, str], int] | None = None,
    ) -> dict[str, float]:
        """verl's own metrics of the refinements, and GSR's metrics of the episodes, both over the same problems.

        Raises:
            RuntimeError: every episode failed.
        """
        packed = reward_extra_infos_dict.pop("episode")
        episodes = [Episode.from_dict(json.loads(text)) for text in packed if text is not None]
        failed = Counter(source for source, text in zip(data_sources, packed, strict=True) if text is None)
        if not episodes:
            raise RuntimeError(f"all {len(packed)} validation episodes failed; the log above says why")
        if self.config.trainer.validation_data_dir:
            path = os.path.join(self.config.trainer.validation_data_dir, f"episodes_{self.global_steps}.jsonl")
            write_episodes(path, episodes)
        log_episodes(episodes, self.global_steps)
        stock = super()._val_metrics_update(
            data_sources, sample_uids, reward_extra_infos_dict, sample_turns, expected_acc_counts
        )
        counts = {source: failed[source] for source in set(data_sources)}
        return stock | val_metrics(summarize(episodes), counts)
