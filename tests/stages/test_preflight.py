"""What is checked before a stage starts: attention, and the platform of this machine."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from composed import changed, composed

from gsr_rl.errors import UsageError
from gsr_rl.settings.settings import Settings
from gsr_rl.stages import chain, platform, preflight, sft, teach, train

RL, SFT = "actor_rollout_ref.model", "sft.model"
Check = Callable[[Settings], None]


def sdpa(key: str) -> str:
    return f"++{key}.override_config.attn_implementation=sdpa"


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """No check reads a model, which these recipes have on the hub."""
    for module in (chain, sft, teach, train):
        for name in ("check_model", "check_roles", "check_prompts", "load_tokenizer"):
            monkeypatch.setattr(module, name, lambda *arguments: None, raising=False)
    monkeypatch.setattr(train, "read_rl_rows", lambda file: [])


@pytest.mark.usefixtures("no_models")
@pytest.mark.parametrize(
    ("recipe", "check", "overrides", "key"),
    [
        ("gsr_qwen3_1_7b", train.check, [], RL),
        ("gsr_qwen3_1_7b", chain.check, [], RL),
        ("gsr_qwen2_5_7b", sft.check, [], SFT),
        ("gsr_qwen2_5_7b", sft.check_warmup, ["teach.teacher=oracle"], SFT),
        ("gsr_qwen2_5_7b", chain.check, [sdpa(RL), "teach.teacher=oracle"], SFT),
        ("quickstart_gpu", chain.check, [f"{SFT}.override_config.attn_implementation=flash_attention_2"], SFT),
    ],
)
def test_attention_of_a_package_that_is_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, recipe: str, check: Check, overrides: list[str], key: str
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=f"^{key}.override_config.attn_implementation=flash_attention_2") as error:
        check(changed(composed(recipe), *overrides))
    fixed = [*(override for override in overrides if "flash" not in override), sdpa(key)]
    assert fixed[-1] in str(error.value) and "\n" not in str(error.value)
    check(changed(composed(recipe), *fixed))


@pytest.mark.usefixtures("no_models")
@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [
        ("quickstart_gpu", []),
        ("quickstart_cpu", []),
        ("gsr_qwen2_5_7b", ["skip_stages=[warmup,teach,sft,train]"]),
        ("gsr_qwen2_5_7b", ["skip_stages=[teach,sft,train]", "warmup.steps=0"]),
        ("gsr_qwen2_5_7b", ["ray_kwargs.ray_init.address=10.0.0.1:6379", "teach.teacher=oracle"]),  # nodes may have it
    ],
)
def test_attention_is_not_asked_for_where_nothing_needs_it(
    monkeypatch: pytest.MonkeyPatch, recipe: str, overrides: list[str]
) -> None:
    monkeypatch.setattr(preflight, "find_spec", lambda name: None)
    chain.check(changed(composed(recipe), *overrides))


def test_attention_of_a_package_that_is_there_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(preflight, "find_spec", lambda name: found.append(name) or object())
    preflight.check_attention(composed("gsr_qwen3_1_7b"), "train")
    assert found == ["flash_attn"]


@pytest.mark.parametrize(
    ("recipe", "has_one", "method"), [("quickstart_gpu", True, "spawn"), ("quickstart_cpu", False, None)]
)
def test_the_engine_of_a_gpu_is_spawned(
    monkeypatch: pytest.MonkeyPatch, recipe: str, has_one: bool, method: str | None
) -> None:
    monkeypatch.setattr(platform, "_has_accelerator", lambda: has_one)
    monkeypatch.setattr(os, "environ", {})
    platform.choose_platform(composed(recipe))
    assert os.environ.get("VLLM_WORKER_MULTIPROC_METHOD") == method
    monkeypatch.setattr(os, "environ", {"VLLM_WORKER_MULTIPROC_METHOD": "fork"})  # the user's
    platform.choose_platform(composed(recipe))
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "fork"


def test_the_platform_changes_how_ray_starts_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_has_accelerator", lambda: False)
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "3"})
    before = composed("quickstart_cpu")
    after = platform.choose_platform(before)
    env = after.verl.ray_init["runtime_env"]["env_vars"]
    assert env["VERL_PLATFORM"] == os.environ["VERL_PLATFORM"] == "cpu"
    assert env["OMP_NUM_THREADS"] == "3" and env["VLLM_CPU_KVCACHE_SPACE"] == "1"  # the user's and the recipe's
    assert "VERL_PLATFORM" not in before.verl.ray_init["runtime_env"]["env_vars"]
    assert after.model_copy(update={"verl": before.verl}) == before


SILENCING = """
import logging
logging.basicConfig()
import model_hosting_container_standards.logging_config  # as vllm.entrypoints.openai.api_server does
logging.getLogger("gsr_rl.verl_plugin.worker").warning("seen")
"""


@pytest.mark.parametrize(("level", "seen"), [({}, False), ({"SAGEMAKER_CONTAINER_LOG_LEVEL": "WARNING"}, True)])
def test_a_warning_is_seen_beside_vllm_s_server(level: dict[str, str], seen: bool) -> None:
    """If the first fails, the environment variable is needed no more."""
    env = {"PATH": os.environ["PATH"], "VERL_PLATFORM": "cpu"}
    command = [sys.executable, "-c", SILENCING]
    done = subprocess.run(command, env=env | level, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert ("gsr_rl.verl_plugin.worker:seen" in done.stderr) == seen


def test_every_process_of_ray_lets_warnings_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_has_accelerator", lambda: False)
    monkeypatch.setattr(os, "environ", {})
    env = platform.choose_platform(composed("quickstart_cpu")).verl.ray_init["runtime_env"]["env_vars"]
    assert env["SAGEMAKER_CONTAINER_LOG_LEVEL"] == "WARNING"


def test_a_recipe_for_another_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    for recipe, has_one, said in (("quickstart_gpu", False, "no accelerator here"), ("quickstart_cpu", True, "is an")):
        monkeypatch.setattr(platform, "_has_accelerator", lambda has_one=has_one: has_one)
        with pytest.raises(UsageError, match=f"trainer.device=.*{said}"):
            platform.choose_platform(composed(recipe))
