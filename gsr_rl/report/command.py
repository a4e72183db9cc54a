"""`gsr-rl report DIR... [--out DIR]`: the command line, and the files of a report on one run or several."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gsr_rl.errors import UsageError
from gsr_rl.files import replacing
from gsr_rl.report import drawing, sections
from gsr_rl.report.figures import Evaluation, changes, differences
from gsr_rl.report.html import html
from gsr_rl.report.markdown import markdown
from gsr_rl.report.runs import Group, Run, group, read_runs, tokens
from gsr_rl.report.sections import Section
from gsr_rl.report.text import run_facts
from gsr_rl.verl_plugin.sync_guard import CORRELATION

FILES = (
    ("report.json", "the figures above, as numbers"),
    ("report.md", "this page in short, as text"),
    ("report.html", "this page at length, with a browser of the episodes"),
    ("episodes/", "every problem with its candidates and refinements, one JSON object a line, a file a model"),
    ("metrics.jsonl", "what was logged at every step of warmup, sft and train"),
    ("config.yaml", "the configuration"),
    ("data/", "the problems: train, dev (for tuning), held_out (for this page)"),
    ("model/", "the trained model, an ordinary Hugging Face folder"),
    ("plots/", "the pictures"),
)


def main(arguments: Sequence[str]) -> None:
    """The command line of the tool.

    Raises:
        UsageError: a folder has no episodes, a file is not what it should be, or a folder is given twice.
    """
    parser = argparse.ArgumentParser(prog="gsr-rl report", description="Report on runs, from what they left.")
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a folder with episodes/NAME.jsonl, such as outputs/quickstart",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write; by default into the only run's folder")
    options = parser.parse_args(arguments)
    if len(options.runs) > 1 and options.out is None:
        raise UsageError("--out: missing; say into which folder a report on several runs goes")
    runs = read_runs(options.runs)
    if len(runs) == 1:
        _report_on_one(runs[0], options.out or runs[0].folder.root)
    else:
        _report_on_several(runs, options.out)


def _report_on_one(run: Run, out: Path) -> None:
    report = build_report(run)
    if run.log:
        _write_text(out / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in run.log))
    content = sections.of_one(report, run.evaluations, run.log)
    refined = [one for one in run.evaluations if one.is_refined]
    _write(out, run.recipe, run_facts(report), report, content, run.evaluations, refined[-1] if refined else None)


def _report_on_several(runs: Sequence[Run], out: Path) -> None:
    groups = group(runs)
    report = {
        "runs": [{"name": run.name, **build_report(run), **tokens(run.log)} for run in runs],
        "pooled": [_pooled_report(one) for one in groups if one.is_repeated],
        "differences": _to_the_first(groups),
    }
    content = sections.of_several(report, runs, groups)
    title, names = f"{runs[0].recipe}: {len(runs)} runs", [run.name for run in runs]
    _write(out, title, names, report, content, sections.stages_of(groups), None)


def _pooled_report(repeats: Group) -> dict[str, Any]:
    return {
        "name": repeats.name,
        "runs": [run.name for run in repeats.runs],
        "stages": [one.entry() for one in repeats.evaluations],
        "selfref_changes": changes(repeats.evaluations),
    }


def _to_the_first(groups: Sequence[Group]) -> list[dict[str, Any]]:
    first, *others = groups
    return [{"run": one.name, **row} for one in others for row in differences(first.evaluations, one.evaluations)]


def build_report(run: Run) -> dict[str, Any]:
    """The content of report.json: rates as fractions, null where undefined or unknown."""
    correlations = [row["data"].get(CORRELATION) for row in run.log if row["stage"] == "train"]
    known = [value for value in correlations if value is not None and math.isfinite(value)]
    return {
        "stages": [one.entry() for one in run.evaluations],
        "selfref_changes": changes(run.evaluations),
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
    content: Sequence[Section],
    shown: Sequence[Evaluation],
    sample: Evaluation | None,
) -> None:
    _write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    plots = {one.name: drawing.save_png(one, out / "plots") for section in content for one in section.pictures}
    ours = ("report.md", "report.html")
    files = [(name, what) for name, what in FILES if name in ours or (out / name).exists()]
    beside = {page: [(name, what) for name, what in files if name != page] for page in ours}
    _write_text(out / "report.md", markdown(title, facts, content, plots, sample, beside["report.md"]))
    _write_text(out / "report.html", html(title, facts, content, shown, beside["report.html"]))
    print(f"gsr-rl report: {out / 'report.html'} or {out / 'report.md'} to read, {out / 'report.json'} for the figures")


def _write_text(path: Path, text: str) -> None:
    # A model's text may hold half a surrogate pair, which UTF-8 cannot.
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
