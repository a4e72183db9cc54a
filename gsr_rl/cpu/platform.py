"""A CPU platform for verl 0.9.1, registered under the name `cpu`."""

import os
import resource
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


class CpuModule(types.ModuleType):
    """torch.cpu, with the rest of the interface that verl expects of torch.cuda.

    Memory is that of this process, or of the machine where the method says so, in bytes.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    @staticmethod
    def empty_cache() -> None:
        """Do nothing: no memory is cached."""

    @staticmethod
    def ipc_collect() -> None:
        """Do nothing: no memory is shared by CUDA IPC."""

    @staticmethod
    def reset_peak_memory_stats(device: Any = None) -> None:
        """Do nothing: the operating system keeps the peak."""

    @staticmethod
    def memory_allocated(device: Any = None) -> int:
        """Resident memory of the process."""
        return psutil.Process().memory_info().rss

    memory_reserved = memory_allocated

    @staticmethod
    def max_memory_allocated(device: Any = None) -> int:
        """Peak of the process's resident memory since its start."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    max_memory_reserved = max_memory_allocated

    @staticmethod
    def mem_get_info(device: Any = None) -> tuple[int, int]:
        """Available and total memory of the machine."""
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    @staticmethod
    def manual_seed(seed: int) -> None:
        """Seed torch's random numbers."""
        torch.manual_seed(seed)

    manual_seed_all = manual_seed

    @staticmethod
    def get_rng_state(device: Any = None) -> torch.Tensor:
        """State of torch's random numbers on the CPU."""
        return torch.get_rng_state()

    @staticmethod
    def set_rng_state(state: torch.Tensor, device: Any = None) -> None:
        """Set the state of torch's random numbers on the CPU."""
        torch.set_rng_state(state)

    @staticmethod
    def get_device_name(device: Any = None) -> str:
        """Always `cpu`."""
        return "cpu"


@PlatformRegistry.register(platform="cpu")
class PlatformCPU(PlatformBase):
    """A platform with one logical device per machine, the CPU. The methods are those of verl's `PlatformBase`."""

    device_name = "cpu"  # pyright: ignore[reportAssignmentType]
    vendor_name = "cpu"  # pyright: ignore[reportAssignmentType]
    device_module = CpuModule("gsr_rl.cpu.device_module")  # pyright: ignore[reportAssignmentType]

    def is_available(self) -> bool:
        """Always: every machine has a CPU."""
        return True

    def is_platform_available(self, use_smi_check: bool = False) -> bool:
        """Never, so that verl does not detect this platform; it has to be chosen.

        On the head node of a GPU cluster, which may have no GPU itself, verl must not switch to the CPU.
        """
        return False

    def current_device(self) -> Any:
        """The device that verl moves tensors to, so it cannot be an index."""
        return torch.device("cpu")

    def device_count(self) -> int:
        """One logical device."""
        return 1

    def set_device(self, device_index: int) -> None:
        """Do nothing: there is one device."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Do nothing: a CPU computes synchronously."""

    def manual_seed(self, seed: int) -> None:
        """Seed torch's random numbers."""
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seed torch's random numbers."""
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        """Do nothing: the settings are those of CUDA's allocator."""

    def empty_cache(self) -> None:
        """Do nothing: no memory is cached."""

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        """(None, None): a CPU has no such version."""
        return None, None

    def communication_backend_name(self) -> str:
        """The backend of torch.distributed."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """The variable that Ray sets for the resource GPU."""
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """Do nothing: there is no profiler."""
        yield

    def profiler_start(self) -> None:
        """Do nothing: there is no profiler."""

    def profiler_stop(self) -> None:
        """Do nothing: there is no profiler."""

    def ray_resource_name(self) -> str:
        """GPU, because verl's resource checks know no other name."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """The variable that keeps Ray from setting CUDA_VISIBLE_DEVICES."""
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        """Never. verl then sends weights to vLLM through shared memory."""
        return False

    def rollout_env_vars(self) -> dict[str, str]:
        """Variables of vLLM's processes: its KV cache has 1 GiB unless the user sets another size."""
        return {"VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")}

    def cudart(self) -> Any:
        """Not available.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("no CUDA runtime on the CPU platform")
