"""`gsr-rl run`: the chain of stages, each in a process of its own, each skipped where its result is there already."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from gsr_rl.child import end_with_parent
from gsr_rl.episode import BASE, GRPO, SFT
from gsr_rl.errors import UsageError
from gsr_rl.files import write_json
from gsr_rl.generation.roles import role_of
from gsr_rl.settings.compose import load_settings, resolved_config, save_config
from gsr_rl.settings.dependencies import leaves, stages_of
from gsr_rl.settings.run_folder import RunFolder
from gsr_rl.settings.served import Served
from gsr_rl.settings.settings import Settings
from gsr_rl.settings.variants import share
from gsr_rl.stages import data, records, sft, teach
from gsr_rl.stages.models import base_model
from gsr_rl.stages.preflight import check_model, check_recipe, check_roles, check_trainer

# The chain evaluates its own models on sets of `gsr.k`. Here a recipe's values are for `gsr-rl eval` alone.
EVALUATION = (
    *("eval.benchmarks=null", "eval.sweep=null", "eval.pool=null", "eval.population=null", "eval.rounds=1"),
    *("eval.server.urls=[]", "eval.server.model=null", "eval.tokenizer=null"),
    *(f"eval.{role}.{value}" for role in ("refiner", "reward_model") for value in ("urls=[]", "model=null")),
)
LAYOUT = 2  # of a run folder; a run.json without a layout is of the first


@dataclass(frozen=True)
class Step:
    """One command of the chain and the path whose existence says that it is done."""

    stage: str
    result: Path
    overrides: tuple[str, ...] = ()


def steps(settings: Settings) -> list[Step]:
    """The steps of a run in order, without its `skipped_stages`."""
    folder = settings.folder
    wanted = [
        Step("data", folder.rl_rows("dev")),
        Step("warmup", folder.model("warmup")),
        Step("teach", folder.sft_rows("sft")),
        Step("sft", folder.model("sft")),
        # Nobody has taught the base model to refine, so its refinements need no control.
        _evaluation(folder, BASE, None, "eval.swapped=0"),
        _evaluation(folder, SFT, folder.model("sft")),
        Step("train", folder.model("train")),
        _evaluation(folder, GRPO, folder.model("train")),
    ]
    kept = [step for step in wanted if step.stage not in settings.skipped_stages]
    made = {step.stage for step in kept}
    return [step for step in kept if not _is_of_a_skipped_model(step, made)]


def _evaluation(folder: RunFolder, name: str, model: Path | None, *more: str) -> Step:
    overrides = (f"eval.name={name}", f"eval.model={model or 'null'}", *EVALUATION, *more)
    return Step("eval", folder.episodes(name), overrides)


def _is_of_a_skipped_model(step: Step, made: set[str]) -> bool:
    needs = {SFT: "sft", GRPO: "train"}.get(step.result.stem) if step.stage == "eval" else None
    return needs is not None and needs not in made


def check(settings: Settings) -> None:
    """Everything about the pending stages that can be known before the first one starts.

    Raises:
        UsageError: one line that names the key, file or row, what is wrong and how to fix it.
    """
    check_recipe(settings)
    pending = {step.stage for step in steps(settings) if not step.result.exists()}
    if "data" in pending:
        data.check(settings)
    check_model(settings, base_model(settings))
    for stage in ("warmup", "sft", "train"):
        if stage in pending:
            check_trainer(settings, stage)
    if "warmup" in pending:
        sft.check_warmup(settings)
    if "teach" in pending:
        teach.check(settings)
    if "eval" in pending:  # the base model stands for the models that are not there yet
        check_roles(settings, [role_of(settings, "eval.server", Served(model=base_model(settings)))])


def check_results(settings: Settings, recipe: str, overrides: Sequence[str]) -> None:
    """What is there of the chain was made from these settings and inputs.

    Raises:
        UsageError: a result was made from others; says what changed, was -> is, and what to do.
    """
    check_layout(settings)
    for step in steps(settings):
        own = load_settings(recipe, [*overrides, *step.overrides]) if step.overrides else settings
        records.check(own, step.stage)


def describe(settings: Settings) -> None:
    """Write what the run is made from: `run.json`, by which the report knows repeats, and `config.yaml`."""
    values = {key: str(value) for key, value in leaves(resolved_config(settings)) if stages_of(key)}
    write_json(settings.folder.description, {"layout": LAYOUT, "settings": values})
    save_config(settings, settings.folder.config)


def check_layout(settings: Settings) -> None:
    """The run folder, if there is one, has the layout of this version.

    Raises:
        UsageError: an older version wrote the folder.
    """
    path = settings.folder.description
    layout = json.loads(path.read_text()).get("layout", 1) if path.exists() else LAYOUT
    if layout != LAYOUT:
        raise UsageError(
            f"run_dir={settings.run_dir}: another version of gsr-rl wrote it (layout {layout}, here {LAYOUT}); "
            "choose another run_dir, or remove this one"
        )


def _variants(settings: Settings, arguments: Sequence[str]) -> dict[str, list[str]]:
    """The overrides of each variant's own `gsr-rl run`."""
    overrides = [argument for argument in arguments if not argument.startswith("recipe=")]
    return {
        name: [*overrides, *variant.overrides, f"run_dir={settings.folder.root / name}", "variants=null"]
        for name, variant in (settings.variants or {}).items()
    }


