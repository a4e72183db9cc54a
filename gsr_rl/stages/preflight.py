"""What is settled and checked before anything starts: the platform, the configuration, the model, the data."""

import os
import shutil
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from data_prep.rows import read_rl_rows
from gsr_rl.errors import UsageError, require
from gsr_rl.generation.cluster import address_of, check_cluster, connected
from gsr_rl.generation.servers import check_servers
from gsr_rl.prompts import Tokenizer, encode_prompt
from gsr_rl.settings.compose import rl_config
from gsr_rl.settings.evaluation import check_benchmarks, eval_config, roles
from gsr_rl.settings.gsr import GsrConfig, check_training
from gsr_rl.settings.run_folder import RunFolder, base_model, latest_model, skipped_stages
from gsr_rl.settings.sections import engine_arguments, servers_owed, teach_config
from gsr_rl.settings.served import Served
from gsr_rl.stages import data

# Tokens that each candidate must be able to show of itself in the refinement prompt.
MIN_CANDIDATE_TOKENS = 16
_FLASH = "flash_attention_2"
# Where the model of a training stage is configured.
_TRAINED = {"warmup": "sft.model", "sft": "sft.model", "train": "actor_rollout_ref.model"}
_CPU_ENV = ("OMP_NUM_THREADS", "THP_MEM_ALLOC_ENABLE", "VLLM_ENABLE_V1_MULTIPROCESSING")
_SMI_COMMANDS = ("nvidia-smi", "npu-smi", "rocm-smi")


def choose_platform(config: DictConfig) -> None:
    """Choose verl's CPU platform, for this and all Ray processes, where there is no accelerator; say so in a line.

    A machine counts as one with an accelerator if it, or the Ray cluster that it joins, has one: a GPU cluster's head
    node without a GPU of its own does.

    Raises:
        UsageError: the recipe is for another kind of device than there is, or the cluster cannot be used.
    """
    device = str(config.trainer.device)
    chosen = os.environ.get("VERL_PLATFORM")
    address = address_of(config)
    in_cluster = check_cluster(config, address) if address else False
    if chosen is None and not in_cluster and not _has_accelerator():
        if device != "cpu":
            raise UsageError(f"trainer.device={device}: no accelerator here; use a recipe for the CPU: quickstart_cpu")
        chosen = os.environ["VERL_PLATFORM"] = "cpu"
        print("gsr-rl: no accelerator here: verl runs on the CPU (VERL_PLATFORM=cpu)", flush=True)
    if device == "cpu" and chosen != "cpu":
        raise UsageError(
            "trainer.device=cpu: there is an accelerator here; use a recipe for it, or set VERL_PLATFORM=cpu where the "
            "CPU packages (requirements/cpu.txt) are installed"
        )
    if chosen == "cpu":
        # GiB; vLLM would take nine tenths of the machine's memory, which the rest of it needs.
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        # Ray starts its actors with one thread each, and vLLM takes one of its own accord.
        os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
        # Large tensors in huge pages: to fault them in by small ones is a fourth of a training step.
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        # vLLM's engine computes in its own process. In another one of its own it would wait busily for that, on a core
        # which that then leaves alone: of two cores only one would compute.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        _set_ray_env(config, **{key: os.environ[key] for key in _CPU_ENV})
    else:
        # Forked, vLLM's engine cannot use CUDA once this process has asked for its devices, as what it imports may do.
        # vLLM's own check sees no more than an initialised torch.cuda (0.24.0, with verl 0.9.1).
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    if chosen is not None:
        _set_ray_env(config, VERL_PLATFORM=chosen)


def needs_device(config: DictConfig, stage: str) -> bool:
    """Whether `stage` runs a model on this machine: not if all of its models are at URLs."""
    if stage == "eval" and config.benchmarks is not None:
        return not all(role.is_remote for role in roles(config).all())
    teach = config.teach
    return stage != "teach" or not teach.student.urls or (teach.teacher == "llm" and not teach.llm.urls)


