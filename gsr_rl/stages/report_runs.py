"""Several runs on one page: side by side, and as one figure where they are repeats that differ in their seeds alone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gsr_rl.episode import Episode
from gsr_rl.errors import UsageError
from gsr_rl.stages.logs import LogRow
from gsr_rl.stages.report import Run, build_report, changes_of, stages_of, write_text
from gsr_rl.stages.report_page import Figures, change, interval, percent, points, stage_table, table, verdict
from gsr_rl.stages.report_plots import draw_runs

SFT_TOKENS, TRAIN_TOKENS = "train/global_tokens", "perf/total_num_tokens"


def write_comparison(runs: Sequence[Run], out: Path) -> None:
    """Write report.json, report.md and plots/ on `runs` into `out`.

    Raises:
        UsageError: two runs have the same folder name, or repeats differ in K.
    """
    names = [run.folder.root.name for run in runs]
    if len(set(names)) < len(names):
        raise UsageError(
            f"report: several runs are called {max(names, key=names.count)}; give each folder its own name"
        )
    pooled = pool(runs) if are_repeats(runs) else None
    report = {
        "runs": [{"name": name, **build_report(run), **tokens(run.log)} for name, run in zip(names, runs, strict=True)],
        "pooled": pooled and {"stages": stages_of(pooled), "selfref_changes": changes_of(pooled)},
    }
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    plot = draw_runs(out / "plots", report["runs"])
    write_text(out / "report.md", page(runs[0].recipe, report, plot))
    print(f"gsr-rl report: {out / 'report.md'} to read, {out / 'report.json'} for its figures")


def are_repeats(runs: Sequence[Run]) -> bool:
    """Whether the runs' configurations are known, and the same but for seeds."""
    if not all(run.folder.claim.exists() for run in runs):
        return False
    settings = [json.loads(run.folder.claim.read_text()) for run in runs]
    return all(_without_seeds(one) == _without_seeds(settings[0]) for one in settings)


def _without_seeds(settings: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in settings.items() if not key.endswith("seed")}


def pool(runs: Sequence[Run]) -> dict[str, list[Episode]]:
    """Episodes of all runs by stage, of the stages that all have: those of one problem count as its repeats."""
    return {
        stage: [episode for run in runs for episode in run.episodes[stage]]
        for stage in runs[0].episodes
        if all(stage in run.episodes for run in runs)
    }


def tokens(log: Sequence[LogRow]) -> dict[str, int | None]:
    """Tokens that the trainers processed, prompts and responses alike; None where a stage was not trained."""
    return {
        "sft_tokens": _sum(row["data"].get(SFT_TOKENS) for row in log if row["stage"] in ("warmup", "sft")),
        "grpo_tokens": _sum(row["data"].get(TRAIN_TOKENS) for row in log if row["stage"] == "train"),
    }


def _sum(values: Iterable[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(sum(known)) if known else None


def page(title: str, report: Mapping[str, Any], plot: str) -> str:
    runs, pooled = report["runs"], report["pooled"]
    sections = [f"# {title}: {len(runs)} runs"]
    if pooled:
        lines = [*map(verdict, pooled["stages"]), *map(change, pooled["selfref_changes"])]
        sections += [
            "## All runs together",
            f"They differ in their seeds alone. Each problem counts once, with the mean of its {len(runs)} runs; the "
            "intervals are over problems, and the spread over runs is in the table below.",
            stage_table(pooled["stages"]),
            "\n".join(f"- {line}" for line in lines),
        ]
    sections += ["## Side by side", _run_table(runs), f"![The gap of each run, with its 95 % interval]({plot})"]
    return "\n\n".join(sections) + "\n"


def _run_table(runs: Sequence[Figures]) -> str:
    k = runs[0]["stages"][0]["k"]
    rates = ("pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"selfref@{k}")
    head = ["run", "seed", "stage", "problems", *rates, "gap", "95 % interval", "all wrong, recovered", "trained on"]
    rows = [
        [
            run["name"],
            str(run["seed"]),
            stage["name"],
            str(stage["n"]),
            *(percent(stage.get(rate)) for rate in rates),
            points(stage["refinement_gap"]),
            interval(stage),
            percent(stage["all_wrong_recovery"]),
            _trained_on(run, stage["name"]),
        ]
        for run in runs
        for stage in run["stages"]
    ]
    text = "Rates in per cent, gaps in points; the last column counts the tokens that a stage's training processed."
    return f"{text}\n\n{table(head, rows)}"


def _trained_on(run: Figures, stage: str) -> str:
    count = {"sft": run["sft_tokens"], "grpo": run["grpo_tokens"]}.get(stage)
    return "-" if count is None else f"{count:,}"