def _recipe(arguments: Sequence[str]) -> str:
    return next(argument for argument in arguments if argument.startswith("recipe=")).removeprefix("recipe=")


def check_all(settings: Settings, arguments: Sequence[str]) -> None:
    """The results that are there, the pending stages and the variants, before the first stage starts.

    Raises:
        UsageError: a result was made from other settings or inputs, or a stage could not start.
    """
    recipe = _recipe(arguments)
    check_results(settings, recipe, [argument for argument in arguments if not argument.startswith("recipe=")])
    check(settings)
    for changed in _variants(settings, arguments).values():
        check(load_settings(recipe, changed))


def run(settings: Settings, arguments: Sequence[str]) -> None:
    """Run the chain of `gsr-rl run ARGUMENTS`, then those of the recipe's variants, and report on all of them.

    Raises:
        SystemExit: with the exit code of the stage that failed. What was done stays, and the next start resumes there.
    """
    folder, variants = settings.folder, settings.variants or {}
    describe(settings)
    base_model(settings)  # converted once, before the stages look for it
    for step in steps(settings):
        if step.result.exists():
            print(f"gsr-rl run: {step.stage}: {step.result} is there already", flush=True)
            continue
        print(f"gsr-rl run: {step.stage}", flush=True)
        _command(folder, step.stage, [*arguments, *step.overrides])
    for name, overrides in _variants(settings, arguments).items():
        print(f"gsr-rl run: variant {name}", flush=True)
        share(folder.root, name, variants[name].reuse)
        _command(folder, "run", [f"recipe={_recipe(arguments)}", *overrides])
    if "report" not in settings.skip_stages:
        _command(folder, "report", [str(folder.root)])
        if variants:
            roots = [str(folder.root / name) for name in variants]
            _command(folder, "report", [str(folder.root), *roots, "--out", str(folder.root / "variants")])


def _command(folder: RunFolder, stage: str, arguments: Sequence[str]) -> None:
    started, peak = time.monotonic(), 0
    command = [sys.executable, "-m", "gsr_rl.cli", stage, *arguments]
    # A stage that outlived a killed chain would meet the stage of the next start in the same folder.
    process = subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, preexec_fn=end_with_parent)
    try:
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
    except BaseException:  # an interrupt of the chain interrupts its stage
        process.terminate()
        process.wait()
        raise
    wall = time.monotonic() - started
    folder.add_usage(wall, peak / 1e9)
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    print(f"gsr-rl run: {stage} took {wall:.0f} s", flush=True)


def _resident(pid: int) -> int:
    """Bytes resident in a process and all its descendants; a page that n of them share counts 1/n in each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
    return total
