"""`gsr-rl report DIR... [--out DIR]`: what runs have reached, from the episodes and logs that their stages left.

One run: report.json, report.md, metrics.jsonl and plots/, into its own folder. Several: `report_runs`.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gsr_rl.episode import Episode, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.files import replacing
from gsr_rl.metrics import MACRO, refinement_agreement, refinement_controls, selfref_change, summarize
from gsr_rl.stages.layout import RunFolder
from gsr_rl.stages.logs import LogRow, read_logs
from gsr_rl.stages.report_page import FILES, Figures, page
from gsr_rl.stages.report_plots import draw
from gsr_rl.verl_plugin.sync_guard import CORRELATION

EVALUATED = ("base", "sft", "grpo")
LOGGED = ("warmup", "sft", "train")


@dataclass(frozen=True)
class Run:
    """What a run folder holds. `seed` is None, and `recipe` the folder's name, where it has no config.yaml."""

    folder: RunFolder
    recipe: str
    seed: int | None
    episodes: Mapping[str, Sequence[Episode]]
    log: Sequence[LogRow]
    usage: Mapping[str, Any]


def main(arguments: Sequence[str]) -> None:
    """The command line of the tool.

    Raises:
        UsageError: no stage of a run has been evaluated, a file is not what it should be, or stages differ in K.
    """
    parser = argparse.ArgumentParser(prog="gsr-rl report", description="Report on runs, from what they left.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="DIR", help="a run's folder, such as outputs/quickstart")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write; by default into the only run's folder")
    options = parser.parse_args(arguments)
    runs = [read_run(root) for root in options.runs]
    if len(runs) == 1:
        return write_report(runs[0], options.out or runs[0].folder.root)
    if options.out is None:
        raise UsageError("--out: missing; say into which folder a report on several runs goes")
    from gsr_rl.stages.report_runs import write_comparison

    write_comparison(runs, options.out)


def read_run(root: Path) -> Run:
    folder = RunFolder(root.resolve())
    episodes = {name: read_episodes(path) for name in EVALUATED if (path := folder.episodes(name)).exists()}
    if not episodes:
        raise UsageError(f"{root}: no episodes to report on; `gsr-rl run recipe=... run_dir={root}` makes them")
    config: Any = OmegaConf.load(folder.config) if folder.config.exists() else OmegaConf.create()
    log = [row for stage in LOGGED for row in read_logs(folder.stage(stage), stage)]
    usage = json.loads(folder.usage.read_text()) if folder.usage.exists() else {}
    recipe = str(config.get("recipe") or folder.root.name)
    return Run(folder, recipe, OmegaConf.select(config, "gsr.seed"), episodes, log, usage)


def write_report(run: Run, out: Path) -> None:
    report = build_report(run)
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    write_text(out / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in run.log))
    plots = draw(out / "plots", report["stages"], run.episodes, run.log)
    files = [(name, what) for name, what in FILES if (out / name).exists()]
    write_text(out / "report.md", page(run.recipe, report, run.episodes, run.log, plots, files))
    print(f"gsr-rl report: {out / 'report.md'} to read, {out / 'report.json'} for its figures")


def build_report(run: Run) -> dict[str, Any]:
    """The content of report.json: rates as fractions, null where undefined or unknown."""
    stages = stages_of(run.episodes)
    correlations = [row["data"].get(CORRELATION) for row in run.log if row["stage"] == "train"]
    known = [value for value in correlations if value is not None and math.isfinite(value)]
    return {
        "stages": stages,
        "selfref_changes": changes_of(run.episodes),
        "seed": run.seed,
        "wall_s": run.usage.get("wall_s"),
        "peak_rss_gb": run.usage.get("peak_rss_gb"),
        "rollout_actor_corr_min": min(known, default=None),
    }


def stages_of(episodes: Mapping[str, Sequence[Episode]]) -> list[Figures]:
    stages = [stage_figures(name, rows) for name, rows in episodes.items()]
    if len({stage["k"] for stage in stages}) > 1:
        sizes = ", ".join(f"{stage['name']} {stage['k']}" for stage in stages)
        raise UsageError(f"episodes: K differs between stages ({sizes}); evaluate all of them with the same gsr.k")
    return stages


def changes_of(episodes: Mapping[str, Sequence[Episode]]) -> list[Figures]:
    """What each stage has changed of selfRef@K against the one before it."""
    return [
        {"from": before, "to": after, **selfref_change(episodes[before], episodes[after])}
        for before, after in pairwise(episodes)
    ]


def stage_figures(name: str, episodes: Sequence[Episode]) -> Figures:
    """One entry of "stages"; over several datasets their unweighted mean (`gsr_rl.metrics`), counts in total."""
    figures = summarize(episodes)[MACRO]
    k = len(episodes[0].candidates)
    rates = ["pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"selfref@{k}", "refinement_gap", "ci_low", "ci_high"]
    transitions = ["all_wrong_n", "all_wrong_recovery", "right_to_wrong", "wrong_to_right"]
    datasets = [[one for one in episodes if one.dataset == name] for name in sorted({one.dataset for one in episodes})]
    agreement = [refinement_agreement(rows) for rows in datasets]
    controls = [refinement_controls(rows) for rows in datasets]
    return {
        "name": name,
        **{key: figures[key] for key in ["n", "k", *rates, *transitions]},
        "agrees_with_majority": _mean([one["majority"] for one in agreement]),
        "agrees_with_none": _mean([one["novel"] for one in agreement]),
        "direct_again": _mean([one["direct_again"] for one in controls]),
        f"selfref_swapped@{k}": _mean([one["selfref_swapped"] for one in controls]),
        "swapped_n": sum(one["swapped_n"] or 0 for one in controls),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def write_text(path: Path, text: str) -> None:
    # A model's text may hold half a surrogate pair, which UTF-8 cannot.
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
