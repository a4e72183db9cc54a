"""The keys that our recipes set are verl's, and verl takes the whole."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
import pytest
import ray
from omegaconf import DictConfig, OmegaConf
from verl.workers.config import FSDPEngineConfig
from verl.workers.config.rollout import AgentLoopConfig, RolloutConfig

from gsr_rl.settings.recipes import recipes_dir
from gsr_rl.settings.settings import Recipe


def verl_config(name: str) -> dict[str, Any]:
    import verl

    folder = Path(verl.__file__).parent / "trainer" / "config"
    with hydra.initialize_config_dir(str(folder), version_base=None):
        values = OmegaConf.to_container(hydra.compose(name))
    assert isinstance(values, dict)
    return values  # pyright: ignore[reportReturnType]


def leaves(values: Mapping[Any, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*at, key))
        else:
            yield (*at, key)


def is_known(key: tuple[str, ...], schema: Any) -> bool:
    """Below an empty or null section of verl's anything goes: its contents are another library's."""
    for part in key:
        if schema is None or schema == {}:
            return True
        if not isinstance(schema, Mapping) or part not in schema:
            return False
        schema = schema[part]
    return True


# Fields of verl's dataclasses that its YAML leaves out.
NOT_IN_VERL_S_YAML = {
    ("actor_rollout_ref", "rollout", "agent", "agent_loop_manager_class"): AgentLoopConfig,
    ("actor_rollout_ref", "rollout", "enable_sleep_mode"): RolloutConfig,
    ("actor_rollout_ref", "actor", "fsdp_config", "mixed_precision"): FSDPEngineConfig,
    ("engine", "mixed_precision"): FSDPEngineConfig,
}
OURS_UNDER_SFT = {("data", "gsr_prompts")}


def test_keys_that_verl_s_yaml_leaves_out_are_fields_of_its_dataclasses() -> None:
    for key, section in NOT_IN_VERL_S_YAML.items():
        assert key[-1] in {field.name for field in fields(section)}


@pytest.mark.parametrize("name", ["base.yaml", "cpu.yaml", "puzzle.yaml"])
def test_the_keys_that_our_recipes_set_are_verl_s(name: str) -> None:
    values = OmegaConf.to_container(OmegaConf.load(recipes_dir() / name))
    assert isinstance(values, dict)
    ray_init = values.pop("ray_kwargs", {}).get("ray_init", {})
    assert set(ray_init) <= set(inspect.signature(ray.init).parameters)
    ours = {key: value for key, value in values.items() if key in Recipe.model_fields}
    assert [key for key in leaves(ours) if not is_known(key, Recipe.defaults())] == []
    rl = {key: value for key, value in values.items() if key not in {"defaults", "sft", *Recipe.model_fields}}
    schema = verl_config("ppo_trainer")
    unknown = [key for key in leaves(rl) if not is_known(key, schema)]
    sft_schema = verl_config("sft_trainer_engine")
    unknown += [key for key in leaves(values["sft"]) if key not in OURS_UNDER_SFT and not is_known(key, sft_schema)]
    left_out = [key for key in unknown if any(key[: len(section)] == section for section in NOT_IN_VERL_S_YAML)]
    assert unknown == left_out


def test_verl_s_rollout_has_our_agent_loop(quickstart: DictConfig) -> None:
    from verl.utils.config import omega_conf_to_dataclass

    rollout = omega_conf_to_dataclass(quickstart.actor_rollout_ref.rollout)
    assert rollout.agent.default_agent_loop == "gsr"
    assert rollout.agent.agent_loop_manager_class == "gsr_rl.verl_plugin.worker.GsrAgentLoopManager"
