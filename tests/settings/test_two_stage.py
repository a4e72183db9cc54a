"""What two-stage training asks of verl's keys: bad settings end in one line, before anything starts."""

import copy
from typing import Any

import pytest
from composed import changed, composed
from omegaconf import DictConfig, OmegaConf

from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import Gsr
from gsr_rl.settings.two_stage import (
    ESTIMATORS,
    LOSS_AGG_MODES,
    LOSS_MODES,
    check_checkpoints,
    check_sft,
    rows_in_queue,
    training_settings,
)
from gsr_rl.settings.verl import Verl


def refused(error: pytest.ExceptionInfo[UsageError], *parts: str) -> None:
    """Check that the error is one line that holds all of `parts`."""
    line = str(error.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


@pytest.fixture(scope="module")
def recipe(quickstart: DictConfig) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(quickstart)
    return values


def overridden(recipe: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    """The recipe with `a__b__c=value` set."""
    values = copy.deepcopy(recipe)
    for path, value in overrides.items():
        *sections, key = path.split("__")
        at = values
        for section in sections:
            at = at[section]
        at[key] = value
    return values


def test_the_quickstart_is_accepted(recipe: dict[str, Any]) -> None:
    gsr = training_settings(recipe)
    assert gsr == Gsr.of(recipe["gsr"], "gsr")


ROLLOUT = "actor_rollout_ref__rollout__"
ACTOR = "actor_rollout_ref__actor__"
REF = "actor_rollout_ref__ref__"
MODEL = "actor_rollout_ref__model__"
# Figures of the test's own, whatever the recipe's are.
BUDGETS: dict[str, Any] = {
    "gsr__candidate_tokens": 48,
    "gsr__refinement_tokens": 64,
    "data__train_batch_size": 8,
    ROLLOUT + "prompt_length": 320,
    ROLLOUT + "response_length": 64,
    ROLLOUT + "max_model_len": None,
    ACTOR + "ppo_mini_batch_size": 4,
    ACTOR + "ppo_max_token_len_per_gpu": 384,
    ACTOR + "use_dynamic_bsz": True,
    ROLLOUT + "log_prob_max_token_len_per_gpu": 384,
    REF + "log_prob_max_token_len_per_gpu": 384,
}
# Rows that two of four devices share, as verl's trainer would do it.
SHARED: dict[str, Any] = {
    "trainer__n_gpus_per_node": 4,
    MODEL + "override_config": {"attn_implementation": "flash_attention_2"},
    ACTOR + "fsdp_config__ulysses_sequence_parallel_size": 2,
}
KL = {ACTOR + "use_kl_loss": True}
HALF = {ACTOR + "ppo_max_token_len_per_gpu": 192, ROLLOUT + "log_prob_max_token_len_per_gpu": 192}


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({ROLLOUT + "temperature": 0.0}, ["rollout.temperature=0.0", "above 0"]),
        ({ROLLOUT + "top_p": 0.9}, ["rollout.top_p=0.9", "1 in training", "one temperature"]),
        ({ROLLOUT + "top_k": 50}, ["rollout.top_k=50", "-1 in training"]),
        ({ROLLOUT + "top_k": 0}, ["rollout.top_k=0", "-1 in training"]),
        ({ROLLOUT + "n": 8}, ["rollout.n=8", "gsr.k and gsr.m"]),
        ({ROLLOUT + "val_kwargs__n": 0}, ["rollout.val_kwargs.n=0", "at least 1"]),
        ({ROLLOUT + "calculate_log_probs": False}, ["rollout.calculate_log_probs=False", "True"]),
        ({ROLLOUT + "full_determinism": True}, ["rollout.full_determinism=True", "False"]),
        ({ROLLOUT + "response_length": 63}, ["rollout.response_length=63", "at least 64"]),
        ({ROLLOUT + "max_model_len": 320 + 63}, ["rollout.max_model_len=383", "at least 384"]),
        ({ACTOR + "ppo_max_token_len_per_gpu": 383}, ["ppo_max_token_len_per_gpu=383", "at least 384"]),
        ({ACTOR + "ppo_mini_batch_size": 0}, ["ppo_mini_batch_size=0", "divisor of data.train_batch_size=8"]),
        ({ACTOR + "ppo_mini_batch_size": 3}, ["ppo_mini_batch_size=3", "divisor of data.train_batch_size=8"]),
        ({ACTOR + "ppo_mini_batch_size": 16}, ["ppo_mini_batch_size=16", "divisor of data.train_batch_size=8"]),
        ({ACTOR + "shuffle": True}, ["actor.shuffle=True", "False"]),
        ({"trainer__v1__trainer_mode": "separate_async"}, ["trainer_mode=separate_async", "gsr", "not been proved"]),
        ({"trainer__v1__trainer_mode": "sync"}, ["trainer_mode=sync", "must be gsr"]),
        ({"trainer__use_v1": False}, ["trainer.use_v1=False", "True"]),
        ({"algorithm__filter_groups": {"enable": True}}, ["filter_groups.enable=True", "use gsr.selection"]),
        ({"algorithm__rollout_correction": {"bypass_mode": True}}, ["bypass_mode=True", "False"]),
        (
            {"reward__reward_model__enable": True, "reward__reward_model__enable_resource_pool": False},
            ["reward.reward_model.enable=True", "enable_resource_pool=True"],
        ),
        (
            {"transfer_queue__backend__SimpleStorage__total_storage_size": 8 * (4 + 4 + 1) - 1},
            ["total_storage_size=71", "at least 72, the rows of one step"],
        ),
        # estimators that need what rows lack, a critic, or a group of two for a row of padding
        *(
            ({"algorithm__adv_estimator": name}, [f"adv_estimator={name}: must be one of grpo, grpo_vectorized, rloo,"])
            for name in ("gae", "remax", "gdpo", "grpo_passk", "optimal_token_baseline", "tir_optimal_token_baseline")
        ),
        ({"algorithm__adv_estimator": "reinforce_plus_plus_baseline"}, ["must be one of grpo"]),
        ({"critic__enable": True}, ["critic.enable=True", "no estimator that works here"]),
        ({ACTOR + "use_dynamic_bsz": False}, ["actor.use_dynamic_bsz=False", "must be True", "cut by tokens"]),
        ({ROLLOUT + "log_prob_use_dynamic_bsz": False}, ["rollout.log_prob_use_dynamic_bsz=False", "must be True"]),
        ({REF + "log_prob_use_dynamic_bsz": False} | KL, ["ref.log_prob_use_dynamic_bsz=False", "must be True"]),
        ({ACTOR + "loss_agg_mode": "token-sum"}, ["actor.loss_agg_mode=token-sum", "token-mean", "λ"]),
        ({ACTOR + "policy_loss__loss_mode": "geo_mean"}, ["policy_loss.loss_mode=geo_mean", "vanilla", "λ"]),
        ({ACTOR + "policy_loss__loss_mode": "nonsense"}, ["policy_loss.loss_mode=nonsense", "one of vanilla"]),
        ({ACTOR + "policy_loss__loss_mode": "dro"}, ["policy_loss.dro_beta=None", "above 0"]),
        ({"distillation__enabled": True}, ["distillation.enabled=True", "must be False"]),
        ({ROLLOUT + "log_prob_max_token_len_per_gpu": 383}, ["rollout.log_prob_max_token_len_per_gpu=383", "384"]),
        ({REF + "log_prob_max_token_len_per_gpu": 383} | KL, ["ref.log_prob_max_token_len_per_gpu=383", "384"]),
        # verl packs to the tokens of all devices that share a row: 2 x 191 are too few for 384
        (
            SHARED | HALF | {ACTOR + "ppo_max_token_len_per_gpu": 191},
            ["actor.ppo_max_token_len_per_gpu=191", "at least 192, the longest row (384 tokens) on 2 GPUs"],
        ),
        (
            SHARED | HALF | {ROLLOUT + "log_prob_max_token_len_per_gpu": 191},
            ["rollout.log_prob_max_token_len_per_gpu=191", "at least 192"],
        ),
        # the reference model has an engine of its own
        (SHARED | HALF | KL | {REF + "log_prob_max_token_len_per_gpu": 192}, ["ref.log_prob", "=192", "at least 384"]),
        (
            SHARED | {"trainer__n_gpus_per_node": 3},
            ["actor.fsdp_config.ulysses_sequence_parallel_size=2: must be a divisor of the number of devices, 3"],
        ),
        (
            SHARED | {MODEL + "override_config": {"attn_implementation": "sdpa"}},
            ["ulysses_sequence_parallel_size=2: must be 1 with actor_rollout_ref.model.override_config", "=sdpa"],
        ),
        (SHARED | {MODEL + "use_remove_padding": False}, ["size=2: must be 1 with", "use_remove_padding=False"]),
        (
            SHARED | {ACTOR + "ulysses_sequence_parallel_size": 3},  # verl's older key wins
            ["actor.ulysses_sequence_parallel_size=3", "divisor of the number of devices, 4"],
        ),
        ({"gsr__k": 1}, ["gsr.k=1", "at least 2"]),
        ({"gsr__candidate_tokens": 65}, ["rollout.response_length=64", "at least 65"]),
    ],
)
def test_what_training_refuses(recipe: dict[str, Any], overrides: dict[str, Any], parts: list[str]) -> None:
    assert training_settings(overridden(recipe, **BUDGETS))
    with pytest.raises(UsageError) as error:
        training_settings(overridden(recipe, **(BUDGETS | overrides)))
    refused(error, *parts)


