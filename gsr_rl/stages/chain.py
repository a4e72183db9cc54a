"""`gsr-rl run`: the chain of stages, each in a process of its own, each skipped where its result is there already."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
from omegaconf import DictConfig, OmegaConf

from gsr_rl.child import end_with_parent
from gsr_rl.errors import UsageError
from gsr_rl.files import replacing
from gsr_rl.settings.compose import CPU_DTYPES, load_recipe
from gsr_rl.settings.run_folder import RunFolder, base_model, skipped_stages
from gsr_rl.settings.variants import overrides, share, variants_of
from gsr_rl.stages.preflight import check

AGENT_LOOPS = "actor_rollout_ref.rollout.agent.agent_loop_config_path"  # where the package is installed
# Of `teach`: where models are served and on what terms, not what they are asked.
SERVERS = tuple(
    f"teach.{role}.{key}"
    for role in ("student", "llm")
    for key in ("urls", "api_key_env", "concurrency", "timeout_s", "retry_s", "price_in", "price_out", "engine")
)
# Likewise where they run.
ENGINE = ("teach.engine", "teach.replicas")
# May differ from one start of a run to the next.
OPERATIONAL = (
    *("skip_stages", "run_dir", "eval.", "benchmarks", "tokenizer", "trainer.", "sft.trainer.", "ray_kwargs."),
    *(AGENT_LOOPS, *CPU_DTYPES, *SERVERS, *ENGINE),
)
STAGES = ("data", "warmup", "teach", "sft", "train", "eval", "report")


@dataclass(frozen=True)
class Step:
    """One command of the chain and the path whose existence says that it is done."""

    stage: str
    result: Path
    overrides: tuple[str, ...] = ()


def steps(config: DictConfig) -> list[Step]:
    """The steps of `config` in order, without its `skipped_stages`."""
    for name in config.skip_stages:
        if name not in STAGES:
            raise UsageError(f"skip_stages: no stage {name}; stages: {', '.join(STAGES)}")
    folder = RunFolder.of(config)
    wanted = [
        Step("data", folder.rl_rows("dev")),
        Step("warmup", folder.model("warmup")),
        Step("teach", folder.sft_rows("sft")),
        Step("sft", folder.model("sft")),
        # Nobody has taught the base model to refine, so that there is nothing to control for.
        _evaluation(folder, "base", None, "eval.swapped=0"),
        _evaluation(folder, "sft", folder.model("sft")),
        Step("train", folder.model("train")),
        _evaluation(folder, "grpo", folder.model("train")),
    ]
    kept = [step for step in wanted if step.stage not in skipped_stages(config)]
    made = {step.stage for step in kept}
    return [step for step in kept if not _of_a_skipped_model(step, made)]


def _evaluation(folder: RunFolder, name: str, model: Path | None, *more: str) -> Step:
    overrides = (f"eval.name={name}", f"eval.model={model or 'null'}", "benchmarks=null", *more)
    return Step("eval", folder.episodes(name), overrides)


def _of_a_skipped_model(step: Step, made: set[str]) -> bool:
    needs = {"sft": "sft", "grpo": "train"}.get(step.result.stem) if step.stage == "eval" else None
    return needs is not None and needs not in made


def claim(config: DictConfig) -> None:
    """The run folder belongs to the configuration of its first start: stages made by two would go unnoticed in it.

    Raises:
        UsageError: another one is there; names a key in which they differ.
    """
    folder = RunFolder.of(config)
    here = {key: value for key, value in _leaves(config) if not key.startswith(OPERATIONAL)}
    if not folder.has_results():
        with replacing(folder.claim) as temporary:
            temporary.write_text(json.dumps(here, indent=1))
    for key, value in json.loads(folder.claim.read_text()).items():
        if key in here and here[key] != value:
            raise UsageError(
                f"run_dir={config.run_dir}: belongs to another configuration ({key}={value}, here {here[key]}); "
                "choose another run_dir, or remove this one"
            )
    with replacing(folder.config) as temporary:
        OmegaConf.save(config, temporary)


def _leaves(values: Mapping[Any, Any], at: str = "") -> Iterator[tuple[str, str]]:
    """Key and text of every value, interpolations as written."""
    if isinstance(values, DictConfig):
        values = cast(dict[Any, Any], OmegaConf.to_container(values, resolve=False))
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", str(value)


def run(config: DictConfig, arguments: Sequence[str]) -> None:
    """Run the chain of `gsr-rl run ARGUMENTS`, then those of the recipe's variants, and report on all of them.

    Raises:
        UsageError: the run folder belongs to another configuration.
        SystemExit: with the exit code of the stage that failed; what was done stays, and the next start goes on there.
    """
    variants = {name: (one.reuse, [*arguments, *overrides(config, name)]) for name, one in variants_of(config).items()}
    recipe, *_ = [one.removeprefix("recipe=") for one in arguments if one.startswith("recipe=")]
    for _, own in variants.values():  # before the first of them starts
        check(load_recipe(recipe, [one for one in own if not one.startswith("recipe=")]), "run")
    claim(config)
    base_model(config)  # converted once, before the stages look for it
    folder = RunFolder.of(config)
    for step in steps(config):
        if step.result.exists():
            print(f"gsr-rl run: {step.stage}: {step.result} is there already", flush=True)
            continue
        print(f"gsr-rl run: {step.stage}", flush=True)
        _command(folder, step.stage, [*arguments, *step.overrides])
    for name, (reuse, own) in variants.items():
        print(f"gsr-rl run: variant {name}", flush=True)
        share(folder.root, name, reuse)
        _command(folder, "run", own)
    if "report" not in config.skip_stages:
        _command(folder, "report", [str(folder.root)])
        if variants:
            roots = [str(folder.root / name) for name in variants]
            _command(folder, "report", [str(folder.root), *roots, "--out", str(folder.root / "variants")])


def _command(folder: RunFolder, stage: str, arguments: Sequence[str]) -> None:
    started, peak = time.monotonic(), 0
    command = [sys.executable, "-m", "gsr_rl.cli", stage, *arguments]
    # A stage that outlived a killed chain would meet that of the next start in the same folder.
    process = subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, preexec_fn=end_with_parent)
    try:
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
    except BaseException:  # an interrupt of the chain is one of its stage
        process.terminate()
        process.wait()
        raise
    wall = time.monotonic() - started
    folder.add_usage(wall, peak / 1e9)
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    print(f"gsr-rl run: {stage} took {wall:.0f} s", flush=True)


def _resident(pid: int) -> int:
    """Bytes resident in a process and all that it started; each page that n of them share counts 1/n in each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
    return total
