"""Bad settings end in one line that names the key and the mend, before anything starts."""

import copy
import math
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from gsr_rl.errors import UsageError
from gsr_rl.settings.gsr import GsrConfig, Sampling, SyncGuard, check_training, from_mapping


def refused(error: pytest.ExceptionInfo[UsageError], *parts: str) -> None:
    """One line that holds all of `parts`."""
    line = str(error.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


def build(**gsr: Any) -> GsrConfig:
    return from_mapping(GsrConfig, gsr, "gsr")


# The gsr section


def test_the_defaults_are_the_paper_s_weight_and_a_group_in_each_stage() -> None:
    gsr = build()
    assert gsr == GsrConfig()
    assert gsr.refine_weight == 0.5
    assert (gsr.k, gsr.m) == (4, 2)
    assert gsr.validation.candidate == Sampling(temperature=1.0, top_p=1.0, top_k=-1)


def test_nested_sections_are_built() -> None:
    gsr = build(
        k=8,
        refine_weight=1,
        validation={"m": 3, "refinement": {"temperature": 0.6}},
        sync_guard={"min_correlation": 0.99},
        prompts={"system": "Solve."},
    )
    assert (gsr.k, gsr.refine_weight, gsr.validation.m) == (8, 1.0, 3)
    assert isinstance(gsr.refine_weight, float)
    assert gsr.validation.refinement == Sampling(temperature=0.6)
    assert gsr.validation.candidate == Sampling()
    assert gsr.sync_guard == SyncGuard(min_correlation=0.99)
    assert gsr.prompts.system == "Solve."


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 1, "refine_weight": 1.0},  # no candidate is trained on, so that no group is needed
        {"m": 1, "refine_weight": 0.0},
        {"easy_probability": 0},
        {"refine_weight": 0.0},
        {"refine_weight": 1.0},
        {"validation": {"candidate": {"top_p": 1.0}}},
    ],
)
def test_what_is_just_allowed(settings: dict[str, Any]) -> None:
    assert isinstance(build(**settings), GsrConfig)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"refine_weight": 1.01}, ["gsr.refine_weight=1.01", "from 0 to 1"]),
        ({"refine_weight": -0.1}, ["gsr.refine_weight=-0.1", "from 0 to 1"]),
        ({"refine_weight": math.nan}, ["gsr.refine_weight=nan", "from 0 to 1"]),
        ({"k": 0, "refine_weight": 1.0}, ["gsr.k=0", "at least 1"]),
        ({"k": 1}, ["gsr.k=1", "at least 2", "gsr.refine_weight < 1"]),
        ({"m": 1}, ["gsr.m=1", "at least 2", "gsr.refine_weight > 0"]),
        ({"m": 0, "refine_weight": 0.0}, ["gsr.m=0", "at least 1"]),
        ({"easy_probability": 1.5}, ["gsr.easy_probability=1.5", "from 0 to 1"]),
        ({"candidate_tokens": 0}, ["gsr.candidate_tokens=0", "at least 1"]),
        ({"refinement_tokens": -1}, ["gsr.refinement_tokens=-1", "at least 1"]),
        ({"selection": "hard"}, ["gsr.selection=hard", "all, hard_first"]),
        ({"validation": {"m": 0}}, ["gsr.validation.m=0", "at least 1"]),
        ({"validation": {"candidate": {"temperature": 0}}}, ["gsr.validation.candidate.temperature=0.0", "above 0"]),
        ({"validation": {"refinement": {"temperature": -1}}}, ["gsr.validation.refinement.temperature=-1", "above 0"]),
        ({"validation": {"candidate": {"top_p": 0}}}, ["gsr.validation.candidate.top_p=0", "above 0"]),
        ({"validation": {"candidate": {"top_p": 1.1}}}, ["gsr.validation.candidate.top_p=1.1", "at most 1"]),
        ({"prompts": {"direct": "no field"}}, ["gsr.prompts.direct", "{problem}"]),
    ],
)
def test_bad_values(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        build(**settings)
    refused(error, *parts)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"refine_wieght": 0.5}, ["gsr.refine_wieght: no such key", "did you mean gsr.refine_weight?"]),
        ({"validation": {"mm": 2}}, ["gsr.validation.mm: no such key", "did you mean gsr.validation.m?"]),
        (
            {"validation": {"candidate": {"temprature": 1}}},
            ["gsr.validation.candidate.temprature", "gsr.validation.candidate.temperature?"],
        ),
        ({"validation": {"candidate": {"top_k": 0}}}, ["gsr.validation.candidate.top_k=0", "-1 (all) or from 1"]),
        ({"sync_guard": {"min_correlation": math.nan}}, ["gsr.sync_guard.min_correlation=nan", "below 1"]),
        ({"sync_guard": {"timeout_s": 0}}, ["gsr.sync_guard.timeout_s=0.0", "above 0"]),
        ({"sync_guard": {"zzz": 1}}, ["gsr.sync_guard.zzz: no such key", "has: min_correlation, timeout_s"]),
    ],
)
def test_misspelt_keys(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        build(**settings)
    refused(error, *parts)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"k": "four"}, ["gsr.k='four'", "of type int"]),
        ({"k": 4.0}, ["gsr.k=4.0", "of type int"]),
        ({"k": True}, ["gsr.k=True", "of type int"]),
        ({"k": None}, ["gsr.k=None", "of type int"]),
        ({"refine_weight": "half"}, ["gsr.refine_weight='half'", "of type float"]),
        ({"refine_weight": True}, ["gsr.refine_weight=True", "of type float"]),
        ({"validation": 3}, ["gsr.validation=3", "a section with keys of its own"]),
        ({"prompts": {"system": 1}}, ["gsr.prompts.system=1", "of type str"]),
        ({"selection": None}, ["gsr.selection=None", "all, hard_first"]),
    ],
)
def test_wrong_types(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        build(**settings)
    refused(error, *parts)


# Together with verl's keys


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
    gsr = check_training(recipe)
    assert gsr == from_mapping(GsrConfig, recipe["gsr"], "gsr")


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
        ({"gsr__k": 1}, ["gsr.k=1", "at least 2"]),
        ({"gsr__candidate_tokens": 65}, ["rollout.response_length=64", "at least 65"]),
    ],
)
def test_what_training_refuses(recipe: dict[str, Any], overrides: dict[str, Any], parts: list[str]) -> None:
    assert check_training(overridden(recipe, **BUDGETS))
    with pytest.raises(UsageError) as error:
        check_training(overridden(recipe, **(BUDGETS | overrides)))
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
    ],
)
def test_what_training_takes(recipe: dict[str, Any], overrides: dict[str, Any]) -> None:
    assert check_training(overridden(recipe, **(BUDGETS | overrides)))
