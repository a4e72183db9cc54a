"""`gsr-rl report DIR... [--out DIR]`: the command line, and the files of a report on one or several runs."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing, write_json
from gsr_rl.metrics.logged import CORRELATION
from gsr_rl.report.html import html
from gsr_rl.report.markdown import markdown
from gsr_rl.report.plotting import save_png
from gsr_rl.report.results import Evaluation, changes, differences
from gsr_rl.report.runs import Group, Run, group, read_runs, tokens
from gsr_rl.report.sections import Section, comparison_sections, run_sections, stages_of
from gsr_rl.report.text import run_facts

FILES = (
    ("report.json", "the results on this page, as numbers"),
    ("report.md", "this page in short, as text"),
    ("report.html", "this page in full, with a browser of the episodes"),
    (
        "episodes/",
        "every problem with its candidates and refinements: a file for each model, with one JSON object per line",
    ),
    ("metrics.jsonl", "what was logged at every step of warmup, sft and train"),
    ("config.yaml", "the configuration"),
    ("data/", "the problems: train, dev (for tuning), held_out (for this page)"),
    ("model/", "the trained model, an ordinary Hugging Face folder"),
    ("plots/", "the plots"),
)


def main(arguments: Sequence[str]) -> None:
    """Run the tool.

    Raises:
        UsageError: a folder has no episodes or is given twice, or a file has the wrong content.
    """
    parser = argparse.ArgumentParser(
        prog="gsr-rl report", description="Report on runs, from the files that they wrote."
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a folder with episodes/NAME.jsonl, such as outputs/quickstart",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write; by default into the run's folder, if there is one run"
    )
    options = parser.parse_args(arguments)
    if len(options.runs) > 1 and options.out is None:
        raise UsageError("--out: missing; name the folder for a report on several runs")
    runs = read_runs(options.runs)
    if len(runs) == 1:
        _report_on_one(runs[0], options.out or runs[0].folder.root)
    else:
        _report_on_several(runs, options.out)


def _report_on_one(run: Run, out: Path) -> None:
    report = build_report(run)
    if run.log:
        _write_text(out / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in run.log))
    sections = run_sections(report, run.evaluations, run.log)
    refined = [evaluation for evaluation in run.evaluations if evaluation.is_refined]
    sample = refined[-1] if refined else None
    _write(out, run.recipe, run_facts(report), report, sections, run.evaluations, sample)


def _report_on_several(runs: Sequence[Run], out: Path) -> None:
    groups = group(runs)
    report = {
        "runs": [{"name": run.name, **build_report(run), **tokens(run.log)} for run in runs],
        "pooled": [_pooled_report(repeats) for repeats in groups if repeats.is_repeated],
        "differences": _differences_to_first(groups),
    }
    sections = comparison_sections(report, runs, groups)
    title, names = f"{runs[0].recipe}: {len(runs)} runs", [run.name for run in runs]
    _write(out, title, names, report, sections, stages_of(groups), None)


def _pooled_report(repeats: Group) -> dict[str, Any]:
    return {
        "name": repeats.name,
        "runs": [run.name for run in repeats.runs],
        "stages": [evaluation.entry() for evaluation in repeats.evaluations],
        "selfref_changes": changes(repeats.evaluations, repeats.started_from),
    }


def _differences_to_first(groups: Sequence[Group]) -> list[dict[str, Any]]:
    first, *others = groups
    return [{"run": other.name, **row} for other in others for row in differences(first.evaluations, other.evaluations)]


def build_report(run: Run) -> dict[str, Any]:
    """The content of report.json. Rates are fractions; what is undefined or unknown is None."""
    correlations = [row["data"].get(CORRELATION) for row in run.log if row["stage"] == "train"]
    known = [value for value in correlations if value is not None and math.isfinite(value)]
    return {
        "stages": [evaluation.entry() for evaluation in run.evaluations],
        "started_from": run.started_from,
        "selfref_changes": changes(run.evaluations, run.started_from),
        "seed": run.seed,
        "wall_s": run.usage.get("wall_s"),
        "peak_rss_gb": run.usage.get("peak_rss_gb"),
        "rollout_actor_corr_min": min(known, default=None),
    }


def _write(
    out: Path,
    title: str,
    facts: Sequence[str],
    report: Mapping[str, Any],
    sections: Sequence[Section],
    shown: Sequence[Evaluation],
    sample: Evaluation | None,
) -> None:
    write_json(out / "report.json", report, indent=2)
    plot_files = {plot.name: save_png(plot, out / "plots") for section in sections for plot in section.plots}
    pages = ("report.md", "report.html")
    files = [(name, what) for name, what in FILES if name in pages or (out / name).exists()]
    beside = {page: [(name, what) for name, what in files if name != page] for page in pages}
    _write_text(out / "report.md", markdown(title, facts, sections, plot_files, sample, beside["report.md"]))
    _write_text(out / "report.html", html(title, facts, sections, shown, beside["report.html"]))
    print(f"gsr-rl report: {out / 'report.html'} or {out / 'report.md'} to read, {out / 'report.json'} for the numbers")


def _write_text(path: Path, text: str) -> None:
    # A model's text may hold half a surrogate pair, which UTF-8 cannot encode.
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
