"""`gsr-rl run`: the chain of stages, each in a process of its own, each skipped where its result is there already."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from gsr_rl.errors import UsageError
from gsr_rl.stages.layout import RunFolder, base_model

STAGES = ("data", "warmup", "teach", "sft", "train", "eval", "report")


@dataclass(frozen=True)
class Step:
    """One command of the chain and the path whose existence says that it is done."""

    stage: str
    result: Path
    overrides: tuple[str, ...] = ()


def steps(config: DictConfig) -> list[Step]:
    """The steps of `config` in order, without the stages in `config.skip_stages`."""
    for name in config.skip_stages:
        if name not in STAGES:
            raise UsageError(f"skip_stages: no stage {name}; stages: {', '.join(STAGES)}")
    folder = RunFolder.of(config)
    wanted = [
        Step("data", folder.rl_rows("dev")),
        *([Step("warmup", folder.model("warmup"))] if config.warmup.steps > 0 else []),
        Step("teach", folder.sft_rows("sft")),
        Step("sft", folder.model("sft")),
        _evaluation(folder, "base", None),
        _evaluation(folder, "sft", folder.model("sft")),
        Step("train", folder.model("train")),
        _evaluation(folder, "grpo", folder.model("train")),
    ]
    kept = [step for step in wanted if step.stage not in config.skip_stages]
    made = {step.stage for step in kept}
    return [step for step in kept if not _of_a_skipped_model(step, made)]


def _evaluation(folder: RunFolder, name: str, model: Path | None) -> Step:
    overrides = (f"eval.name={name}", *([f"eval.model={model}"] if model else []))
    return Step("eval", folder.episodes(name), overrides)


def _of_a_skipped_model(step: Step, made: set[str]) -> bool:
    needs = {"sft": "sft", "grpo": "train"}.get(step.result.stem) if step.stage == "eval" else None
    return needs is not None and needs not in made


def run(config: DictConfig, arguments: Sequence[str]) -> None:
    """Run the chain of `gsr-rl run ARGUMENTS`.

    Raises:
        SystemExit: with the exit code of the stage that failed; what was done stays, and the next start goes on there.
    """
    base_model(config)  # converted once, before the stages look for it
    for step in steps(config):
        if step.result.exists():
            print(f"gsr-rl run: {step.stage}: {step.result} is there already", flush=True)
            continue
        print(f"gsr-rl run: {step.stage}", flush=True)
        _command(step.stage, [*arguments, *step.overrides])
    if "report" not in config.skip_stages:
        _command("report", arguments)


def _command(stage: str, arguments: Sequence[str]) -> None:
    started = time.monotonic()
    command = [sys.executable, "-m", "gsr_rl.cli", stage, *arguments]
    code = subprocess.run(command, check=False, env=os.environ | {"PYTHONUNBUFFERED": "1"}).returncode
    if code != 0:
        raise SystemExit(code)
    print(f"gsr-rl run: {stage} took {time.monotonic() - started:.0f} s", flush=True)
