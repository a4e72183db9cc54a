"""`gsr-rl dashboard`: builds the W&B workspace of a project, with the Refinement Gap first.

gsr-rl dashboard [--entity E] [--project P] [--run TEXT] [--out FILE.json]

The workspace is specified by wandb-workspaces. With a W&B login it is saved at W&B. Without a login its specification
is written to a file.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.files import write_json
from gsr_rl.metrics.gap import MACRO
from gsr_rl.metrics.logged import (
    ALL_WRONG,
    CORRELATION,
    FAILED_EPISODES,
    IDLE_STEPS,
    REFINED_SETS,
    SFT_LOSS,
    SKIPPED,
    TABLE,
    both_stages,
    validation_metric,
)
from gsr_rl.stages.logs import has_wandb_account

NAME = "Generative Self-Refinement"
FILE = Path("dashboard.json")


def _mean(name: str) -> str:
    """A metric of a validation, as the mean over the benchmarks."""
    return validation_metric(MACRO, name)


GAP, INTERVAL = _mean("refinement_gap"), (_mean("ci_low"), _mean("ci_high"))


@dataclass(frozen=True)
class Lines:
    """A plot of logged metrics by step: the named metrics, or all whose names match a regular expression."""

    title: str
    metrics: Sequence[str] = ()
    pattern: str | None = None


# K is part of a metric's name, and a project may hold runs of several K. So these names are matched by a pattern.
SECTIONS: dict[str, Sequence[Lines]] = {
    "Refinement Gap": (
        Lines("Refinement Gap: selfRef@K - maj@K, with its 95 % interval", [GAP, *INTERVAL]),
        Lines("selfRef@K, maj@K and pass@k", pattern=_mean(r"(selfref|maj|pass)@[0-9]+")),
        Lines("Refinement Gap by benchmark", pattern=validation_metric(r".+", "refinement_gap")),
    ),
    "What the refiner does": (
        Lines("All candidates wrong, and recovered", [_mean("all_wrong_recovery")]),
        Lines("Vote right, refinement wrong", [_mean("right_to_wrong")]),
        Lines("Vote wrong, refinement right", [_mean("wrong_to_right")]),
    ),
    "Training by stage": (
        Lines("Reward", both_stages("reward")),
        Lines("Accuracy", both_stages("accuracy")),
        Lines("Tokens of a response", both_stages("response_length")),
        Lines("Share of responses cut off", both_stages("cut_off")),
        Lines("Share of responses without an answer", both_stages("no_answer")),
        Lines("Share of groups with equal rewards", both_stages("no_signal_groups")),
        Lines("Sets without a correct candidate; sets refined", [ALL_WRONG, REFINED_SETS]),
    ),
    "Is it sound?": (
        Lines("Correlation of rollout and actor probabilities", [CORRELATION]),
        Lines("Failed episodes, skipped and idle steps", [FAILED_EPISODES, SKIPPED, IDLE_STEPS]),
        Lines("Responses on which the reward function failed", both_stages("reward_failed")),
        Lines("SFT: loss", [SFT_LOSS]),
    ),
}  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Run the tool.

    Raises:
        UsageError: W&B refuses the workspace.
    """
    parser = argparse.ArgumentParser(prog="gsr-rl dashboard", description="Build the W&B workspace of a project.")
    parser.add_argument("--entity", default="", help="user or team; by default the one of the login")
    parser.add_argument("--project", default="gsr-rl", help="as in trainer.project_name; by default gsr-rl")
    parser.add_argument("--run", default="", metavar="TEXT", help="show only runs with this text in their names")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help=f"write the specification there; by default to {FILE} if there is no login",
    )
    options = parser.parse_args(arguments)
    online = has_wandb_account() and os.environ.get("WANDB_MODE", "online") == "online"
    entity = options.entity or (_own_entity() if online else "")
    workspace = build(entity, options.project, options.run)
    out = options.out or (None if online else FILE)
    if out:
        write_json(out, specification(workspace))
        print(f"gsr-rl dashboard: specification in {out}")
    if online:
        print(f"gsr-rl dashboard: {_save(workspace)}")
    else:
        print("gsr-rl dashboard: not saved, which needs a W&B login: run `wandb login`, then the same command")


def build(entity: str, project: str, run: str) -> Any:
    """The `wandb_workspaces.workspaces.Workspace` of a project, of the runs with the text `run` in their names."""
    # Imported here because they are heavy.
    from wandb_workspaces.reports.v2 import LinePlot, WeavePanelSummaryTable
    from wandb_workspaces.workspaces import RunsetSettings, Section, SectionLayoutSettings, Workspace

    sections = [
        Section(
            name,
            panels=[LinePlot(title=lines.title, y=list(lines.metrics), metric_regex=lines.pattern) for lines in panels],
            is_open=True,
        )
        for name, panels in SECTIONS.items()
    ]
    table = WeavePanelSummaryTable(table_name=TABLE)
    whole_width = SectionLayoutSettings(columns=1, rows=1)
    sections.append(
        Section("Episodes of the last validation", panels=[table], is_open=True, layout_settings=whole_width)
    )
    runs = RunsetSettings(query=run, pinned_columns=[f"summary:{GAP}"])
    return Workspace(entity=entity, project=project, name=NAME, sections=sections, runset_settings=runs)


def specification(workspace: Any) -> dict[str, Any]:
    """The workspace as W&B stores it, with its entity, project and name."""
    return {
        "entity": workspace.entity,
        "project": workspace.project,
        "name": workspace.name,
        "spec": workspace._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _own_entity() -> str:
    import wandb

    return _ask(lambda: str(wandb.Api().default_entity))


def _save(workspace: Any) -> str:
    """Save at W&B. Returns the workspace's address."""
    return _ask(lambda: workspace.save().url)


def _ask(request: Callable[[], str]) -> str:
    """The result of a request to W&B.

    Raises:
        UsageError: W&B refuses the request; one line with its reason.
    """
    try:
        return request()
    except Exception as error:  # wandb raises a dozen kinds of exceptions
        why = str(error).strip().split("\n")[0]
        raise UsageError(f"dashboard: W&B refuses ({why}); check --entity, --project and `wandb login`") from error
