"""Which stages depend on which keys: every key of the quickstart is operational, or makes the right stages again."""

from typing import Any

import pytest

from gsr_rl.settings.compose import load_settings, resolved_config
from gsr_rl.settings.dependencies import CHAIN, leaves, stages_of, values_for

AFTER_DATA = ("warmup", "teach", "sft", "train", "eval")


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return resolved_config(load_settings("quickstart_cpu"))


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("problems.seed", ("data",)),
        ("problems.pair_sums.largest", ("data",)),
        ("warmup.steps", ("warmup",)),
        ("teach.pool", ("teach",)),
        ("teach.refine_weight", ("teach",)),
        ("teach.direct_solutions", ("warmup", "teach")),
        ("teach.llm.temperature", ("warmup", "teach")),
        ("teach.prompts", ("warmup", "teach")),
        ("teach.prompts.direct", ("warmup", "teach")),
        ("teach.llm.urls", ()),
        ("teach.student.concurrency", ()),
        ("gsr.k", ("teach", "train", "eval")),
        ("gsr.seed", AFTER_DATA),
        ("gsr.prompts.refine", AFTER_DATA),
        ("gsr.m", ("train",)),
        ("gsr.sync_guard.timeout_s", ()),
        ("generation.backend", ()),
        ("generation.engine.quantization", ("teach", "eval")),
        ("sft.optim.lr", ("warmup", "sft")),
        ("sft.trainer.total_training_steps", ("sft",)),
        ("sft.trainer.logger", ()),
        ("data.apply_chat_template_kwargs", AFTER_DATA),
        ("data.apply_chat_template_kwargs.enable_thinking", AFTER_DATA),
        ("data.train_batch_size", ("train",)),
        ("actor_rollout_ref.actor.optim.lr", ("train",)),
        ("actor_rollout_ref.rollout.prompt_length", ("teach", "train", "eval")),
        ("reward.custom_reward_function.name", ("teach", "train", "eval")),
        ("trainer.total_training_steps", ("train",)),
        ("trainer.save_freq", ()),
        ("ray_kwargs.ray_init.address", ()),
        ("eval.split", ("eval",)),
        ("eval.server.timeout_s", ()),
        ("skip_stages", ()),
        ("run_dir", ()),
        ("algorithm.adv_estimator", ("train",)),
    ],
)
def test_a_key_makes_the_right_stages_again(key: str, stages: tuple[str, ...]) -> None:
    assert stages_of(key) == stages


def test_a_change_of_any_key_of_the_quickstart_is_seen_by_its_stages_and_by_no_others(config: dict[str, Any]) -> None:
    for key, value in leaves(config):
        before, after = nested(key, value), nested(key, "another value")
        changed = [stage for stage in CHAIN if values_for(stage, after) != values_for(stage, before)]
        assert sorted(changed) == sorted(stages_of(key)), key


def nested(key: str, value: Any) -> dict[str, Any]:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def test_every_section_of_ours_and_of_verls_is_depended_on(config: dict[str, Any]) -> None:
    """A new section would be `train`'s; operational keys are named."""
    operational = {key.partition(".")[0] for key, _ in leaves(config) if not stages_of(key)}
    dependent = {key.partition(".")[0] for key, _ in leaves(config) if stages_of(key)}
    only_operational = operational - dependent
    assert only_operational == {
        *("recipe", "run_dir", "skip_stages", "base_model"),
        *("ray_kwargs", "transfer_queue", "global_profiler"),
    }
