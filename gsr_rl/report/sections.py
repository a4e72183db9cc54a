"""What stands where in the report: the sections that Markdown and the page both have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gsr_rl.report import pictures, tables, text
from gsr_rl.report.drawing import Picture
from gsr_rl.report.figures import Evaluation
from gsr_rl.report.runs import Group, Run
from gsr_rl.stages.logs import LogRow


@dataclass(frozen=True)
class Section:
    """A heading, and below it in this order what there is of an introduction, a table, bullet points and pictures."""

    title: str
    intro: str = ""
    table: tables.Table | None = None
    points: Sequence[str] = ()
    pictures: Sequence[Picture] = ()


def of_one(report: Mapping[str, Any], evaluations: Sequence[Evaluation], log: Sequence[LogRow]) -> list[Section]:
    """The sections on one run or evaluation; `report` is its report.json."""
    asked = {frozenset((row.dataset, row.id) for row in one.episodes) for one in evaluations}
    note = "In brackets 95 % intervals over problems." if len(asked) == 1 else _OTHER_PROBLEMS
    lines = [*map(text.verdict, evaluations), *map(text.change, report["selfref_changes"])]
    drawn = [pictures.side_by_side(evaluations)]
    sections = [Section("Side by side", note, tables.main_table(evaluations), lines, drawn), *_on_models(evaluations)]
    if curves := pictures.training({"": log}):
        has_steps = any(row["stage"] == "train" for row in log)
        note, table = (
            ("Single steps of GRPO, and as noisy as such:", tables.curve_table(log)) if has_steps else ("", None)
        )
        sections.append(Section("Training", note, table, text.idle_steps(log), [curves]))
    return sections


_OTHER_PROBLEMS = "They were evaluated on different problems: do not compare them."


def of_several(report: Mapping[str, Any], runs: Sequence[Run], groups: Sequence[Group]) -> list[Section]:
    """The sections on several runs, and on what are repeats of each other among them; `report` is their report.json."""
    sections: list[Section] = []
    for one, pooled in zip((one for one in groups if one.is_repeated), report["pooled"], strict=True):
        note = (
            f"{', '.join(pooled['runs'])} differ in their seeds alone. Each problem counts once, with the mean of its "
            "runs; the intervals are over problems, and the spread over runs is in the table below."
        )
        lines = [*map(text.verdict, one.evaluations), *map(text.change, pooled["selfref_changes"])]
        sections.append(Section(f"{one.name} together", note, tables.main_table(one.evaluations), lines))
    note = "Rates in per cent, gaps in points; the last column counts the tokens that a stage's training processed."
    each = [one.in_run(run.name) for run in runs for one in run.evaluations]
    drawn = [pictures.side_by_side(each)]
    sections.append(Section("Side by side", note, tables.run_table(report["runs"]), pictures=drawn))
    if rows := report["differences"]:
        sections.append(_to_the_first(groups[0].name, rows))
    sections += _on_models(stages_of(groups))
    if curves := pictures.training({run.name: run.log for run in runs}):
        sections.append(Section("Training", pictures=[curves]))
    return sections


def stages_of(groups: Sequence[Group]) -> list[Evaluation]:
    """The stages of all groups, under names that tell whose they are."""
    if len(groups) == 1:
        return list(groups[0].evaluations)
    return [one.in_run(group.name) for group in groups for one in group.evaluations]


def _to_the_first(first: str, rows: Sequence[Mapping[str, Any]]) -> Section:
    note = (
        "In points, paired over the problems that both were asked, with 95 % intervals over these: what another seed "
        f"would have done is not in them. The last column has the refinements of {first} against a vote of as many "
        "responses of the other run's model."
    )
    return Section(f"Differences to {first}", note, tables.difference_table(first, rows))


def _on_models(evaluations: Sequence[Evaluation]) -> list[Section]:
    sections: list[Section] = []
    if any(len(one.by_dataset) > 1 for one in evaluations):
        note = "In brackets 95 % intervals. The mean weighs each benchmark the same."
        sections.append(Section("By benchmark", note, tables.dataset_table(evaluations)))
    if sweep := pictures.gap_by_k(evaluations):
        sections.append(Section("The gap by the number of candidates", pictures=[sweep]))
    if max(one.pool for one in evaluations) > 2:
        sections.append(_more_responses(evaluations))
    if repeated := [one for one in evaluations if "rounds" in one.mean]:
        note = "Each round refines the refinements of the one before it; all else on this page is of the first."
        drawn = [pictures.by_round(repeated)]
        sections.append(Section("Round by round", note, tables.round_table(repeated), pictures=drawn))
    if refined := [one for one in evaluations if one.is_refined]:
        sections += _on_refiners(refined)
    return sections


def _more_responses(evaluations: Sequence[Evaluation]) -> Section:
    return Section(
        "By the number of responses",
        "What more direct responses bring without any refinement: pass@k, whether any is correct, and maj@k, their "
        "vote, over all subsets of the candidates and the extra ones that there are. A refinement of K candidates "
        "stands at K + 1 responses, which it costs.",
        tables.responses_table(evaluations),
        pictures=[pictures.by_responses(evaluations)],
    )


def _on_refiners(refined: Sequence[Evaluation]) -> list[Section]:
    return [
        Section(
            "By the number of correct candidates",
            "Accuracy of the refinement, and of how many sets. A refiner that chooses well is above the dotted line; "
            "one that creates is above 0 where no candidate is correct.",
            tables.correct_table(refined),
            pictures=[pictures.by_correct(refined)],
        ),
        Section(
            "What the refiner does",
            "A refiner may just copy the vote, or solve the problem anew; and each response costs tokens.",
            tables.refiner_table(refined),
        ),
    ]
