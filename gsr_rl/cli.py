"""`gsr-rl`: one command line for all stages.

    gsr-rl <stage> recipe=<name> [key=value ...]

Nothing heavy is imported before a stage is chosen, so that `gsr-rl --help` answers at once.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

HELP = """\
gsr-rl: reinforcement-learning fine-tuning for Generative Self-Refinement, on verl

usage: gsr-rl <stage> recipe=<name> [key=value ...] [--dry-run]

--dry-run prints and saves the resolved configuration and what follows from it, and starts nothing.

stages
  data      problems, split disjointly, as JSONL and as verl's parquet
  warmup    SFT on direct solutions alone, before candidates are sampled
  teach     candidates of the student, direct solutions and refinements of the teacher: SFT rows
  sft       SFT on direct and refinement rows, by verl's SFT trainer
  train     GRPO on both stages, by verl's PPO trainer
  eval      one model on benchmarks: model=PATH, hub name or base URL, benchmarks=[aime24,math500,FILE.jsonl];
            without benchmarks on the held-out problems (eval.name=..., eval.model=PATH)
  run       all of it, each stage where its result is not there yet (skip_stages=[train] leaves stages out)

recipe=<name> is one of: {recipes}
or a folder of your own that holds a recipe.yaml. key=value are Hydra overrides: verl's RL keys at the root, verl's SFT
keys under `sft.`, ours under `gsr.`, `problems.`, `warmup.`, `teach.`, `eval.`.

tools on files (gsr-rl <tool> --help says more)
  report DIR... [--out DIR]          report.html, .md and .json of a run or an evaluation, or of several
  metrics --episodes FILE            every figure from a file of episodes, whoever made it
  dashboard [--project P]            the W&B workspace of a project, with the gap first
  verify --cases FILE, --golds FILE  the maths verifier on labelled cases; golds that it cannot read
  overlap --train FILE --eval FILE... --out FILE
                                     training problems that stand in evaluation sets
"""

# stage -> (module, function)
STAGES = {
    "data": ("gsr_rl.stages.data", "run"),
    "warmup": ("gsr_rl.stages.sft", "warmup"),
    "teach": ("gsr_rl.stages.teach", "run"),
    "sft": ("gsr_rl.stages.sft", "run"),
    "train": ("gsr_rl.stages.train", "run"),
    "eval": ("gsr_rl.stages.evaluate", "run"),
    "run": ("gsr_rl.stages.chain", "run"),
}
# tool -> module whose main(arguments) takes flags and files instead of a recipe
TOOLS = {
    "report": "gsr_rl.report.command",
    "metrics": "gsr_rl.tools.metrics",
    "dashboard": "gsr_rl.tools.dashboard",
    "verify": "gsr_rl.tools.verify",
    "overlap": "gsr_rl.tools.overlap",
}
# What runs a model: these need the platform chosen, and everything checked before they start.
ON_DEVICE = ("warmup", "teach", "sft", "train", "eval", "run")


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
        print("gsr-rl: interrupted; the same command goes on from what is done", file=sys.stderr)
        return 130
    return 0


def _run_stage(stage: str, arguments: list[str]) -> None:
    from gsr_rl.errors import UsageError

    if stage not in STAGES:
        raise UsageError(f"{stage}: no such command; stages: {', '.join(STAGES)}; tools: {', '.join(TOOLS)}")
    dry = "--dry-run" in arguments
    arguments = [one for one in arguments if one != "--dry-run"]
    recipe = [one.removeprefix("recipe=") for one in arguments if one.startswith("recipe=")]
    if len(recipe) != 1:
        raise UsageError("recipe: missing; say recipe=<name>, for example recipe=quickstart_cpu")
    from gsr_rl.settings.compose import load_recipe

    config = load_recipe(recipe[0], [one for one in arguments if not one.startswith("recipe=")])
    if dry:
        from gsr_rl.stages import dry_run

        return dry_run.run(config)
    if stage in ON_DEVICE:
        from gsr_rl.stages.preflight import check, choose_platform, needs_device

        if needs_device(config, stage):
            choose_platform(config)
        check(config, stage)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    module, function = STAGES[stage]
    work: Any = getattr(importlib.import_module(module), function)
    if stage == "run":
        work(config, arguments)
    else:
        work(config)


if __name__ == "__main__":
    sys.exit(main())
