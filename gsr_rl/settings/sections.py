"""Who samples and who teaches by a recipe's `teach:` section, and what of it a stage needs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gsr_rl.settings.compose import typed_section
from gsr_rl.settings.gsr import GsrConfig, Sampling
from gsr_rl.settings.run_folder import RunFolder, latest_model, skipped_stages
from gsr_rl.settings.served import Served
from gsr_rl.settings.teach import TeachConfig


def gsr_config(config: DictConfig) -> GsrConfig:
    return typed_section(config, "gsr", GsrConfig)


def teach_config(config: DictConfig) -> TeachConfig:
    """The section, checked.

    Raises:
        UsageError: one line that names the key, what is wrong and the mend.
    """
    teach = typed_section(config, "teach", TeachConfig)
    teach.check(gsr_config(config))
    return teach


def sampling_parameters(sampling: Sampling, max_tokens: int, template: Mapping[str, Any]) -> dict[str, Any]:
    """Of the API. `template`: arguments of the chat template, for a server that applies it."""
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        **({"top_k": sampling.top_k} if sampling.top_k != -1 else {}),
        "max_tokens": max_tokens,
        **({"chat_template_kwargs": dict(template)} if template else {}),
    }


def student_of(config: DictConfig) -> Served:
    """Who is asked for candidates; its model is None where it is sampled by vLLM in the stage's own process."""
    teach = teach_config(config)
    if teach.engine == "ray" and not teach.student.model:
        return replace(teach.student, model=latest_model(config, "warmup"))
    return teach.student


def servers_owed(config: DictConfig, stage: str, teach: TeachConfig) -> dict[str, Served]:
    """By key, the models beyond the chain's own that `stage` will ask. A run whose rows are there asks none."""
    folder = RunFolder.of(config)
    stages = [stage]
    if stage == "run":
        results = {"warmup": folder.model("warmup"), "teach": folder.sft_rows("sft")}
        skipped = skipped_stages(config)
        stages = [name for name, result in results.items() if not result.exists() and name not in skipped]
    owed: dict[str, Served] = {}
    student = student_of(config)
    if "teach" in stages and student.model and not folder.candidates.exists():
        owed["teach.student"] = student
    if teach.teacher == "llm" and {"teach", "warmup"} & set(stages):
        owed["teach.llm"] = teach.llm
    return owed


def engine_arguments(config: DictConfig, max_model_len: int) -> dict[str, Any]:
    """Arguments of a vLLM engine outside of training, by the recipe's rollout and `eval.engine`."""
    rollout = config.actor_rollout_ref.rollout
    own: Any = OmegaConf.to_container(config.eval.engine, resolve=True)
    return {
        "max_model_len": max_model_len,
        "max_num_seqs": rollout.max_num_seqs,
        "tensor_parallel_size": rollout.tensor_model_parallel_size,
        "gpu_memory_utilization": 0.9,
        "dtype": rollout.dtype,
        "enforce_eager": rollout.enforce_eager,
        "seed": config.gsr.seed,
        **own,
    }