@pytest.mark.parametrize(
    "overrides",
    [
        {ROLLOUT + "max_model_len": None},
        {ROLLOUT + "max_model_len": 384},
        *({"algorithm__adv_estimator": name} for name in (*ESTIMATORS, "reinforce_plus_plus")),
        *({ACTOR + "policy_loss__loss_mode": name} for name in LOSS_MODES if name != "dro"),
        {ACTOR + "policy_loss__loss_mode": "dro", ACTOR + "policy_loss__dro_beta": 0.1},
        *({ACTOR + "loss_agg_mode": name} for name in LOSS_AGG_MODES),
        # nobody asks the reference model without a KL term
        {REF + "log_prob_use_dynamic_bsz": False, REF + "log_prob_max_token_len_per_gpu": 1},
        SHARED | HALF,
        SHARED
        | HALF
        | KL
        | {REF + "fsdp_config__ulysses_sequence_parallel_size": 2}
        | {REF + "log_prob_max_token_len_per_gpu": 192},
        {ACTOR + "ppo_mini_batch_size": 8},
        {"algorithm__filter_groups": None},
        {"reward__reward_model__enable": True, "reward__reward_model__enable_resource_pool": True},
        {ROLLOUT + "temperature": 0.7},
        {"transfer_queue__backend__SimpleStorage__total_storage_size": 8 * (4 + 4 + 1)},
    ],
)
def test_what_training_takes(recipe: dict[str, Any], overrides: dict[str, Any]) -> None:
    assert training_settings(overridden(recipe, **(BUDGETS | overrides)))


