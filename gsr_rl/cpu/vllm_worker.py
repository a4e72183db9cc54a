"""vLLM worker extension for weight sync on a CPU.

vLLM 0.28.0's CPU linear layers repack their weights after loading and drop the originals, so that verl's in-place
`load_weights` finds nothing to load into. Here they keep the plain weight and use torch's own linear, at some cost in
speed. The vocabulary layers keep their weight anyway, but would use a packed copy that goes stale: the same mend.
"""

from typing import Any

import torch
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from vllm.model_executor.layers import utils as vllm_layers


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """Set by `rollout.engine_kwargs.vllm.worker_extension_cls`; vLLM makes it a base class of its worker."""

    def __new__(cls, **kwargs: Any) -> "CpuWorkerExtension":
        # The layers import the function by name when they are loaded, hence before the model is: the module's
        # attribute is what counts.
        vllm_layers.dispatch_cpu_unquantized_gemm = _keep_plain_weight
        return super().__new__(cls, **kwargs)


def _keep_plain_weight(layer: torch.nn.Module, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear  # pyright: ignore[reportAttributeAccessIssue]
