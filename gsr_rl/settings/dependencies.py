"""Which stages of the chain depend on which keys of a recipe.

A stage's result belongs to the values of the keys that it depends on (`gsr_rl.stages.records`). Keys that only say
where and how a stage runs, such as servers, devices and loggers, may change from one start to the next.
"""

from collections.abc import Iterator, Mapping
from typing import Any

CHAIN = ("data", "warmup", "teach", "sft", "train", "eval")
TRAINING = ("warmup", "sft")
SAMPLING = ("teach", "train", "eval")
PROMPTED = ("warmup", "teach", "sft", "train", "eval")
NONE: tuple[str, ...] = ()

# The longest prefix of a key counts. A prefix ends with a dot, or is a whole key.
_STAGES: dict[str, tuple[str, ...]] = {
    # Everything that is not named here is verl's RL configuration.
    "": ("train",),
    "recipe": NONE,
    "run_dir": NONE,
    "skip_stages": NONE,
    "variants": NONE,
    "variants.": NONE,
    "ray_kwargs.": NONE,
    "transfer_queue.": NONE,
    "global_profiler.": NONE,
    # The contents of models and files are inputs of the stages, wherever they lie.
    "base_model": NONE,
    "actor_rollout_ref.model.path": NONE,
    "data.train_files": NONE,
    "data.val_files": NONE,
    "sft.data.train_files": NONE,
    "sft.data.val_files": NONE,
    "sft.model.path": NONE,
    "problems.": ("data",),
    "warmup.": ("warmup",),
    "teach.": ("teach",),
    "teach.teacher": ("warmup", "teach"),
    "teach.direct_solutions": ("warmup", "teach"),
    "teach.tries": ("warmup", "teach"),
    "teach.keep": ("warmup", "teach"),
    "teach.thinking": ("warmup", "teach"),
    "teach.prompts": ("warmup", "teach"),
    "teach.prompts.": ("warmup", "teach"),
    "teach.llm.": ("warmup", "teach"),
    "gsr.": ("train",),
    "gsr.k": SAMPLING,
    "gsr.candidate_tokens": SAMPLING,
    "gsr.refinement_tokens": ("train", "eval"),
    "gsr.validation.": SAMPLING,
    "gsr.seed": PROMPTED,
    "gsr.prompts.": PROMPTED,
    "gsr.sync_guard.": NONE,
    "gsr.shared_prefix": NONE,  # changes how log-probs are computed, and not the log-probs
    "generation.": NONE,
    "generation.engine": ("teach", "eval"),
    "generation.engine.": ("teach", "eval"),
    "eval.": ("eval",),
    # The chain sets these for each of its evaluations.
    "eval.name": NONE,
    "eval.model": NONE,
    "eval.benchmarks": NONE,
    "sft.": TRAINING,
    "sft.trainer.": NONE,
    "sft.trainer.seed": TRAINING,
    "sft.trainer.total_training_steps": ("sft",),
    "sft.trainer.total_epochs": ("sft",),
    "sft.data.max_length": ("warmup", "teach", "sft"),
    "data.apply_chat_template_kwargs": PROMPTED,
    "data.apply_chat_template_kwargs.": PROMPTED,
    "actor_rollout_ref.rollout.prompt_length": SAMPLING,
    # Float types of a CPU, which depend on the processor. A journal of answers has its own record of them.
    "actor_rollout_ref.rollout.dtype": NONE,
    "actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype": NONE,
    "sft.engine.mixed_precision.param_dtype": NONE,
    # Where the package is installed.
    "actor_rollout_ref.rollout.agent.agent_loop_config_path": NONE,
    "reward.": SAMPLING,
    "reward.num_workers": NONE,
    "trainer.": NONE,
    "trainer.total_training_steps": ("train",),
    "trainer.total_epochs": ("train",),
}
# Below these sections stands a model and its servers.
_SERVED = ("teach.student.", "teach.llm.", "eval.server.", "eval.refiner.", "eval.reward_model.")
_SERVERS = ("urls", "api_key_env", "concurrency", "timeout_s", "retry_s", "price_in", "price_out")


def stages_of(key: str) -> tuple[str, ...]:
    """The stages whose results depend on a key; none where the key may change from one start to the next."""
    section, _, name = key.rpartition(".")
    if f"{section}." in _SERVED and name in _SERVERS:
        return NONE
    prefixes = [prefix for prefix in _STAGES if key == prefix or (key.startswith(prefix) and prefix[-1:] in (".", ""))]
    return _STAGES[max(prefixes, key=len)]


def values_for(stage: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The values on which a stage depends, by dotted key.

    Args:
        config: the whole configuration as plain values, resolved (`gsr_rl.settings.compose.resolved_config`).
    """
    return {key: value for key, value in leaves(config) if stage in stages_of(key)}


def leaves(values: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of every leaf; an empty section has none."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value
