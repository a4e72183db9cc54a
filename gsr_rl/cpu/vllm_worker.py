"""vLLM worker extension for weight sync on a CPU.

vLLM 0.28.0's CPU linear layers repack their weights after loading and drop the originals, so verl's in-place
`load_weights` finds nothing to load into. With this extension they keep the plain weight and use torch's own linear, at
some cost in speed. The vocabulary layers keep their weight in any case, but would compute with a packed copy that goes
stale; the extension gives them the plain weight too.
"""

from typing import Any

import torch
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension
from vllm.model_executor.layers import utils as vllm_layers


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """verl's worker extension. Key difference from verl's: vLLM's layers keep their plain weights.

    `rollout.engine_kwargs.vllm.worker_extension_cls` names it, and vLLM makes it a base class of its worker.
    """

    def __new__(cls, **kwargs: Any) -> "CpuWorkerExtension":
        """A worker, made after vLLM's repacking of weights has been replaced in this process."""
        # The layers look the function up in its module each time they load a weight, so it is enough to replace the
        # module's attribute before the model is loaded.
        vllm_layers.dispatch_cpu_unquantized_gemm = _keep_plain_weight
        return super().__new__(cls, **kwargs)


def _keep_plain_weight(layer: torch.nn.Module, remove_weight: bool) -> None:
    layer.cpu_linear = torch.nn.functional.linear  # pyright: ignore[reportAttributeAccessIssue]
