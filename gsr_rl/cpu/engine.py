"""Registers verl's FSDP engines for device `cpu` (verl 0.9.1 registers them for cuda and npu only).

Named in `actor_rollout_ref.model.external_lib` and `sft.model.external_lib`, verl's own hook: it is imported in every
training worker before the engine is looked up, and is too heavy for the plugin that every process loads.
"""

import os

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

import gsr_rl.cpu.attention  # noqa: F401 (registers packed_sdpa)

EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")(FSDPEngineWithLMHead)
EngineRegistry.register(model_type="value_model", backend="fsdp2", device="cpu")(FSDPEngineWithValueHead)

# oneDNN, and torch's binding to it, each keep 1024 compiled matrix products, unless told otherwise before the first,
# and every number of tokens has its own. Micro-batches hardly ever have the same number: a trainer in bfloat16 would
# grow by gigabytes within a dozen steps.
for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(variable, "64")
