"""The sections of the report, in their order, for both Markdown and the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gsr_rl.report import plots, tables, text
from gsr_rl.report.plotting import Plot
from gsr_rl.report.results import Evaluation
from gsr_rl.report.runs import Group, Run
from gsr_rl.stages.logs import LogRow

_OTHER_PROBLEMS = "The models were evaluated on different problems: do not compare them."


@dataclass(frozen=True)
class Section:
    """A heading with, in this order, an introduction, a table, bullet points and plots; each of them may be missing."""

    title: str
    intro: str = ""
    table: tables.Table | None = None
    points: Sequence[str] = ()
    plots: Sequence[Plot] = ()


def run_sections(report: Mapping[str, Any], evaluations: Sequence[Evaluation], log: Sequence[LogRow]) -> list[Section]:
    """The sections on one run or evaluation; `report` is its report.json."""
    problems = {frozenset((row.dataset, row.id) for row in evaluation.episodes) for evaluation in evaluations}
    note = "95 % intervals over problems are in brackets." if len(problems) == 1 else _OTHER_PROBLEMS
    lines = [*map(text.verdict, evaluations), *map(text.change, report["selfref_changes"])]
    drawn = [plots.side_by_side(evaluations)]
    sections = [Section("Side by side", note, tables.main_table(evaluations), lines, drawn)]
    sections += _model_sections(evaluations)
    if curves := plots.training({"": log}):
        note, table = "", None
        if any(row["stage"] == "train" for row in log):
            note, table = "Single steps of GRPO, which are noisy:", tables.curve_table(log)
        sections.append(Section("Training", note, table, text.idle_steps(log), [curves]))
    return sections


def comparison_sections(report: Mapping[str, Any], runs: Sequence[Run], groups: Sequence[Group]) -> list[Section]:
    """The sections on several runs, and on the groups of runs that repeat each other; `report` is their report.json."""
    sections: list[Section] = []
    for group, pooled in zip((group for group in groups if group.is_repeated), report["pooled"], strict=True):
        note = (
            f"{', '.join(pooled['runs'])} differ only in their seeds. Each problem counts once, with the mean of its "
            "runs; the intervals are over problems, and the spread over runs is in the table below."
        )
        lines = [*map(text.verdict, group.evaluations), *map(text.change, pooled["selfref_changes"])]
        sections.append(Section(f"{group.name} together", note, tables.main_table(group.evaluations), lines))
    note = "Rates in per cent, gaps in points; the last column counts the tokens that a stage's training processed."
    all_stages = [evaluation.in_run(run.name) for run in runs for evaluation in run.evaluations]
    drawn = [plots.side_by_side(all_stages)]
    sections.append(Section("Side by side", note, tables.run_table(report["runs"]), plots=drawn))
    if rows := report["differences"]:
        sections.append(_difference_section(groups[0].name, rows))
    sections += _model_sections(stages_of(groups))
    if curves := plots.training({run.name: run.log for run in runs}):
        sections.append(Section("Training", plots=[curves]))
    return sections


def stages_of(groups: Sequence[Group]) -> list[Evaluation]:
    """The stages of all groups. With several groups, the name of each stage includes that of its group."""
    if len(groups) == 1:
        return list(groups[0].evaluations)
    return [evaluation.in_run(group.name) for group in groups for evaluation in group.evaluations]


def _difference_section(first: str, rows: Sequence[Mapping[str, Any]]) -> Section:
    note = (
        "In points, paired over the problems that both runs have, with 95 % intervals over these problems. The "
        "intervals do not cover training with another seed. The last column compares the refinements of "
        f"{first} with a vote of equally many responses of the other run's model."
    )
    return Section(f"Differences to {first}", note, tables.difference_table(first, rows))


def _model_sections(evaluations: Sequence[Evaluation]) -> list[Section]:
    sections: list[Section] = []
    if any(len(evaluation.by_dataset) > 1 for evaluation in evaluations):
        note = "95 % intervals are in brackets. In the mean each benchmark has the same weight."
        sections.append(Section("By benchmark", note, tables.dataset_table(evaluations)))
    if sweep := plots.gap_by_k(evaluations):
        sections.append(Section("The gap by the number of candidates", plots=[sweep]))
    if max(evaluation.pool for evaluation in evaluations) > 2:
        sections.append(_responses_section(evaluations))
    if with_rounds := [evaluation for evaluation in evaluations if "rounds" in evaluation.mean]:
        note = (
            "Each round refines the refinements of the round before it. Everything else on this page is of the first "
            "round."
        )
        drawn = [plots.by_round(with_rounds)]
        sections.append(Section("Round by round", note, tables.round_table(with_rounds), plots=drawn))
    if refined := [evaluation for evaluation in evaluations if evaluation.is_refined]:
        sections += _refiner_sections(refined)
    return sections


def _responses_section(evaluations: Sequence[Evaluation]) -> Section:
    return Section(
        "By the number of responses",
        "What more direct responses achieve without any refinement: pass@k (is any of them correct?) and maj@k (their "
        "vote), over all subsets of the candidates and extra candidates. A refinement of K candidates stands at K + 1 "
        "responses, which is its cost.",
        tables.responses_table(evaluations),
        plots=[plots.by_responses(evaluations)],
    )


def _refiner_sections(refined: Sequence[Evaluation]) -> list[Section]:
    return [
        Section(
            "By the number of correct candidates",
            "Accuracy of the refinement, and number of sets. A refiner that chooses well is above the dotted line. A "
            "refiner that finds new answers is above 0 where no candidate is correct.",
            tables.correct_table(refined),
            plots=[plots.by_correct(refined)],
        ),
        Section(
            "What the refiner does",
            "A refiner may only copy the vote, or solve the problem again. Each response costs tokens.",
            tables.refiner_table(refined),
        ),
    ]
