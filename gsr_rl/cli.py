"""`gsr-rl`: one command line for all stages.

    gsr-rl <stage> recipe=<name> [key=value ...]

Nothing heavy is imported before a stage is chosen, so that `gsr-rl --help` answers at once.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

HELP = """\
gsr-rl: reinforcement-learning fine-tuning for Generative Self-Refinement, on verl

usage: gsr-rl <stage> recipe=<name> [key=value ...] [--dry-run] [--redo STAGE]

--dry-run prints and saves the resolved configuration and what follows from it, and starts nothing.
--redo STAGE removes the results of a stage, and of all stages that depend on it, so that they are made again.

stages
  data      problems, split disjointly, as JSONL and as verl's parquet
  warmup    SFT on direct solutions alone, before candidates are sampled
  teach     candidates of the student, direct solutions and refinements of the teacher: SFT rows
  sft       SFT on direct and refinement rows, by verl's SFT trainer
  train     GRPO on both stages, by verl's PPO trainer
  eval      one model (model=PATH, hub name or base URL) on the run's held-out problems, or on benchmarks:
            eval.benchmarks=[aime24,math500,FILE.jsonl]
  run       all of it; a stage whose result is there already is skipped (skip_stages=[train] leaves stages out)

recipe=<name> is one of: {recipes}
or a folder of your own that holds a recipe.yaml. key=value are Hydra overrides: verl's RL keys at the root, verl's SFT
keys under `sft.`, ours under `gsr.`, `problems.`, `warmup.`, `generation.`, `teach.`, `eval.`.

tools on files (gsr-rl <tool> --help says more)
  report DIR... [--out DIR]          report.html, .md and .json of a run or an evaluation, or of several
  metrics --episodes FILE            every metric of a file of episodes, whoever made it
  dashboard [--project P]            the W&B workspace of a project, with the gap first
  verify --cases FILE, --golds FILE  the maths verifier on labelled cases; golds that it cannot read
  overlap --train FILE --eval FILE... --out FILE
                                     training problems that overlap with evaluation sets
"""


LOCKED = "GSR_RL_LOCKED"  # environment variable: the run folder whose lock this process or its parent holds


class Stage(NamedTuple):
    """A stage: its module, and the functions there that check the settings and do the work.

    `device` says whether the stage runs a model: `yes`, `no`, or `perhaps`, for the module's `needs_device` to say.
    """

    module: str
    device: str
    check: str = "check"
    work: str = "run"


STAGES = {
    "data": Stage("data", "no"),
    "warmup": Stage("sft", "yes", "check_warmup", "warmup"),
    "teach": Stage("teach", "perhaps"),
    "sft": Stage("sft", "yes"),
    "train": Stage("train", "yes"),
    "eval": Stage("evaluate", "perhaps"),
    "run": Stage("chain", "yes"),
}
# tool -> module whose main(arguments) takes flags and files instead of a recipe
TOOLS = {
    "report": "gsr_rl.report.command",
    "metrics": "gsr_rl.tools.metrics",
    "dashboard": "gsr_rl.tools.dashboard",
    "verify": "gsr_rl.tools.verify",
    "overlap": "gsr_rl.tools.overlap",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 failed, 2 bad input (one line on stderr), 130 interrupted."""
    from gsr_rl.errors import UsageError

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        from gsr_rl.settings.recipes import recipe_names

        print(HELP.format(recipes=", ".join(recipe_names())))
        return 0 if arguments else 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments[0] in TOOLS:
            importlib.import_module(TOOLS[arguments[0]]).main(arguments[1:])
        else:
            _run_stage(arguments[0], arguments[1:])
    except UsageError as error:
        print(f"gsr-rl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gsr-rl: interrupted; the same command resumes", file=sys.stderr)
        return 130
    return 0


def _run_stage(name: str, arguments: list[str]) -> None:
    from gsr_rl.errors import UsageError

    if name not in STAGES:
        raise UsageError(f"{name}: no such command; stages: {', '.join(STAGES)}; tools: {', '.join(TOOLS)}")
    dry = "--dry-run" in arguments
    arguments, redo = _take_redo([argument for argument in arguments if argument != "--dry-run"])
    recipes = [argument.removeprefix("recipe=") for argument in arguments if argument.startswith("recipe=")]
    if len(recipes) != 1:
        raise UsageError("recipe: missing; say recipe=<name>, for example recipe=quickstart_cpu")
    from gsr_rl.settings.compose import load_settings

    settings = load_settings(recipes[0], [argument for argument in arguments if not argument.startswith("recipe=")])
    from gsr_rl.files import check_writable
    from gsr_rl.stages.chain import check_layout

    check_writable(settings.folder.root, "run_dir")
    check_layout(settings)
    if dry:
        from gsr_rl.stages import dry_run

        return dry_run.run(settings)
    with ExitStack() as held:
        _work(name, settings, arguments, redo, held)


def _hold(settings: Any, held: ExitStack) -> None:
    """Hold the run folder's lock, unless this is a stage of a chain that holds it."""
    from gsr_rl.files import locked

    root = str(settings.folder.root)
    if os.environ.get(LOCKED) != root:
        held.enter_context(locked(settings.folder.lock))
        held.callback(_remove_if_empty, settings.folder)
        os.environ[LOCKED] = root
        held.callback(os.environ.pop, LOCKED)


def _remove_if_empty(folder: Any) -> None:
    """A start that wrote nothing leaves no run folder."""
    if list(folder.root.iterdir()) == [folder.lock]:
        folder.lock.unlink()
        folder.root.rmdir()


def _take_redo(arguments: list[str]) -> tuple[list[str], str | None]:
    """The arguments without `--redo STAGE`, and the stage."""
    from gsr_rl.errors import UsageError
    from gsr_rl.settings.dependencies import CHAIN

    if "--redo" not in arguments:
        return arguments, None
    position = arguments.index("--redo")
    stage = next(iter(arguments[position + 1 :]), "")
    if stage not in CHAIN:
        raise UsageError(f"--redo {stage}: say which stage to make again: {', '.join(CHAIN)}")
    return [*arguments[:position], *arguments[position + 2 :]], stage


def _work(name: str, settings: Any, arguments: list[str], redo: str | None, held: ExitStack) -> None:
    """Check, then work. What is refused leaves no trace, so the lock comes after the checks."""
    from gsr_rl.stages import records
    from gsr_rl.stages.platform import choose_platform

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    stage = STAGES[name]
    module: Any = importlib.import_module(f"gsr_rl.stages.{stage.module}")
    if redo is not None:
        _hold(settings, held)
        records.redo(settings, redo)
    if stage.device == "yes" or (stage.device == "perhaps" and module.needs_device(settings)):
        settings = choose_platform(settings)
    if name == "run":
        module.check_all(settings, arguments)
        _hold(settings, held)
        return module.run(settings, arguments)
    records.check_earlier(settings, name)
    getattr(module, stage.check)(settings)
    _hold(settings, held)
    with records.claimed(settings, name):
        getattr(module, stage.work)(settings)


if __name__ == "__main__":
    sys.exit(main())
