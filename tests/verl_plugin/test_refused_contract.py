"""What verl 0.9.1 makes of the settings that we allow or refuse by name. A new verl fails here first."""

import copy
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.models.transformers.monkey_patch import apply_monkey_patch
from verl.trainer.config import AlgoConfig
from verl.trainer.ppo.core_algos import (
    ADV_ESTIMATOR_REGISTRY,
    POLICY_LOSS_REGISTRY,
    AdvantageEstimator,
    agg_loss,
    get_adv_estimator_fn,
    get_policy_loss_fn,
)
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils import tensordict_utils as tu
from verl.workers.config import FSDPActorConfig, FSDPEngineConfig, HFModelConfig
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine
from verl.workers.engine.utils import prepare_micro_batches
from verl.workers.engine_workers import ActorRolloutRefWorker

from gsr_rl.settings.two_stage import ESTIMATORS, LOSS_AGG_MODES, LOSS_MODES, WHITENS_BOTH_STAGES
from gsr_rl.settings.verl import FLASH, Verl
from gsr_rl.verl_plugin.plain import plain

# Estimators


def advantages(name: str) -> tuple[list[float], list[float]]:
    """Advantages of four candidates (1, 0, 0, 0) and two refinements (1, 0) of two tokens, beside a padding row."""
    rewards = torch.zeros(7, 2)
    rewards[[0, 4], 1] = 1.0
    mask = torch.ones(7, 2)
    mask[6] = 0
    groups = np.array(["a:candidate"] * 4 + ["a:refinement"] * 2 + ["padding"], dtype=object)
    estimate = get_adv_estimator_fn(name)
    rows = estimate(token_level_rewards=rewards, response_mask=mask, index=groups, config=AlgoConfig())[0][
        :, 0
    ].tolist()
    assert rows[6] == 0
    return rows[:4], rows[4:6]


def test_verl_has_these_estimators_and_no_others() -> None:
    refused = {"gae", "remax", "gdpo", "grpo_passk", "optimal_token_baseline", "tir_optimal_token_baseline"}
    known = {*ESTIMATORS, WHITENS_BOTH_STAGES, *refused, "reinforce_plus_plus_baseline"}
    assert {estimator.value for estimator in AdvantageEstimator} == set(ADV_ESTIMATOR_REGISTRY) == known


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_estimators_that_we_allow_have_a_baseline_for_each_stage(name: str) -> None:
    candidates, refinements = advantages(name)
    assert sum(candidates) == pytest.approx(0, abs=1e-5) and sum(refinements) == pytest.approx(0, abs=1e-5)
    assert candidates[0] > 0 > candidates[1] and refinements[0] > 0 > refinements[1]


def test_reinforce_plus_plus_whitens_over_both_stages() -> None:
    candidates, refinements = advantages(WHITENS_BOTH_STAGES)
    assert candidates[0] == refinements[0]  # though a right candidate is rarer than a right refinement
    assert sum(candidates) == pytest.approx(-sum(refinements)) and sum(refinements) > 0.1


def test_a_row_of_padding_ends_pass_at_k() -> None:
    with pytest.raises(ValueError, match="at least 2 samples per group"):
        advantages("grpo_passk")


def test_a_critic_may_be_switched_on_whatever_the_estimator(quickstart: DictConfig) -> None:
    config = copy.deepcopy(quickstart)
    config.critic.enable = True
    assert need_critic(config)


# Losses


def policy_loss(name: str, scale: int) -> float:
    """The loss of two rows of three tokens, as two rows of a batch that has `scale` times their tokens and rows."""
    rng = torch.Generator().manual_seed(0)
    old = -torch.rand(2, 3, generator=rng) - 0.1
    new = old + 0.05 * torch.rand(2, 3, generator=rng)
    config = FSDPActorConfig(strategy="fsdp2", rollout_n=1, use_dynamic_bsz=True)
    object.__setattr__(config.policy_loss, "dro_beta", 0.1)
    totals = {"dp_size": 1, "batch_num_tokens": 6 * scale, "global_batch_size": 2 * scale}
    object.__setattr__(config, "global_batch_info", totals)
    rows = {"old_log_prob": old, "log_prob": new, "advantages": torch.tensor([[1.0], [-0.4]]).expand(2, 3).clone()}
    loss, _ = get_policy_loss_fn(name)(**rows, response_mask=torch.ones(2, 3), config=config)
    return float(loss)


def test_verl_has_these_losses_and_no_others() -> None:
    # bypass_mode is what verl sets with rollout_correction.bypass_mode, which is refused too
    assert {*LOSS_MODES, "geo_mean", "bypass_mode"} == set(POLICY_LOSS_REGISTRY)


@pytest.mark.parametrize("name", LOSS_MODES)
def test_the_losses_that_we_allow_are_divided_by_the_totals_that_they_are_given(name: str) -> None:
    assert policy_loss(name, 2) == pytest.approx(policy_loss(name, 1) / 2) != 0