@pytest.mark.parametrize(
    ("overrides", "rows"),
    [
        # k candidates, m refinements and the prompt itself, for each prompt of a step
        ({}, 8 * (4 + 4 + 1)),
        ({"gsr__refine_weight": 0.0}, 8 * (4 + 0 + 1)),
        # a validation batch may hold more rows than a training step
        ({"data__val_batch_size": 50, ROLLOUT + "val_kwargs__n": 2}, 50 * 2 * (4 + 1 + 1)),
        ({"data__val_batch_size": 10}, 8 * (4 + 4 + 1)),
    ],
)
def test_the_most_rows_in_the_queue(recipe: dict[str, Any], overrides: dict[str, Any], rows: int) -> None:
    values = overridden(recipe, **(BUDGETS | overrides))
    assert rows_in_queue(Gsr.of(values["gsr"]), Verl.of(values)) == rows


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["sft.data.max_length=4097"], ["sft.data.max_token_len_per_gpu=4096: must be at least 4097, the longest row"]),
        (["sft.data.max_token_len_per_gpu=abc"], ["sft.data.max_token_len_per_gpu='abc': must be a whole number"]),
        (["sft.engine.ulysses_sequence_parallel_size=2"], ["sft.engine.ulysses_sequence", "=2", "devices, 1"]),
        (
            ["sft.engine.ulysses_sequence_parallel_size=2", "sft.trainer.n_gpus_per_node=2"],
            ["sft.engine.ulysses_sequence_parallel_size=2: must be 1 with sft.model.override_config", "packed_sdpa"],
        ),
    ],
)
def test_what_sft_refuses(overrides: list[str], parts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        check_sft(changed(composed("quickstart_cpu"), *overrides).sft)
    refused(error, *parts)


def test_what_sft_takes() -> None:
    recipe, longer = composed("quickstart_cpu"), "sft.data.max_length=8192"
    check_sft(recipe.sft)
    check_sft(changed(recipe, longer, "sft.data.use_dynamic_bsz=false").sft)
    flash = "sft.model.override_config.attn_implementation=flash_attention_2"
    shared = ["sft.engine.ulysses_sequence_parallel_size=2", "sft.trainer.n_gpus_per_node=4", flash]
    check_sft(changed(recipe, longer, *shared).sft)  # 2 x 4096 tokens


@pytest.mark.parametrize("model", ["actor_rollout_ref.model", "sft.model"])
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("lora_rank=8", "lora_rank=8: must be 0"),
        ("lora.rank=8", "lora.rank=8: must be 0"),
        ("lora_adapter_path=a/b", "lora_adapter_path=a/b: must be null"),
        ("lora.adapter_path=a/b", "lora.adapter_path=a/b: must be null"),
    ],
)
def test_adapters_are_refused_until_an_export_merges_them(model: str, override: str, said: str) -> None:
    settings = changed(composed("quickstart_cpu"), f"{model}.{override}")
    with pytest.raises(UsageError) as error:
        check_checkpoints(settings.verl, settings.sft)
    refused(error, f"{model}.{said}")
