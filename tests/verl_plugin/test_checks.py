"""verl's own checks of its configuration, before anything starts."""

import pytest
from composed import changed, composed

from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import rl_config, sft_config
from gsr_rl.settings.recipes import recipe_names
from gsr_rl.settings.settings import Settings
from gsr_rl.stages.preflight import check_by_verl
from gsr_rl.verl_plugin.checks import check_rl, check_sft

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"


@pytest.mark.parametrize("recipe", recipe_names())
def test_verl_accepts_every_recipe(recipe: str) -> None:
    settings = composed(recipe)
    check_rl(rl_config(settings))
    check_sft(sft_config(settings))


def check(settings: Settings) -> None:
    check_sft(sft_config(settings))
    check_rl(rl_config(settings))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (f"{ACTOR}.optim.lr=abc", f"{ACTOR}.optim.lr='abc': must be a number"),
        # verl would hand the text on to the optimizer
        (f"{ACTOR}.optim.lr='1e-6'", f"{ACTOR}.optim.lr='1e-6': must be a number"),
        (f"{ACTOR}.optim.betas=[0.9,x]", f"{ACTOR}.optim.betas=[0.9, 'x']: must be a number"),
        (f"{ACTOR}.optim.lr_warmup_steps=2.5", f"{ACTOR}.optim.lr_warmup_steps=2.5: must be a whole number"),
        (f"{ACTOR}.optim.lr_scheduler_type=x", "verl refuses the configuration: Error in call to target 'verl.workers"),
        (f"{ACTOR}.fsdp_config.param_offload=maybe", f"{ACTOR}.fsdp_config.param_offload='maybe': must be true or"),
        (f"{ACTOR}.clip_ratio=x", f"{ACTOR}.clip_ratio='x': must be a number"),
        (f"{ACTOR}.nonsense=1", f"{ACTOR}.nonsense: no such key"),
        (f"{ACTOR}.optim=abc", f"{ACTOR}.optim='abc': must be a section"),
        ("actor_rollout_ref.model.nonsense=1", "actor_rollout_ref.model.nonsense: no such key"),
        ("actor_rollout_ref.model.use_liger=x", "actor_rollout_ref.model.use_liger='x': must be true or false"),
        ("actor_rollout_ref.ref.fsdp_config.fsdp_size=x", "actor_rollout_ref.ref.fsdp_config.fsdp_size='x': must be"),
        (f"{ROLLOUT}.gpu_memory_utilization=high", f"{ROLLOUT}.gpu_memory_utilization='high': must be a number"),
        (f"{ROLLOUT}.pipeline_model_parallel_size=2", "verl refuses the configuration: Current rollout"),
        ("algorithm.gamma=x", "algorithm.gamma='x': must be a number"),
        ("sft.optim.lr=abc", "sft.optim.lr='abc': must be a number"),
        ("sft.optim.weight_decay=[1]", "sft.optim.weight_decay=[1]: must be a number"),
        ("sft.optim.lr_scheduler_type=x", "verl refuses the configuration: Error in call to target 'verl.workers"),
        ("sft.engine.strategy=nonsense", "verl refuses the configuration: strategy nonsense not supported"),
        ("sft.engine.fsdp_size=two", "sft.engine.fsdp_size='two': must be a whole number"),
        ("sft.model.use_shm=x", "sft.model.use_shm='x': must be true or false"),
        ("sft.checkpoint.async_save=x", "sft.checkpoint.async_save='x': must be true or false"),
    ],
)
def test_what_verl_s_dataclasses_do_not_have_is_refused_with_the_key(override: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        check(changed(composed("quickstart_cpu"), override))
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "override",
    [
        f"{ACTOR}.optim.lr=1",  # a whole number is a number
        f"{ACTOR}.optim.betas=[0.9,0.95]",
        f"{ACTOR}.fsdp_config.model_dtype=null",
        f"{ROLLOUT}.engine_kwargs.vllm.anything=5",  # another library's
        "actor_rollout_ref.model.override_config.anything=5",
    ],
)
def test_what_they_have_is_accepted(override: str) -> None:
    check(changed(composed("quickstart_cpu"), override))


def test_an_estimator_that_whitens_over_both_stages_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    settings, warning = composed("quickstart_cpu"), "reinforce_plus_plus whitens advantages over candidates and refine"
    check_by_verl(settings, "train")
    assert warning not in capsys.readouterr().out
    settings = changed(settings, "algorithm.adv_estimator=reinforce_plus_plus")
    check_by_verl(settings, "train")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if warning in line]
    assert line.startswith("gsr-rl: warning: algorithm.adv_estimator=")
    check_by_verl(settings, "sft")
    assert warning not in capsys.readouterr().out
