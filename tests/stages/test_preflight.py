"""What is checked before anything starts, of the machine."""

import os
from typing import Any

import pytest

from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import load_recipe
from gsr_rl.stages import preflight

RL, SFT = "actor_rollout_ref.model", "sft.model"


def sdpa(key: str) -> str:
    return f"++{key}.override_config.attn_implementation=sdpa"


@pytest.mark.parametrize(
    ("recipe", "stage", "overrides", "key"),
    [
        ("gsr_qwen3_1_7b", "train", [], RL),
        ("gsr_qwen3_1_7b", "run", [], RL),
        ("gsr_qwen2_5_7b", "sft", [], SFT),
        ("gsr_qwen2_5_7b", "run", [sdpa(RL)], SFT),
        ("quickstart_gpu", "run", [f"{SFT}.override_config.attn_implementation=flash_attention_2"], SFT),
    ],
)
def test_attention_of_a_package_that_is_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, recipe: str, stage: str, overrides: list[str], key: str
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=f"^{key}.override_config.attn_implementation=flash_attention_2") as error:
        preflight.check_attention(load_recipe(recipe, overrides), stage)
    mended = [*(one for one in overrides if "flash" not in one), sdpa(key)]
    assert mended[-1] in str(error.value) and "\n" not in str(error.value)
    preflight.check_attention(load_recipe(recipe, mended), stage)


@pytest.mark.parametrize(
    ("recipe", "stage", "overrides"),
    [
        ("quickstart_gpu", "run", []),
        ("quickstart_cpu", "run", []),
        ("gsr_qwen2_5_7b", "teach", []),  # trains nothing
        ("gsr_qwen2_5_7b", "run", ["skip_stages=[warmup,sft,train]"]),
        ("gsr_qwen2_5_7b", "run", ["skip_stages=[sft,train]", "warmup.steps=0"]),
        ("gsr_qwen2_5_7b", "run", ["ray_kwargs.ray_init.address=10.0.0.1:6379"]),  # the nodes may have it
    ],
)
def test_attention_is_not_asked_for_where_nothing_needs_it(
    monkeypatch: pytest.MonkeyPatch, recipe: str, stage: str, overrides: list[str]
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    preflight.check_attention(load_recipe(recipe, overrides), stage)


def test_attention_of_a_package_that_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(preflight, "find_spec", lambda name: found.append(name) or object())
    preflight.check_attention(load_recipe("gsr_qwen3_1_7b"), "run")
    assert found == ["flash_attn"]


@pytest.mark.parametrize(
    ("recipe", "has_one", "method"), [("quickstart_gpu", True, "spawn"), ("quickstart_cpu", False, None)]
)
def test_the_engine_of_a_gpu_is_spawned(
    monkeypatch: pytest.MonkeyPatch, recipe: str, has_one: bool, method: str | None
) -> None:
    monkeypatch.setattr(preflight, "_has_accelerator", lambda: has_one)
    monkeypatch.setattr(os, "environ", {})
    preflight.choose_platform(load_recipe(recipe))
    assert os.environ.get("VLLM_WORKER_MULTIPROC_METHOD") == method
    monkeypatch.setattr(os, "environ", {"VLLM_WORKER_MULTIPROC_METHOD": "fork"})  # the user's
    preflight.choose_platform(load_recipe(recipe))
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "fork"
