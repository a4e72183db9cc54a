"""`--dry-run`: the resolved configuration of a run and the numbers that follow from it.

Starts nothing, and needs neither model, data nor accelerator: a cluster's recipe can be read on a laptop.
"""

import os
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gsr_rl.files import replacing
from gsr_rl.settings.compose import rl_config, sft_config
from gsr_rl.settings.evaluation import eval_config
from gsr_rl.settings.gsr import GsrConfig, check_training
from gsr_rl.settings.run_folder import RunFolder
from gsr_rl.settings.sections import teach_config
from gsr_rl.stages.data import wanted_problems
from gsr_rl.stages.preflight import check_by_verl, check_queue, rows_in_queue

NOT_CHECKED = (
    "that the model can be read, has a chat template, and that both prompts of every problem fit",
    "that the problems and the data files are there, and that their gold answers can be parsed",
    "that the devices are there and their memory suffices",
    "that the reward function can be imported",
    "that the servers of `teach` answer, and serve the models that are asked of them",
)


def run(config: DictConfig) -> None:
    """Print the resolved configuration and the derived numbers; write the former to `<run_dir>/dry_run.yaml`.

    Raises:
        UsageError: what a run would refuse before it starts, as far as that can be known here.
    """
    if str(config.trainer.device) == "cpu":
        os.environ.setdefault("VERL_PLATFORM", "cpu")  # verl's validation asks for the recipe's device
    values: Any = OmegaConf.to_container(rl_config(config), resolve=True)
    gsr = check_training(values)
    wanted_problems(config)
    check_queue(config, gsr)
    teach_config(config)
    check_by_verl(config)
    eval_config(config)
    sft: Any = OmegaConf.to_container(sft_config(config), resolve=True)
    text = OmegaConf.to_yaml(OmegaConf.create({**values, "sft": sft}))
    path = RunFolder.of(config).root / "dry_run.yaml"
    with replacing(path) as temporary:
        temporary.write_text(text)
    print(text)
    for name, value in derived(config, gsr).items():
        print(f"{name + ':':<48} {value}")
    print("not checked:", *NOT_CHECKED, sep="\n  ")
    print(f"gsr-rl: nothing was started; the configuration is in {path}")


def derived(config: DictConfig, gsr: GsrConfig) -> dict[str, int | str]:
    """What the configuration comes to, by name."""
    data, rollout, trainer = config.data, config.actor_rollout_ref.rollout, config.trainer
    prompts = data.train_batch_size
    devices = trainer.n_gpus_per_node * trainer.nnodes
    skipped = {"all": "", "hard_first": " at most"}[gsr.selection]
    in_queue, queue = rows_in_queue(config, gsr), config.transfer_queue.backend.SimpleStorage.total_storage_size
    return {
        "devices": f"{devices} ({trainer.nnodes} nodes, {trainer.n_gpus_per_node} each, {trainer.device})",
        "prompts a training step": prompts,
        "candidate rows a step": f"{prompts * gsr.k} in {prompts} groups of {gsr.k}",
        "refinement rows a step": f"{prompts * gsr.m} in {prompts} groups of {gsr.m}{skipped}" if gsr.training_m else 0,
        "optimizer steps a training step": prompts // config.actor_rollout_ref.actor.ppo_mini_batch_size,
        "training steps": _training_steps(config),
        "rows in verl's queue": f"{in_queue} at most, of {queue}",
        "most tokens of a direct prompt": data.max_prompt_length,
        "most tokens of a refinement prompt": rollout.prompt_length,
        "most tokens of a candidate, of a refinement": f"{gsr.candidate_tokens}, {gsr.refinement_tokens}",
        "most tokens of a row": rollout.prompt_length + gsr.max_response_tokens,
        "tokens of a step, at most": _tokens(config, gsr),
        **_distillation(config, gsr),
        "weights of the stages in the loss": f"{1 - gsr.refine_weight:g} candidates, {gsr.refine_weight:g} refinements",
        **_evaluation(config, gsr),
    }


def _training_steps(config: DictConfig) -> int | str:
    if config.trainer.total_training_steps is not None:
        return int(config.trainer.total_training_steps)
    an_epoch = config.problems.train // config.data.train_batch_size
    return f"{config.trainer.total_epochs * an_epoch} ({config.trainer.total_epochs} epochs of {an_epoch})"


def _distillation(config: DictConfig, gsr: GsrConfig) -> dict[str, int | str]:
    teach = teach_config(config)
    sampled = config.problems.train if teach.problems is None else min(teach.problems, config.problems.train)
    sets = sampled * teach.sets_per_problem
    targets = sets if teach.refine_weight > 0 else 0
    tries = f", in {teach.tries} tries each at most" if teach.tries > 1 else ""
    return {
        "candidates of the student": f"{sampled * teach.pool_size(gsr)}, and {sets} sets of {gsr.k} of them",
        "targets of the teacher": f"{config.problems.train} direct, {targets} refinements{tries} ({teach.teacher})",
    }


def _evaluation(config: DictConfig, gsr: GsrConfig) -> dict[str, int | str]:
    """Of `gsr-rl eval`, where benchmarks are set."""
    if config.benchmarks is None:
        return {}
    section = eval_config(config)
    design = section.design(gsr)
    refinements = design.sets * design.rounds or design.m * len(design.sizes)
    responses = f"candidates {design.pool}, refinements {refinements}, repeats {section.repeats}"
    return {"responses to a problem in eval": responses}


def _tokens(config: DictConfig, gsr: GsrConfig) -> int:
    candidate = config.data.max_prompt_length + gsr.candidate_tokens
    refinement = config.actor_rollout_ref.rollout.prompt_length + gsr.refinement_tokens
    return config.data.train_batch_size * (gsr.k * candidate + gsr.training_m * refinement)
