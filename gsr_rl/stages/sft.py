"""Stages `warmup` and `sft`: supervised fine-tuning by verl's own SFT trainer, one process per device."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from data_prep.rows import read_sft_rows
from data_prep.sft_rows import validation_path
from gsr_rl.child import end_with_parent
from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import save_config, sft_config
from gsr_rl.settings.settings import Settings
from gsr_rl.stages import teach
from gsr_rl.stages.logs import open_logs
from gsr_rl.stages.models import base_model, check_last_step, latest_model, publish, step_of
from gsr_rl.stages.preflight import check_model, check_recipe, check_trainer

Files = str | list[str]


def check_warmup(settings: Settings) -> None:
    """Everything about the warm-up that can be known before it starts; raises UsageError."""
    check(settings)
    teach.check_teacher(settings)


def check(settings: Settings) -> None:
    """Everything about SFT that can be known before it starts; raises UsageError."""
    check_recipe(settings)
    check_trainer(settings, "sft")
    check_model(settings, base_model(settings))


def warmup(settings: Settings) -> None:
    """SFT on direct solutions alone; writes `<run_dir>/warmup/model`."""
    teach.direct(settings)
    _train(settings, "warmup", base_model(settings), steps=settings.warmup.steps)


def run(settings: Settings) -> None:
    """SFT on direct and refinement rows, from the model that sampled the candidates; writes `<run_dir>/sft/model`."""
    _train(settings, "sft", latest_model(settings, "warmup"), steps=settings.sft.trainer.total_training_steps)


def _train(settings: Settings, stage: str, model: str, steps: int | None) -> None:
    folder, sft = settings.folder, settings.sft
    start = sft.model.path or model
    train_files, val_files = sft.data.train_files, sft.data.val_files
    if train_files is None:
        rows = folder.sft_rows(stage)
        validation = validation_path(rows)
        train_files, val_files = str(rows), val_files or (str(validation) if validation.exists() else None)
    _refuse_too_few_rows(sft.data.train_batch_size, train_files, val_files)
    trainer = {
        "default_local_dir": str(folder.checkpoints(stage)),
        "experiment_name": sft.trainer.experiment_name or f"{settings.recipe}-{stage}",
        "seed": settings.gsr.seed if sft.trainer.seed is None else sft.trainer.seed,
        "total_training_steps": steps,
    }
    per_epoch = max(1, _count_rows(train_files) // sft.data.train_batch_size)
    if steps is not None:  # as many passes over the rows as the steps need
        trainer["total_epochs"] = -(-steps // per_epoch)
    changes = {
        "model.path": start,
        "data.train_files": train_files,
        "data.val_files": val_files,
        "data.gsr_prompts": settings.gsr.prompts.model_dump(),
        **{f"trainer.{key}": value for key, value in trainer.items()},
    }
    config_file = folder.stage(stage) / "config.yaml"
    save_config(sft_config(settings, changes), config_file)
    start_a_new_epoch(folder.latest_checkpoint(stage), per_epoch)
    _torchrun(config_file, sft.trainer.n_gpus_per_node, open_logs(folder.stage(stage)))
    wanted = sft.trainer.total_epochs * per_epoch if steps is None else steps
    check_last_step(stage, folder.latest_checkpoint(stage), wanted)
    publish(folder.latest_checkpoint(stage), "huggingface", folder.model(stage), start)
    print(f"gsr-rl {stage}: model in {folder.model(stage)}")


def start_a_new_epoch(checkpoint: Path | None, per_epoch: int) -> None:
    """Before a training resumes at the end of an epoch: set aside the state of its data loader, which is at its end.

    verl 0.9.1 loads that state, and takes the empty rest of the old epoch for all of the next epoch, which is lost
    without a word (verl#7401). Without the state it starts the next epoch, in the order of an undisturbed training.
    """
    if checkpoint is not None and step_of(checkpoint) % per_epoch == 0:
        for state in checkpoint.glob("data_*.pt"):
            state.rename(state.with_suffix(".done"))


def _count_rows(files: Files) -> int:
    return sum(len(read_sft_rows(file)) for file in ([files] if isinstance(files, str) else files))


def _refuse_too_few_rows(batch: int, *all_files: Files | None) -> None:
    """verl would train or validate on nothing."""
    for files in filter(None, all_files):
        rows = _count_rows(files)
        if rows < batch:
            raise UsageError(
                f"{files}: {rows} rows, fewer than sft.data.train_batch_size={batch}; "
                "set a smaller batch or more problems (for validation teach.val_share)"
            )


def _torchrun(config: Path, devices: int, logs: dict[str, str]) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={devices}"]
    trainer = ["-m", "gsr_rl.verl_plugin.sft_trainer", f"--config-path={config.parent}", f"--config-name={config.stem}"]
    quiet_hydra = ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    env = os.environ | logs
    env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    process = subprocess.Popen(
        [*launcher, *trainer, *quiet_hydra],
        env=env,
        start_new_session=True,  # so that an interrupt ends the trainer's processes with the launcher
        preexec_fn=end_with_parent,  # left behind, it would go on training where the next start does
    )
    try:
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if code != 0:
        sys.exit(f"gsr-rl: verl's SFT trainer ended with exit code {code}; its log is above")
