"""Stages `warmup` and `sft`: supervised fine-tuning by verl's own SFT trainer, one process a device."""

import os
import signal
import subprocess
import sys

from omegaconf import DictConfig, OmegaConf, open_dict

from data_prep.rows import read_sft_rows
from data_prep.sft_rows import validation_path
from gsr_rl.child import end_with_parent
from gsr_rl.errors import UsageError
from gsr_rl.settings.compose import sft_config
from gsr_rl.settings.run_folder import RunFolder, base_model, latest_model, publish
from gsr_rl.stages import teach
from gsr_rl.stages.logs import open_logs


def warmup(config: DictConfig) -> None:
    """SFT on direct solutions alone; writes `<run_dir>/warmup/model`."""
    teach.direct(config)
    _train(config, "warmup", base_model(config), steps=config.warmup.steps)


def run(config: DictConfig) -> None:
    """SFT on direct and refinement rows, from the model that sampled the candidates; writes `<run_dir>/sft/model`."""
    _train(config, "sft", latest_model(config, "warmup"), steps=config.sft.trainer.total_training_steps)


def _train(config: DictConfig, stage: str, model: str, steps: int | None) -> None:
    folder, sft = RunFolder.of(config), sft_config(config)
    with open_dict(sft):
        sft.model.path = sft.model.path or model
        if sft.data.train_files is None:
            sft.data.train_files = str(folder.sft_rows(stage))
            validation = validation_path(folder.sft_rows(stage))
            sft.data.val_files = sft.data.val_files or (str(validation) if validation.exists() else None)
        sft.data.gsr_prompts = OmegaConf.to_container(config.gsr.prompts, resolve=True)
        sft.trainer.default_local_dir = str(folder.checkpoints(stage))
        sft.trainer.experiment_name = sft.trainer.experiment_name or f"{config.recipe}-{stage}"
        sft.trainer.seed = config.gsr.seed if sft.trainer.seed is None else sft.trainer.seed
        sft.trainer.total_training_steps = steps
        if steps is not None:  # as many passes over the rows as that takes
            per_epoch = max(1, len(read_sft_rows(sft.data.train_files)) // sft.data.train_batch_size)
            sft.trainer.total_epochs = -(-steps // per_epoch)
    _refuse_too_few_rows(sft)
    folder.stage(stage).mkdir(parents=True, exist_ok=True)
    OmegaConf.save(sft, folder.stage(stage) / "config.yaml")
    _torchrun(sft, folder, stage)
    publish(folder.latest_checkpoint(stage), "huggingface", folder.model(stage))
    print(f"gsr-rl {stage}: model in {folder.model(stage)}")


def _refuse_too_few_rows(sft: DictConfig) -> None:
    """verl would train or validate on nothing."""
    for file in filter(None, (sft.data.train_files, sft.data.val_files)):
        rows, batch = len(read_sft_rows(file)), sft.data.train_batch_size
        if rows < batch:
            raise UsageError(
                f"{file}: {rows} rows, fewer than sft.data.train_batch_size={batch}; "
                "set a smaller batch or more problems (for validation teach.val_share)"
            )


def _torchrun(sft: DictConfig, folder: RunFolder, stage: str) -> None:
    devices = sft.trainer.n_gpus_per_node
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={devices}"]
    trainer = ["-m", "gsr_rl.verl_plugin.sft_trainer", f"--config-path={folder.stage(stage)}", "--config-name=config"]
    quiet_hydra = ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    env = os.environ | open_logs(folder.stage(stage))
    env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    process = subprocess.Popen(
        [*launcher, *trainer, *quiet_hydra],
        env=env,
        start_new_session=True,  # so that an interrupt ends the trainer's processes with the launcher
        preexec_fn=end_with_parent,  # else it would go on training where the next start does
    )
    try:
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if code != 0:
        raise RuntimeError(f"verl's SFT trainer ended with exit code {code}; its log is above")
