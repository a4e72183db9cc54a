"""`--dry-run`: the resolved configuration of a run and the numbers that follow from it.

Starts nothing, and needs neither model, data nor accelerator: a cluster's recipe can be read on a laptop.
"""

import os

from gsr_rl.settings.compose import resolved_config, save_config
from gsr_rl.settings.settings import Settings
from gsr_rl.settings.two_stage import rows_in_queue
from gsr_rl.stages.preflight import check_by_verl, check_keys

NOT_CHECKED = (
    "that the model can be read, has a chat template, and that both prompts of every problem fit",
    "that the problems and the data files are there, and that their gold answers can be parsed",
    "that the devices are there and their memory suffices",
    "that the reward function can be imported",
    "that the servers of `teach` and `eval` answer, and serve the models that are asked for",
)


def run(settings: Settings) -> None:
    """Print the resolved configuration and the derived numbers; write the former to `<run_dir>/dry_run.yaml`.

    Raises:
        UsageError: a run would refuse the settings before it starts, as far as that can be known here.
    """
    if settings.verl.is_on_cpu:
        os.environ.setdefault("VERL_PLATFORM", "cpu")  # verl's validation asks for the recipe's device
    check_keys(settings)
    for stage in ("sft", "train"):
        check_by_verl(settings, stage)
    path = settings.folder.root / "dry_run.yaml"
    print(save_config(resolved_config(settings), path))
    for name, value in derived(settings).items():
        print(f"{name + ':':<48} {value}")
    print("not checked:", *NOT_CHECKED, sep="\n  ")
    print(f"gsr-rl: nothing was started; the configuration is in {path}")


def derived(settings: Settings) -> dict[str, int | str]:
    """The numbers that follow from the settings, by name."""
    gsr, verl = settings.gsr, settings.verl
    prompts, trainer, rollout = verl.data.train_batch_size, verl.trainer, verl.rollout
    devices = trainer.n_gpus_per_node * trainer.nnodes
    at_most = {"all": "", "hard_first": " at most"}[gsr.selection]
    return {
        "devices": f"{devices} ({trainer.nnodes} nodes, {trainer.n_gpus_per_node} each, {trainer.device})",
        "prompts a training step": prompts,
        "candidate rows a step": f"{prompts * gsr.k} in {prompts} groups of {gsr.k}",
        "refinement rows a step": f"{prompts * gsr.m} in {prompts} groups of {gsr.m}{at_most}" if gsr.training_m else 0,
        "optimizer steps a training step": prompts // verl.actor.ppo_mini_batch_size,
        "training steps": _training_steps(settings),
        "rows in verl's queue": f"{rows_in_queue(gsr, verl)} at most, of {verl.queue_size}",
        "most tokens of a direct prompt": verl.data.max_prompt_length,
        "most tokens of a refinement prompt": rollout.prompt_length,
        "most tokens of a candidate, of a refinement": f"{gsr.candidate_tokens}, {gsr.refinement_tokens}",
        "most tokens of a row": settings.longest_request,
        "tokens of a step, at most": _tokens(settings),
        **_distillation(settings),
        "weights of the stages in the loss": f"{1 - gsr.refine_weight:g} candidates, {gsr.refine_weight:g} refinements",
        **_evaluation(settings),
    }


def _training_steps(settings: Settings) -> int | str:
    trainer = settings.verl.trainer
    if trainer.total_training_steps is not None:
        return trainer.total_training_steps
    an_epoch = settings.problems.train // settings.verl.data.train_batch_size
    return f"{trainer.total_epochs * an_epoch} ({trainer.total_epochs} epochs of {an_epoch})"


def _distillation(settings: Settings) -> dict[str, int | str]:
    teach, train, k = settings.teach, settings.problems.train, settings.gsr.k
    sampled = train if teach.problems is None else min(teach.problems, train)
    sets = sampled * teach.sets_per_problem
    targets = sets if teach.refine_weight > 0 else 0
    tries = f", in {teach.tries} tries each at most" if teach.tries > 1 else ""
    return {
        "candidates of the student": f"{sampled * teach.pool_size(k)}, and {sets} sets of {k} of them",
        "targets of the teacher": f"{train} direct, {targets} refinements{tries} ({teach.teacher})",
    }


def _evaluation(settings: Settings) -> dict[str, int | str]:
    design = settings.design
    refinements = design.sets * design.rounds or design.m * len(design.sizes)
    responses = f"candidates {design.pool}, refinements {refinements}, repeats {settings.eval.repeats}"
    return {"responses to a problem in eval": responses}


def _tokens(settings: Settings) -> int:
    gsr, data = settings.gsr, settings.verl.data
    candidate = data.max_prompt_length + gsr.candidate_tokens
    refinement = settings.verl.rollout.prompt_length + gsr.refinement_tokens
    return data.train_batch_size * (gsr.k * candidate + gsr.training_m * refinement)
