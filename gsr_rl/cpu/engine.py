"""Registers verl's FSDP engines for device `cpu` (verl 0.9.1 registers them for cuda and npu only).

Named in `actor_rollout_ref.model.external_lib` and `sft.model.external_lib`, verl's own hook: it is imported in every
training worker before the engine is looked up, and is too heavy for the plugin that every process loads.
"""

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead, FSDPEngineWithValueHead

import gsr_rl.cpu.attention  # noqa: F401 (registers packed_sdpa)

EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")(FSDPEngineWithLMHead)
EngineRegistry.register(model_type="value_model", backend="fsdp2", device="cpu")(FSDPEngineWithValueHead)
