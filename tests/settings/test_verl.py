"""What two-stage training asks of verl's keys: bad settings end in one line, before anything starts."""

import copy
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import Gsr
from gsr_rl.settings.verl import Verl, rows_in_queue, training_settings


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
}


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
        ({ROLLOUT + "response_length": 63}, ["rollout.response_length=63", "at least 64"]),
        ({ROLLOUT + "max_model_len": 320 + 63}, ["rollout.max_model_len=383", "at least 384"]),
        ({ACTOR + "ppo_max_token_len_per_gpu": 383}, ["ppo_max_token_len_per_gpu=383", "at least 384"]),
        ({ROLLOUT + "log_prob_max_token_len_per_gpu": 383}, ["log_prob_max_token_len_per_gpu=383", "at least 384"]),
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
        {ACTOR + "use_dynamic_bsz": False, ACTOR + "ppo_max_token_len_per_gpu": 1},
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