def _set_ray_env(config: DictConfig, **values: str) -> None:
    with open_dict(config):
        runtime_env = config.ray_kwargs.ray_init.runtime_env
        runtime_env.env_vars = {**(runtime_env.get("env_vars") or {}), **values}


def _has_accelerator() -> bool:
    return any(shutil.which(command) for command in _SMI_COMMANDS) or Path("/dev/nvidia0").exists()


def check(config: DictConfig, stage: str) -> None:
    """Everything about `stage` that can be known before it starts.

    Raises:
        UsageError: one line naming the key, file or row, what is wrong and the mend.
    """
    if stage == "eval" and config.benchmarks is not None:
        return _check_evaluation(config)
    values: Any = OmegaConf.to_container(rl_config(config), resolve=True)
    gsr = check_training(values)
    check_queue(config, gsr)
    check_attention(config, stage)
    for trained in _TRAINED:
        RunFolder.of(config).latest_checkpoint(trained)
    if stage == "run" and not RunFolder.of(config).rl_rows("dev").exists():
        data.check(config)
    teach = teach_config(config)
    eval_config(config)
    if stage in ("run", "warmup", "teach", "train", "eval"):
        _check_reward_function(config)
    model = latest_model(config, "warmup", "sft") if stage == "train" else base_model(config)
    if stage == "eval" and config.eval.model:
        model = str(config.eval.model)
    tokenizer = load_tokenizer(model)
    prompt_length = int(config.actor_rollout_ref.rollout.prompt_length)
    chat_kwargs = dict(config.data.apply_chat_template_kwargs)
    check_prompts(gsr, tokenizer, prompt_length, chat_kwargs, [""])
    owed = servers_owed(config, stage, teach)
    for key, served in owed.items():
        _check_served(key, served)
    if owed and teach.engine == "ray":
        _check_replicas(config, owed.values())
    if stage == "train":
        files = [*_files(config.data.train_files), *_files(config.data.val_files)]
        problems = [one.problem for file in files for one in read_rl_rows(file)]
        check_prompts(gsr, tokenizer, prompt_length, chat_kwargs, sorted(problems, key=len)[-8:])
        check_by_verl(config)


def _files(value: Any) -> list[str]:
    return [str(one) for one in ([value] if isinstance(value, str) else value)]


def check_attention(config: DictConfig, stage: str) -> None:
    """That flash-attn is here where verl's trainers would ask for it, which they do unless told otherwise."""
    # A cluster's nodes may have what this machine, with no GPU maybe, has not.
    if config.trainer.device != "cuda" or address_of(config) or find_spec("flash_attn"):
        return
    stages = {*_TRAINED} - skipped_stages(config) if stage == "run" else {*_TRAINED} & {stage}
    for key in sorted({_TRAINED[one] for one in stages}):
        own = OmegaConf.select(config, f"{key}.override_config") or {}
        if own.get("attn_implementation", _FLASH) == _FLASH:
            raise UsageError(
                f"{key}.override_config.attn_implementation={_FLASH} (verl's default): flash-attn is not installed; "
                f"install it (requirements/gpu.txt), or say ++{key}.override_config.attn_implementation=sdpa"
            )


def _check_reward_function(config: DictConfig) -> None:
    from verl.trainer.ppo.reward import get_custom_reward_fn

    function = config.reward.custom_reward_function
    try:
        get_custom_reward_fn(config)
    except Exception as error:  # whatever the user's file raises when it is imported
        reason = " ".join(str(error).split())
        what = f"{function.path} with the function {function.name}"
        raise UsageError(f"reward.custom_reward_function: cannot load {what} ({reason}); mend path or name") from None


def _check_evaluation(config: DictConfig) -> None:
    """That the benchmarks and the models are there; what the benchmarks hold the stage checks before it starts any."""
    check_benchmarks(config.benchmarks)
    _check_reward_function(config)
    for role in roles(config).all():
        _check_served(role.key, role.served)
    if config.tokenizer is not None:
        load_tokenizer(str(config.tokenizer))


