"""`gsr-rl dashboard`: the W&B workspace of a project, built by code, with the Refinement Gap first.

gsr-rl dashboard [--entity E] [--project P] [--run TEXT] [--out FILE.json]

Its specification is that of wandb-workspaces. With a W&B login it is saved there; without one it is only written.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing
from gsr_rl.metrics.logged import STAGES
from gsr_rl.stages.logs import has_wandb_account
from gsr_rl.verl_plugin.episode_table import TABLE
from gsr_rl.verl_plugin.sync_guard import CORRELATION

NAME = "Generative Self-Refinement"
FILE = Path("dashboard.json")
GAP, INTERVAL = "gsr/val/macro/refinement_gap", ("gsr/val/macro/ci_low", "gsr/val/macro/ci_high")


@dataclass(frozen=True)
class Lines:
    """A plot of logged metrics by step: those named, or those whose names match a regular expression."""

    title: str
    metrics: Sequence[str] = ()
    pattern: str | None = None


def _both(name: str) -> list[str]:
    return [f"gsr/train/{stage}/{name}" for stage in STAGES]


# K is part of a metric's name, and a project may hold runs of several K: those names are matched.
SECTIONS: dict[str, Sequence[Lines]] = {
    "Refinement Gap": (
        Lines("Refinement Gap: selfRef@K - maj@K, with its 95 % interval", [GAP, *INTERVAL]),
        Lines("selfRef@K, maj@K and pass@k", pattern=r"gsr/val/macro/(selfref|maj|pass)@[0-9]+"),
        Lines("Refinement Gap by benchmark", pattern=r"gsr/val/.+/refinement_gap"),
    ),
    "What the refiner does": (
        Lines("All candidates wrong, and recovered", ["gsr/val/macro/all_wrong_recovery"]),
        Lines("Vote right, refinement wrong", ["gsr/val/macro/right_to_wrong"]),
        Lines("Vote wrong, refinement right", ["gsr/val/macro/wrong_to_right"]),
    ),
    "Training by stage": (
        Lines("Reward", _both("reward")),
        Lines("Accuracy", _both("accuracy")),
        Lines("Tokens of a response", _both("response_length")),
        Lines("Share of responses cut off", _both("cut_off")),
        Lines("Share of responses without an answer", _both("no_answer")),
        Lines("Share of groups with equal rewards", _both("no_signal_groups")),
        Lines("Sets without a correct candidate; sets refined", ["gsr/train/all_wrong", "gsr/train/refined_sets"]),
    ),
    "Is it sound?": (
        Lines("Correlation of rollout and actor probabilities", [CORRELATION]),
        Lines(
            "Failed episodes, skipped and idle steps",
            [f"gsr/train/{name}" for name in ("failed_episodes", "skipped_steps", "idle_steps")],
        ),
        Lines("Responses on which the reward function failed", _both("reward_failed")),
        Lines("SFT: loss", ["train/loss"]),
    ),
}  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Run the tool.

    Raises:
        UsageError: W&B refuses the workspace.
    """
    parser = argparse.ArgumentParser(prog="gsr-rl dashboard", description="Build the W&B workspace of a project.")
    parser.add_argument("--entity", default="", help="user or team; by default that of the login")
    parser.add_argument("--project", default="gsr-rl", help="as in trainer.project_name; by default gsr-rl")
    parser.add_argument("--run", default="", metavar="TEXT", help="show only the runs in whose name this stands")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.json", help=f"write the specification there; without a login to {FILE}"
    )
    options = parser.parse_args(arguments)
    online = has_wandb_account() and os.environ.get("WANDB_MODE", "online") == "online"
    entity = options.entity or (_own_entity() if online else "")
    workspace = build(entity, options.project, options.run)
    out = options.out or (None if online else FILE)
    if out:
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(specification(workspace), indent=1) + "\n")
        print(f"gsr-rl dashboard: specification in {out}")
    if online:
        print(f"gsr-rl dashboard: {_save(workspace)}")
    else:
        print("gsr-rl dashboard: not saved, which needs a W&B login: `wandb login`, then the same command")


def build(entity: str, project: str, run: str) -> Any:
    """The `wandb_workspaces.workspaces.Workspace` of a project; `run`: only of the runs in whose name it stands."""
    # heavy
    from wandb_workspaces.reports.v2 import LinePlot, WeavePanelSummaryTable
    from wandb_workspaces.workspaces import RunsetSettings, Section, SectionLayoutSettings, Workspace

    sections = [
        Section(
            name,
            panels=[LinePlot(title=one.title, y=list(one.metrics), metric_regex=one.pattern) for one in panels],
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
    """What W&B is sent of a workspace, and where it belongs."""
    return {
        "entity": workspace.entity,
        "project": workspace.project,
        "name": workspace.name,
        "spec": workspace._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _own_entity() -> str:
    import wandb

    return _refused(lambda: str(wandb.Api().default_entity))


def _save(workspace: Any) -> str:
    """Save at W&B; returns the workspace's address."""
    return _refused(lambda: workspace.save().url)


def _refused(ask: Any) -> Any:
    """What `ask` answers, or one line of what W&B has against it."""
    try:
        return ask()
    except Exception as error:  # wandb raises a dozen kinds
        why = str(error).strip().split("\n")[0]
        raise UsageError(f"dashboard: W&B refuses ({why}); check --entity, --project and `wandb login`") from error
