"""Registers FSDP engines for device `cpu` (verl 0.9.1 registers them for cuda and npu only).

The engine for language models is verl's with shared prompts.

`actor_rollout_ref.model.external_lib` and `sft.model.external_lib` name this module. That is a hook of verl: every
training worker imports the module before it looks up its engine. The module is too heavy for `gsr_rl.cpu.plugin`, which
every process loads.
"""

import os

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithValueHead

import gsr_rl.cpu.attention  # noqa: F401 (registers packed_sdpa)
from gsr_rl.verl_plugin.shared_prefix import SharedPrefixEngine

EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")(SharedPrefixEngine)
EngineRegistry.register(model_type="value_model", backend="fsdp2", device="cpu")(FSDPEngineWithValueHead)

# oneDNN and torch's binding to it each keep 1024 compiled matrix products. Every number of tokens needs its own, and
# hardly two micro-batches have the same number, so a trainer in bfloat16 would grow by gigabytes within a dozen steps.
# The variables have to be set before the first matrix product.
for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(variable, "64")
