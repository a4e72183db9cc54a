"""verl's synchronous V1 trainer with two-stage rows. Registered as `trainer.v1.trainer_mode=gsr`."""

import json
import logging
import os
from collections import Counter
from typing import Any

import ray
import transfer_queue as tq
from omegaconf import DictConfig, open_dict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.utils import Role
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from gsr_rl.episode import Episode, write_episodes
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
from gsr_rl.settings.two_stage import BY_GROUP, training_settings
from gsr_rl.verl_plugin.actor import GsrActorRolloutRefWorker
from gsr_rl.verl_plugin.batches import count_real, put_zeros, select_rows
from gsr_rl.verl_plugin.deaths import check_alive
from gsr_rl.verl_plugin.episode_table import log_episodes
from gsr_rl.verl_plugin.first_sync import PARTITION, put_samples
from gsr_rl.verl_plugin.minibatch import (
    deal_rows,
    may_have_advantage,
    rows_to_update,
    rows_with_log_probs,
    stage_totals,
)
from gsr_rl.verl_plugin.plain import plain
from gsr_rl.verl_plugin.sync_guard import check_correlation, with_deadline

logger = logging.getLogger(__name__)

GUARD_ROWS = 16  # of a step, compared at least, if it has so many
POLL_S = 0.25  # between two looks whether a step's rollouts are whole; verl's 2 s have no key


class NoTrainableRows(Exception):
    """No row of a step can be trained on. Carries the step's batch, which the trainer still has to clear."""

    def __init__(self, batch: KVBatchMeta) -> None:
        super().__init__("no trainable rows")
        self.batch = batch


@register_trainer("gsr")
class GsrTrainer(PPOTrainerSync):
    """verl's synchronous PPO trainer for rows of two stages.

    Key differences from verl's `PPOTrainerSync`:

    - Rows: a prompt has any number of rows, of two stages. Rows of failed episodes and of a stage without weight are
      dropped. The others are padded by less than one row per rank and mini-batch, and dealt evenly, so the number of
      optimizer steps does not depend on the number of rows (`_balance_batch`, `_get_required_batch_multiple`).
    - A step without any trainable row is skipped and counted (`_step_once`, `_compute_metrics`).
    - Old log-probs are computed only of rows that may have an advantage, and of a few others for the sync guard
      (`_compute_old_log_prob`, `_compute_advantage`). The update takes only rows in which the loss has a gradient, and
      a few others where needed to fill mini-batches (`_update_actor`). That saves time and changes no gradient, since λ
      and the stages' totals in the whole step go along for `stage_weighted_loss`.
    - Actors are `GsrActorRolloutRefWorker`s, which weight the loss by stage (`_init_resource_pool_mgr`).
    - Every weight sync has a deadline, and rollout and actor are compared after the first sync and in each step
      (`on_init_end`, `on_step_end`, `_compute_old_log_prob`): with a broken sync verl waits, or trains on noise.
    - What was sampled counts only if every process is still alive (`on_sample_end`, `_val_metrics_update`).
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
        if self.gsr.shared_prefix and config.trainer.device != "cpu":
            logger.warning("gsr-rl: gsr.shared_prefix: only on a CPU; here every row is computed with its whole prompt")

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        for role in (Role.ActorRollout, Role.ActorRolloutRef):
            if role in self.role_worker_mapping:
                self.role_worker_mapping[role] = ray.remote(GsrActorRolloutRefWorker)

    def _build_replay_buffer(self) -> ReplayBuffer:
        buffer = super()._build_replay_buffer()
        buffer.poll_interval = POLL_S
        return buffer

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
        temperature, metrics = self.config.actor_rollout_ref.rollout.temperature, {}
        batch = put_samples(self.get_llm_client(), self.tokenizer, temperature)
        self.checkpoint_manager.sleep_replicas()
        batch = PPOTrainerSync._balance_batch(self, batch, metrics)
        super()._compute_old_log_prob(batch, metrics)
        self._check_sync(metrics, "before the first step")
        tq.kv_clear(keys=batch.keys, partition_id=PARTITION)
        self.checkpoint_manager.update_weights(self.global_steps)

    def _check_sync(self, metrics: dict[str, Any], when: str) -> None:
        correlation = check_correlation(metrics, self.gsr.sync_guard.min_correlation, when)
        logger.info("the correlation of rollout and actor probabilities is %.4f", correlation)

    # Training

    def on_sample_end(self) -> None:
        """End the sampling of a step.

        Raises:
            DiedError: a process has died. Failed episodes and rewards of 0 may be its doing, and would be trained on.
        """
        check_alive()
        super().on_sample_end()

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

    def _cells(self) -> int:
        return self._ranks() * self.num_mini_batches

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
        dropped = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if tag["stage"] not in trained]
        if dropped:
            tq.kv_clear(keys=dropped, partition_id=batch.partition_id)
        batch = super()._balance_batch(select_rows(batch, keep), metrics, **kwargs)
        batch.reorder(deal_rows(batch.keys, batch.tags, self._ranks(), self.num_mini_batches))
        return batch

    def _ranks(self) -> int:
        return max(self.actor_rollout_wg._dispatch_info["actor"]) + 1

    def _stage_weights(self) -> dict[str, float]:
        return {CANDIDATE: 1.0 - self.gsr.refine_weight, REFINEMENT: self.gsr.refine_weight}

    def _compute_old_log_prob(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """The old log-probs of the rows that may have an advantage, and of others for the sync guard.

        Raises:
            SyncError: vLLM does not hold the actor's weights.
        """
        part = select_rows(batch, self._rows_with_log_probs(batch))
        part.reorder(deal_rows(part.keys, part.tags, self._ranks(), 1))
        super()._compute_old_log_prob(part, metrics)
        self._check_sync(metrics, f"step {self.global_steps}")
        return batch

    def _rows_with_log_probs(self, batch: KVBatchMeta) -> list[int]:
        return rows_with_log_probs(self._may_have_advantage(batch), self._cells(), GUARD_ROWS)

    def _may_have_advantage(self, batch: KVBatchMeta) -> list[bool]:
        algorithm = self.config.algorithm
        correction = algorithm.get("rollout_correction") or {}
        by_reward = algorithm.adv_estimator in BY_GROUP and not algorithm.use_kl_in_reward
        corrected = correction.get("rollout_is") or correction.get("rollout_rs")
        if not by_reward or corrected or not self._needs_advantage():
            return [True] * len(batch)
        return may_have_advantage(batch.keys, batch.tags)

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        """verl's advantages where there may be some; 0 in other rows, of which verl may not have the old log-probs."""
        flags = self._may_have_advantage(batch)
        if any(flags):
            super()._compute_advantage(select_rows(batch, [i for i, flag in enumerate(flags) if flag]), metrics)
        if not all(flags):
            put_zeros(select_rows(batch, [i for i, flag in enumerate(flags) if not flag]), ("advantages", "returns"))
        return batch

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
        computed = self._rows_with_log_probs(batch)
        lengths = [batch.tags[i]["seq_len"] for i in computed]
        updated = rows_to_update([has_signal[i] for i in computed], lengths, self._cells())
        part = select_rows(batch, [computed[i] for i in updated])
        part.reorder(deal_rows(part.keys, part.tags, self._ranks(), self.num_mini_batches))
        metrics[ROWS_LEFT_OUT] = count_real(batch) - count_real(part)
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
            DiedError: a process has died; failed episodes and wrong verdicts may be its doing.
            RuntimeError: every episode failed.
        """
        check_alive()
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
