"""Checks that stages share: everything about a run that can be known before it starts."""

from collections.abc import Sequence
from importlib.util import find_spec

from hydra.errors import HydraException

from gsr_rl.errors import UsageError, require
from gsr_rl.generation.cluster import address_of, connected
from gsr_rl.generation.ray_engine import RayReplicas
from gsr_rl.generation.roles import Role
from gsr_rl.generation.servers import check_servers
from gsr_rl.generation.tokenizers import check_prompts, load_tokenizer
from gsr_rl.settings.compose import rl_config
from gsr_rl.settings.settings import Settings
from gsr_rl.settings.verl import check_checkpoints, check_training

_FLASH = "flash_attention_2"


def check_recipe(settings: Settings) -> None:
    """What every stage of the chain relies on: settings of training, checkpoints, and the reward function.

    Raises:
        UsageError: one line that names the key or file, what is wrong and how to fix it.
    """
    check_training(settings.gsr, settings.verl)
    check_checkpoints(settings.verl, settings.sft)
    for trained in ("warmup", "sft", "train"):
        settings.folder.latest_checkpoint(trained)
    check_reward_function(settings)


def check_model(settings: Settings, model: str) -> None:
    """The model can be read, and its frame of the refinement prompt leaves room for candidates.

    Raises:
        UsageError: names the model, or the key and the tokens that are needed.
    """
    length = settings.verl.rollout.prompt_length
    check_prompts(settings.gsr, load_tokenizer(model), length, settings.verl.chat_kwargs, [""])


def check_attention(settings: Settings, stage: str) -> None:
    """flash-attn is installed where verl's trainer of `stage` would ask for it, which it does unless told otherwise.

    Raises:
        UsageError: flash-attn is missing; names the key that asks for another implementation.
    """
    # A cluster's nodes may have packages that this machine, perhaps without a GPU, lacks.
    on_gpu = settings.verl.trainer.device == "cuda"
    if not on_gpu or address_of(settings.verl.ray_init) or find_spec("flash_attn"):
        return
    key = "actor_rollout_ref.model" if stage == "train" else "sft.model"
    model = settings.verl.model if stage == "train" else settings.sft.model
    if (model.override_config or {}).get("attn_implementation", _FLASH) == _FLASH:
        raise UsageError(
            f"{key}.override_config.attn_implementation={_FLASH} (verl's default): flash-attn is not installed; "
            f"install it (requirements/gpu.txt), or say ++{key}.override_config.attn_implementation=sdpa"
        )


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


def check_by_verl(settings: Settings) -> None:
    """verl's own validation accepts the configuration.

    Raises:
        UsageError: verl refuses it; says why.
    """
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    config = rl_config(settings)
    estimator = settings.verl.algorithm.adv_estimator
    require(not need_critic(config), "algorithm.adv_estimator", estimator, "one without critic")
    try:
        validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=False)
    except (AssertionError, ValueError, HydraException) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UsageError(f"verl refuses the configuration: {reason}") from None