def _check_served(key: str, served: Served) -> None:
    if served.urls:
        check_servers(served, key)
    else:
        load_tokenizer(str(served.model))


def _check_replicas(config: DictConfig, models: Iterable[Served]) -> None:
    """That the cluster has room for the replicas of each model; one phase follows the other."""
    from gsr_rl.generation.ray_engine import replicas

    engine = engine_arguments(config, int(config.actor_rollout_ref.rollout.prompt_length))
    with connected(config):
        for served in models:
            replicas(config, served, engine)


def load_tokenizer(model: str) -> Tokenizer:
    """The tokenizer of a model folder or hub name.

    Raises:
        UsageError: no such model, or its tokenizer has no chat template or no end-of-sequence token.
    """
    from transformers import AutoTokenizer

    if ("/" in model and Path(model).parent.is_dir()) or Path(model).exists():
        require(Path(model, "config.json").is_file(), "model", model, "a Hugging Face folder with a config.json")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except Exception as error:  # transformers and the hub raise many kinds
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"model {model}: cannot be read ({reason}); give a Hugging Face folder or hub name") from None
    if not tokenizer.chat_template:
        raise UsageError(f"model {model}: its tokenizer has no chat template; use an instruct model, or add one")
    if tokenizer.eos_token_id is None:
        raise UsageError(f"model {model}: its tokenizer has no end-of-sequence token; set eos_token")
    return tokenizer


def check_prompts(
    gsr: GsrConfig, tokenizer: Tokenizer, prompt_length: int, chat_kwargs: dict[str, Any], problems: Sequence[str]
) -> None:
    """Both prompts of each problem fit, with some room for every candidate."""
    prompts, key = gsr.prompts, "actor_rollout_ref.rollout.prompt_length"
    for problem in problems:
        empty = prompts.refine_prompt(problem, [""] * gsr.k)
        frame = len(encode_prompt(tokenizer, prompts.messages(empty), **chat_kwargs))
        direct = len(encode_prompt(tokenizer, prompts.messages(prompts.direct_prompt(problem)), **chat_kwargs))
        needed = max(direct, frame + gsr.k * MIN_CANDIDATE_TOKENS)
        about = f" for the problem {problem[:40]!r}" if problem else ""
        mend = f"at least {needed} (prompt and {MIN_CANDIDATE_TOKENS} tokens of each of {gsr.k} candidates{about})"
        require(prompt_length >= needed, key, prompt_length, mend)


def rows_in_queue(config: DictConfig, gsr: GsrConfig) -> int:
    """The most rows, of a training step or of a validation batch, that are in verl's TransferQueue at a time."""
    train = config.data.train_batch_size * (gsr.k + gsr.training_m + 1)
    episodes = (config.data.val_batch_size or 0) * config.actor_rollout_ref.rollout.val_kwargs.n
    return max(train, episodes * (gsr.k + gsr.validation.m + 1))


def check_queue(config: DictConfig, gsr: GsrConfig) -> None:
    """UsageError unless the rows of a step fit into verl's TransferQueue."""
    size, rows = int(config.transfer_queue.backend.SimpleStorage.total_storage_size), rows_in_queue(config, gsr)
    key = "transfer_queue.backend.SimpleStorage.total_storage_size"
    require(size >= rows, key, size, f"at least {rows}, the rows of one step")


def check_by_verl(config: DictConfig) -> None:
    """UsageError where verl's own validation refuses the configuration."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    composed = rl_config(config)
    require(
        not need_critic(composed), "algorithm.adv_estimator", composed.algorithm.adv_estimator, "one without critic"
    )
    try:
        validate_config(composed, use_reference_policy=need_reference_policy(composed), use_critic=False)
    except (AssertionError, ValueError, HydraException) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UsageError(f"verl refuses the configuration: {reason}") from None
