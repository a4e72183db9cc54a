"""Models of the chain: where it starts, what each training stage ends with, and how a checkpoint becomes a model."""

import json
import os
import shutil
import sys
from pathlib import Path

from gsr_rl.errors import UsageError
from gsr_rl.settings.settings import Settings
from gsr_rl.stages.weights import check_names


def base_model(settings: Settings) -> str:
    """The model that the chain starts from. `smollm2` is converted beside the run folder when it is first used."""
    if settings.base_model == "smollm2":
        from gsr_rl.smollm2 import convert

        return str(convert(settings.folder.root.parent / "smollm2-135m-instruct"))
    return settings.base_model


def latest_model(settings: Settings, *stages: str) -> str:
    """The model of the last of `stages` that has a model, else the base model."""
    for stage in reversed(stages):
        if settings.folder.model(stage).is_dir():
            return str(settings.folder.model(stage))
    return base_model(settings)


def step_of(checkpoint: Path) -> int:
    """The step of a checkpoint's folder, `global_step_<step>`."""
    return int(checkpoint.name.rpartition("_")[2])


def check_last_step(stage: str, checkpoint: Path | None, wanted: int) -> None:
    """A training has made all its steps, before its model counts.

    Raises:
        SystemExit: with one line, if the last checkpoint is of an earlier step than the one that was wanted.
    """
    done = 0 if checkpoint is None else step_of(checkpoint)
    if done < wanted:
        sys.exit(
            f"gsr-rl {stage}: ended after step {done} of {wanted}; the same command goes on from its last checkpoint"
        )


def publish(checkpoint: Path | None, model: str, target: Path, start: str) -> None:
    """Copy the folder `model` of a training stage's last checkpoint to `target`, which appears whole or not at all.

    Its config.json loses `attn_implementation`: the trainer's choice, which transformers alone may not know.

    Args:
        start: the model that the training started from.

    Raises:
        UsageError: the checkpoint holds no Hugging Face model.
        SystemExit: its tensors are not those of `start`.
    """
    if checkpoint is None or not (checkpoint / model / "config.json").is_file():
        raise UsageError(
            f"{checkpoint}: no Hugging Face model in the last checkpoint; keep `hf_model` in checkpoint.save_contents"
        )
    check_names(checkpoint / model, start)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(checkpoint / model, temporary)
    config = json.loads((temporary / "config.json").read_text())
    config.pop("attn_implementation", None)
    (temporary / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)
