"""The report's tables: cells of plain text, which Markdown and the page both show."""

from collections.abc import Sequence
from dataclasses import dataclass

from gsr_rl.report.figures import Evaluation, Figures, estimate
from gsr_rl.report.text import difference, interval, number, percent, points, rate
from gsr_rl.stages.logs import LogRow
from gsr_rl.verl_plugin.sync_guard import CORRELATION

CURVES = (
    *(
        f"gsr/train/{stage}/{name}"
        for name in ("reward", "response_length", "cut_off", "no_signal_groups")
        for stage in ("candidate", "refinement")
    ),
    CORRELATION,
)


@dataclass(frozen=True)
class Table:
    """Cells of text; `strong` holds the numbers of the rows that matter most."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[int] = ()


def main_table(evaluations: Sequence[Evaluation]) -> Table:
    """Each method, what they differ by, and transitions; with 95 % intervals in brackets."""
    sizes = {one.k for one in evaluations}
    k, more = (f"{min(sizes)}", f"{min(sizes) + 1}") if len(sizes) == 1 else ("K", "(K+1)")
    methods = {
        "pass@1": "pass@1: one candidate",
        "first@K": f"first@{k}: the first candidate that has an answer",
        "shortest@K": f"shortest@{k}: the shortest candidate that has one",
        "bon@K": f"bon@{k}: the best by a reward model",
        "maj@K": f"maj@{k}: the candidates' vote",
        "maj@(K+1)": f"maj@{more}: a vote with as many responses as selfref@{k}",
        "selfref@K": f"selfref@{k}: the refinement",
        "pass@K": f"pass@{k}: any of {k} candidates",
    }
    rows = [["problems", *(f"{one.mean['n']}" for one in evaluations)]]
    if len(sizes) > 1:
        rows.append(["candidates of a problem (K)", *(str(one.k) for one in evaluations)])
    for method, label in methods.items():
        found = [estimate(one.mean, one.methods()[method]) for one in evaluations]
        if any(each["value"] is not None for each in found):
            rows.append([label, *map(rate, found)])
    differences = {
        "refinement_gap": f"Refinement Gap: selfref@{k} - maj@{k}, points",
        "equal_budget_gap": f"selfref@{k} - maj@{more}, points",
    }
    transitions = {
        "all_wrong_recovery": "... of which recovered",
        "right_to_wrong": "vote right, refinement wrong",
        "wrong_to_right": "vote wrong, refinement right",
    }
    for key, label in differences.items():
        rows.append([label, *(difference(estimate(one.mean, key)) for one in evaluations)])
    rows.append(["problems that decide the gap: for and against", *map(_decided, evaluations)])
    rows.append(["sets with all candidates wrong", *(f"{one.mean['all_wrong_n']}" for one in evaluations)])
    for key, label in transitions.items():
        rows.append([label, *(rate(estimate(one.mean, key)) for one in evaluations)])
    strong = [at for at, row in enumerate(rows) if row[0].startswith("Refinement Gap")]
    return Table(["", *(one.name for one in evaluations)], rows, strong)


def _decided(one: Evaluation) -> str:
    for_it = one.mean["decided_for_n"]
    return f"{for_it} and {one.mean['decided_n'] - for_it}" if one.is_refined else "-"


def dataset_table(evaluations: Sequence[Evaluation]) -> Table:
    """Models by benchmarks, the mean over these first."""
    datasets = sorted({name for one in evaluations for name in one.by_dataset})
    rows: list[list[str]] = []
    strong: list[int] = []
    for one in evaluations:
        columns = [one.mean, *(one.by_dataset.get(name) for name in datasets)]
        strong.append(len(rows))
        gaps = ["-" if cell is None else difference(estimate(cell, "refinement_gap")) for cell in columns]
        rows.append([one.name, "gap, points", *gaps])
        for name in (f"selfref@{one.k}", f"maj@{one.k}", "pass@1"):
            rows.append(["", name, *("-" if cell is None else rate(estimate(cell, name)) for cell in columns)])
        rows.append(["", "problems", *("-" if cell is None else f"{cell['n']}" for cell in columns)])
    return Table(["model", "", "mean of benchmarks", *datasets], rows, strong)


def responses_table(evaluations: Sequence[Evaluation]) -> Table:
    """pass@k and maj@k by k: up to 10, then powers of 2 and the largest."""
    most = max(one.pool for one in evaluations)
    shown = [k for k in range(1, most + 1) if k <= 10 or k & (k - 1) == 0 or k == most]
    rows = [
        [
            one.name if method == "pass@k" else "",
            method,
            *(percent(one.mean["by_k"][str(k)][method]["value"]) if k <= one.pool else "-" for k in shown),
        ]
        for one in evaluations
        for method in ("pass@k", "maj@k")
    ]
    return Table(["model", "", *(f"k = {k}" for k in shown)], rows)


def correct_table(evaluations: Sequence[Evaluation]) -> Table:
    """By the number of correct candidates: accuracy with its interval, and how many sets there are."""
    rows = [
        [str(count), *(_of_sets(one.mean["by_correct"].get(str(count))) for one in evaluations)]
        for count in range(max(one.k for one in evaluations) + 1)
    ]
    return Table(["correct candidates", *(one.name for one in evaluations)], rows)


def _of_sets(figures: Figures | None) -> str:
    return f"{rate(figures['accuracy'])} of {figures['n']}" if figures and figures["n"] else "-"


def refiner_table(evaluations: Sequence[Evaluation]) -> Table:
    """Does the refiner copy, or solve anew? And how long are responses?"""
    swapped = max(one.mean["controls"]["swapped_n"] for one in evaluations)
    labels = {
        "agreement/majority": "refinements that give the majority's answer",
        "agreement/any_candidate": "... the answer of any candidate",
        "agreement/novel": "... an answer that no candidate has",
        "agreement/no_answer": "... no answer",
        "controls/direct_again": "accuracy of a second direct response instead",
        "controls/selfref_swapped": f"accuracy with another problem's candidates ({swapped} tried)",
        "lengths/candidates/cut_off": "candidates cut off",
        "lengths/refinements/cut_off": "refinements cut off",
    }
    rows = [[label, *(rate(_at(one.mean, path)) for one in evaluations)] for path, label in labels.items()]
    costs = {
        "lengths/candidates/tokens": "tokens of a candidate",
        "lengths/refinements/tokens": "tokens of a refinement",
    }
    rows += [[label, *(number(_at(one.mean, path)) for one in evaluations)] for path, label in costs.items()]
    for method in ("maj@K", "maj@(K+1)", "selfref@K"):
        found = [one.mean["tokens"][one.methods()[method]] for one in evaluations]
        rows.append([f"tokens that {method} spends on a problem", *map(number, found)])
    kept = [row for row in rows if any(cell != "-" for cell in row[1:])]
    return Table(["", *(one.name for one in evaluations)], kept)


def _at(figures: Figures, path: str) -> Figures:
    for part in path.split("/"):
        figures = figures[part]
    return figures


def round_table(evaluations: Sequence[Evaluation]) -> Table:
    """A recursion: each round refines the answers of the one before it."""
    rows = [
        [
            "" if at else one.name,
            number,
            *(rate(figures[name]) for name in (f"maj@{one.k}", f"selfref@{one.k}")),
            *(difference(figures[name]) for name in ("refinement_gap", "gap_to_first_vote")),
        ]
        for one in evaluations
        for at, (number, figures) in enumerate(one.mean["rounds"].items())
    ]
    return Table(["model", "round", "maj@K of its candidates", "selfref@K", "gap", "gap to the first vote"], rows)


def curve_table(log: Sequence[LogRow]) -> Table:
    rows: list[list[str]] = []
    for key in CURVES:
        logged = [(row["step"], row["data"][key]) for row in log if row["stage"] == "train" and key in row["data"]]
        if logged:
            picked = (logged[0], logged[(len(logged) - 1) // 2], logged[-1])
            rows.append([key, *("-" if value is None else f"{value:.4g} (step {step})" for step, value in picked)])
    return Table(["", "first", "middle", "last"], rows)


def run_table(runs: Sequence[Figures]) -> Table:
    """Every stage of every run, a row each."""
    k = runs[0]["stages"][0]["k"]
    rates = ("pass@1", f"pass@{k}", f"maj@{k}", f"maj@{k + 1}", f"selfref@{k}")
    head = ["run", "seed", "stage", "problems", *rates, "gap", "95 % interval", "all wrong, recovered", "trained on"]
    rows = [
        [
            run["name"],
            "-" if run["seed"] is None else str(run["seed"]),
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
    return Table(head, rows)


def _trained_on(run: Figures, stage: str) -> str:
    count = {"sft": run["sft_tokens"], "grpo": run["grpo_tokens"]}.get(stage)
    return "-" if count is None else f"{count:,}"


def difference_table(first: str, rows: Sequence[Figures]) -> Table:
    """What each run has more or less than the first, a stage a row."""
    labels = {"pass@1": "pass@1", "maj@k": "maj@K", "maj@k+1": "maj@(K+1)", "selfref@k": "selfref@K"}
    labels["rival"] = f"selfref@K of {first} - maj@(K+1) of the run"
    cells = [[row["run"], row["name"], str(row["pass@1"]["n"]), *(_change(row[key]) for key in labels)] for row in rows]
    return Table(["run", "stage", "problems", *labels.values()], cells)


def _change(of: Figures) -> str:
    return difference({**of, "value": of["change"]})
