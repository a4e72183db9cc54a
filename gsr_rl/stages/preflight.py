"""Checks that stages share: everything about a run that can be known before it starts."""

from collections.abc import Sequence
from importlib.util import find_spec

from gsr_rl.errors import UsageError, require
from gsr_rl.generation.cluster import address_of, connected
from gsr_rl.generation.ray_engine import RayReplicas
from gsr_rl.generation.roles import Role
from gsr_rl.generation.servers import check_servers
from gsr_rl.generation.tokenizers import check_prompts, load_tokenizer
from gsr_rl.settings.compose import rl_config, sft_config
from gsr_rl.settings.settings import Settings
from gsr_rl.settings.two_stage import (
    WHITENS_BOTH_STAGES,
    check_checkpoints,
    check_sft,
    check_training,
    parallel_sections,
)
from gsr_rl.settings.verl import FLASH


def check_recipe(settings: Settings) -> None:
    """What every stage of the chain relies on: settings of training, checkpoints, and the reward function.

    Raises:
        UsageError: one line that names the key or file, what is wrong and how to fix it.
    """
    check_keys(settings)
    for trained in ("warmup", "sft", "train"):
        settings.folder.latest_checkpoint(trained)
    check_reward_function(settings)


def check_keys(settings: Settings) -> None:
    """The settings of both trainings go together, which needs neither verl nor files.

    Raises:
        UsageError: one line that names the key, its value, and what it must be.
    """
    check_training(settings.gsr, settings.verl)
    check_sft(settings.sft)
    check_checkpoints(settings.verl, settings.sft)


def check_model(settings: Settings, model: str) -> None:
    """The model can be read, and its frame of the refinement prompt leaves room for candidates.

    Raises:
        UsageError: names the model, or the key and the tokens that are needed.
    """
    length = settings.verl.rollout.prompt_length
    check_prompts(settings.gsr, load_tokenizer(model), length, settings.verl.chat_kwargs, [""])


def check_trainer(settings: Settings, stage: str) -> None:
    """verl's trainer of a stage can start here with these settings; raises as `check_attention` and `check_by_verl`."""
    check_attention(settings, stage)
    check_by_verl(settings, stage)


def check_attention(settings: Settings, stage: str) -> None:
    """flash-attn is installed where verl's trainer of `stage` needs it.

    It does on a GPU, unless it is told to attend otherwise, and for sequence parallelism.

    Raises:
        UsageError: flash-attn is missing; names the key that asks for it.
    """
    # A cluster's nodes may have packages that this machine, perhaps without a GPU, lacks.
    if address_of(settings.verl.ray_init) or find_spec("flash_attn"):
        return
    key = "actor_rollout_ref.model" if stage == "train" else "sft.model"
    model = settings.verl.model if stage == "train" else settings.sft.model
    if settings.verl.trainer.device == "cuda" and model.attention == FLASH:
        raise UsageError(
            f"{key}.override_config.attn_implementation={FLASH} (verl's default): flash-attn is not installed; "
            f"install it (requirements/gpu.txt), or say ++{key}.override_config.attn_implementation=sdpa"
        )
    for parallel, size in _sequence_parallel(settings, stage).items():
        hint = "1: flash-attn, which sequence parallelism needs, is not installed (requirements/gpu.txt)"
        require(size == 1, parallel, size, hint)


def _sequence_parallel(settings: Settings, stage: str) -> dict[str, int]:
    """How many devices share a row, by key."""
    if stage != "train":
        return {"sft.engine.ulysses_sequence_parallel_size": settings.sft.engine.ulysses_sequence_parallel_size}
    sections = parallel_sections(settings.verl).items()
    return {f"{at}.{key}": size for at, section in sections for key, size in [section.sequence_parallel]}


def check_reward_function(settings: Settings) -> None:
    """The reward function can be loaded.

    Raises:
        UsageError: names the file and the function, and why it cannot be loaded.
    """
    from verl.trainer.ppo.reward import get_custom_reward_fn

    function = settings.verl.reward.custom_reward_function
    try:
        get_custom_reward_fn(rl_config(settings))
    except Exception as error:  # whatever the user's file raises when it is imported
        reason = " ".join(str(error).split())
        what = f"{function.path} with the function {function.name}"
        raise UsageError(f"reward.custom_reward_function: cannot load {what} ({reason}); fix path or name") from None


def check_access(role: Role) -> None:
    """The model is at its servers, or its folder or hub name can be read.

    Raises:
        UsageError: names the URL or model and what is wrong with it.
    """
    if role.is_remote:
        check_servers(role.served, role.key)
    else:
        load_tokenizer(str(role.served.model))


def check_roles(settings: Settings, roles: Sequence[Role]) -> None:
    """Every model can be accessed, and the Ray cluster, if it is asked for, has room for the models that run there.

    Raises:
        UsageError: names the URL or model and what is wrong with it, or the number of replicas.
    """
    for role in roles:
        check_access(role)
    here = [role for role in roles if not role.is_remote]
    if here and settings.generation.backend == "ray":
        engine = settings.engine_arguments(settings.verl.rollout.prompt_length)
        with connected(settings.verl.ray_init):
            for role in here:  # one after the other, as they run
                RayReplicas(settings, role.served, engine).count()


def check_by_verl(settings: Settings, stage: str) -> None:
    """verl's dataclasses and its own validation accept the configuration of a stage's trainer.

    Raises:
        UsageError: verl refuses it; names the key, or says why.
    """
    from gsr_rl.verl_plugin import checks

    if stage != "train":
        return checks.check_sft(sft_config(settings))
    if settings.verl.algorithm.adv_estimator == WHITENS_BOTH_STAGES:
        print(
            f"gsr-rl: warning: algorithm.adv_estimator={WHITENS_BOTH_STAGES} whitens advantages over candidates and "
            "refinements together, so the stages do not have baselines of their own",
            flush=True,
        )
    checks.check_rl(rl_config(settings))
