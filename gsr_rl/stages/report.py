"""Stage `report`: what a run has reached, on one page, from the episodes and logs that its stages left.

Writes report.json, report.md, metrics.jsonl, config.yaml and plots/ into the run folder.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from data_prep.tables import replacing
from gsr_rl.episode import Episode, read_episodes
from gsr_rl.errors import UsageError
from gsr_rl.metrics import MACRO, refinement_agreement, refinement_controls, summarize
from gsr_rl.stages.layout import RunFolder
from gsr_rl.stages.logs import LogRow, read_logs
from gsr_rl.stages.report_page import FILES, Figures, page
from gsr_rl.stages.report_plots import draw
from gsr_rl.verl_plugin.sync_guard import CORRELATION

EVALUATED = ("base", "sft", "grpo")
LOGGED = ("warmup", "sft", "train")


def run(config: DictConfig) -> None:
    """Report on `<run_dir>`.

    Raises:
        UsageError: no stage has been evaluated, a file is not what it should be, or the stages differ in K.
    """
    folder = RunFolder.of(config)
    episodes = {name: read_episodes(path) for name in EVALUATED if (path := folder.episodes(name)).exists()}
    if not episodes:
        raise UsageError(
            f"{folder.root}: no episodes to report on; `gsr-rl run recipe={config.recipe}` makes them, and "
            f"`gsr-rl eval recipe={config.recipe} eval.name=base` those of the base model"
        )
    log = [row for stage in LOGGED for row in read_logs(folder.stage(stage), stage)]
    usage = json.loads(folder.usage.read_text()) if folder.usage.exists() else {}
    report = build_report(episodes, log, int(config.gsr.seed), usage)

    _write(folder.root / "report.json", json.dumps(report, indent=2) + "\n")
    _write(folder.root / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in log))
    _write(folder.root / "config.yaml", OmegaConf.to_yaml(config))
    plots = draw(folder.root / "plots", report["stages"], episodes, log)
    files = [(name, what) for name, what in FILES if (folder.root / name).exists()]
    _write(folder.root / "report.md", page(str(config.recipe), report, episodes, log, plots, files))
    print(f"gsr-rl report: {folder.root / 'report.md'} to read, {folder.root / 'report.json'} for its figures")


def build_report(
    episodes: Mapping[str, Sequence[Episode]], log: Sequence[LogRow], seed: int, usage: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of report.json: rates as fractions, null where undefined or unknown."""
    stages = [stage_figures(name, rows) for name, rows in episodes.items()]
    if len({stage["k"] for stage in stages}) > 1:
        sizes = ", ".join(f"{stage['name']} {stage['k']}" for stage in stages)
        raise UsageError(f"episodes: K differs between stages ({sizes}); evaluate all of them with the same gsr.k")
    correlations = [row["data"].get(CORRELATION) for row in log if row["stage"] == "train"]
    known = [value for value in correlations if value is not None and math.isfinite(value)]
    return {
        "stages": stages,
        "seed": seed,
        "wall_s": usage.get("wall_s"),
        "peak_rss_gb": usage.get("peak_rss_gb"),
        "rollout_actor_corr_min": min(known, default=None),
    }


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
    }


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _write(path: Path, text: str) -> None:
    # A model's text may hold half a surrogate pair, which UTF-8 cannot.
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
