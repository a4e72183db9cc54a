"""The platform that a stage runs on: an accelerator, or verl's CPU platform where there is none."""

import os
import shutil
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.generation.cluster import address_of, check_cluster
from gsr_rl.settings.gsr import SHARED_PREFIX
from gsr_rl.settings.settings import Settings

_CPU_ENV = ("OMP_NUM_THREADS", "THP_MEM_ALLOC_ENABLE", "VLLM_ENABLE_V1_MULTIPROCESSING")
_LOG_LEVEL = "SAGEMAKER_CONTAINER_LOG_LEVEL"
_SMI_COMMANDS = ("nvidia-smi", "npu-smi", "rocm-smi")


def choose_platform(settings: Settings) -> Settings:
    """Choose verl's CPU platform where there is no accelerator, for this process and all of Ray's, and say so.

    There is an accelerator if this machine has one, or the Ray cluster that the run joins: the head node of a GPU
    cluster needs no GPU of its own.

    Returns:
        The settings, with `ray_kwargs.ray_init` as the platform needs it.

    Raises:
        UsageError: the recipe is for another kind of device, or the cluster cannot be used.
    """
    device, ray_init = settings.verl.trainer.device, dict(settings.verl.ray_init)
    chosen = os.environ.get("VERL_PLATFORM")
    address, in_cluster = address_of(ray_init), False
    if address:
        # The recipe may size a Ray of its own; Ray refuses sizes for a cluster that is joined.
        ray_init = {key: value for key, value in ray_init.items() if key not in ("num_cpus", "num_gpus")}
        in_cluster = check_cluster(address)
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
    os.environ[SHARED_PREFIX] = str(int(settings.gsr.shared_prefix))
    # A package that vLLM's server imports (model-hosting-container-standards, with vLLM 0.24.0) lets only errors
    # through, from every library in the process. Warnings are to be seen: ours and verl's.
    os.environ.setdefault(_LOG_LEVEL, "WARNING")
    env = {key: os.environ[key] for key in (SHARED_PREFIX, _LOG_LEVEL)}
    if chosen is not None:
        env["VERL_PLATFORM"] = chosen
    if chosen == "cpu":
        _set_cpu_environment()
        env |= {key: os.environ[key] for key in _CPU_ENV}
    else:
        # A forked vLLM engine cannot use CUDA once this process has asked for its devices, which imports may do.
        # vLLM's own check sees only an initialised torch.cuda (0.24.0, with verl 0.9.1).
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    return _with_ray(settings, ray_init, env)


def _set_cpu_environment() -> None:
    # GiB. vLLM would take nine tenths of the machine's memory, which the rest of the machine needs.
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    # Ray starts its actors with one thread each, and so does vLLM.
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    # Large tensors in huge pages: faulting them in by small pages takes a fourth of a training step.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # With multiprocessing, vLLM's front end busy-waits on one core. On two cores that leaves one for the work.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")


def _with_ray(settings: Settings, ray_init: dict[str, Any], env: dict[str, str]) -> Settings:
    runtime_env = dict(ray_init.get("runtime_env") or {})
    runtime_env["env_vars"] = {**(runtime_env.get("env_vars") or {}), **env}
    verl = settings.verl.model_copy(update={"ray_init": {**ray_init, "runtime_env": runtime_env}})
    return settings.model_copy(update={"verl": verl})


def _has_accelerator() -> bool:
    return any(shutil.which(command) for command in _SMI_COMMANDS) or Path("/dev/nvidia0").exists()