def test_geo_mean_is_not() -> None:
    assert policy_loss("geo_mean", 2) == policy_loss("geo_mean", 1) != 0


@pytest.mark.parametrize(("mode", "scale"), [*((mode, 0.5) for mode in LOSS_AGG_MODES), ("token-sum", 1.0)])
def test_all_ways_to_sum_a_loss_up_but_one_divide_by_the_totals(mode: str, scale: float) -> None:
    losses, mask = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)
    one, two = (float(agg_loss(losses, mask, mode, batch_num_tokens=6 * n, global_batch_size=2 * n)) for n in (1, 2))
    assert two == pytest.approx(scale * one) != 0


# Micro-batches


def micro_batches(lengths: list[int], **settings: Any) -> int:
    rows = torch.nested.as_nested_tensor([torch.ones(n, dtype=torch.int64) for n in lengths], layout=torch.jagged)
    data = TensorDict({"input_ids": rows}, batch_size=[len(lengths)])
    tu.assign_non_tensor(data, **settings)
    return len(prepare_micro_batches(data)[0])


def test_without_a_dynamic_size_verl_wants_a_multiple_of_the_micro_batch() -> None:
    fixed = {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 2}
    assert micro_batches([5, 5, 5, 5], **fixed) == 2
    with pytest.raises(AssertionError, match="data size must be divisible"):
        micro_batches([5, 5, 5], **fixed)


def test_a_micro_batch_has_the_tokens_of_all_devices_that_share_a_row() -> None:
    assert micro_batches([6, 6], use_dynamic_bsz=True, max_token_len_per_gpu=3, sp_size=2) == 2
    for per_gpu, size in ((5, 1), (2, 2)):
        with pytest.raises(AssertionError, match="max_token_len must be greater"):
            micro_batches([6, 6], use_dynamic_bsz=True, max_token_len_per_gpu=per_gpu, sp_size=size)


def test_log_prob_passes_have_budgets_of_their_own() -> None:
    source = inspect.getsource(ActorRolloutRefWorker.init_model)
    assert "assert self.config.actor.use_dynamic_bsz == self.config.rollout.log_prob_use_dynamic_bsz" in source
    for key in ("log_prob_use_dynamic_bsz", "log_prob_max_token_len_per_gpu"):
        assert f'self.config.ref.pop("{key}"' in source
    assert "self.config.rollout.log_prob_max_token_len_per_gpu\n" in source  # of the actor's own engine


@pytest.mark.parametrize(("kl_loss", "kl_reward"), [(False, False), (True, False), (False, True)])
def test_a_reference_model_is_there_for_kl_terms(quickstart: DictConfig, kl_loss: bool, kl_reward: bool) -> None:
    config = copy.deepcopy(quickstart)
    config.actor_rollout_ref.actor.use_kl_loss, config.algorithm.use_kl_in_reward = kl_loss, kl_reward
    assert Verl.of(plain(config)).has_reference == need_reference_policy(config) == (kl_loss or kl_reward)


# Sequence parallelism and adapters


@pytest.mark.parametrize(("older", "newer"), [(1, 1), (1, 2), (4, 2)])
def test_verl_s_older_key_of_sequence_parallelism_wins(quickstart: DictConfig, older: int, newer: int) -> None:
    config = copy.deepcopy(quickstart)
    actor = config.actor_rollout_ref.actor
    actor.ulysses_sequence_parallel_size, actor.fsdp_config.ulysses_sequence_parallel_size = older, newer
    engine = FSDPEngineConfig(ulysses_sequence_parallel_size=newer)
    stock = FSDPActorConfig(rollout_n=1, use_dynamic_bsz=True, ulysses_sequence_parallel_size=older, fsdp_config=engine)
    assert Verl.of(plain(config)).actor.sequence_parallel[1] == stock.engine.ulysses_sequence_parallel_size


def test_only_flash_attention_shares_rows() -> None:
    source = inspect.getsource(apply_monkey_patch)
    assert "flash_attention._flash_attention_forward = _ulysses_flash_attention_forward" in source
    assert "sdpa" not in source
    assert f'.get("attn_implementation", "{FLASH}")' in inspect.getsource(HFModelConfig.__post_init__)
    source = inspect.getsource(FSDPEngine.__init__)
    assert "ulysses_sequence_parallel_size > 1 and not self.use_remove_padding" in source


def test_the_keys_of_adapters(quickstart: DictConfig) -> None:
    model = quickstart.actor_rollout_ref.model
    assert (model.lora_rank, model.lora_adapter_path, model.lora.rank, model.lora.adapter_path) == (0, None, 0, None)
    assert "self._is_lora = self.model_config.lora_rank > 0" in inspect.getsource(FSDPEngine.__init__)
