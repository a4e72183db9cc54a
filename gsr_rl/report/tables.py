"""The report's tables, with cells of plain text for both Markdown and the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from gsr_rl.episode import GRPO, SFT
from gsr_rl.metrics.all_metrics import Results
from gsr_rl.metrics.logged import CORRELATION, both_stages
from gsr_rl.report.results import Evaluation, with_interval
from gsr_rl.report.text import difference, interval, number, percent, points, rate
from gsr_rl.stages.logs import LogRow

CURVES = (
    *both_stages("reward"),
    *both_stages("response_length"),
    *both_stages("cut_off"),
    *both_stages("no_signal_groups"),
    CORRELATION,
)


@dataclass(frozen=True)
class Table:
    """Cells of text. `strong` holds the indices of the rows that matter most."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[int] = ()


def main_table(evaluations: Sequence[Evaluation]) -> Table:
    """Each method, their differences, and the transitions, with 95 % intervals in brackets."""
    sizes = {evaluation.k for evaluation in evaluations}
    k, more = (f"{min(sizes)}", f"{min(sizes) + 1}") if len(sizes) == 1 else ("K", "(K+1)")
    methods = {
        "pass@1": "pass@1: one candidate",
        "first@K": f"first@{k}: the first candidate that has an answer",
        "shortest@K": f"shortest@{k}: the shortest candidate that has an answer",
        "bon@K": f"bon@{k}: the best candidate by a reward model",
        "maj@K": f"maj@{k}: the candidates' vote",
        "maj@(K+1)": f"maj@{more}: a vote with as many responses as selfref@{k}",
        "selfref@K": f"selfref@{k}: the refinement",
        "pass@K": f"pass@{k}: any of {k} candidates",
    }
    rows = [["problems", *(str(evaluation.mean["n"]) for evaluation in evaluations)]]
    if len(sizes) > 1:
        rows.append(["candidates of a problem (K)", *(str(evaluation.k) for evaluation in evaluations)])
    for method, label in methods.items():
        found = [with_interval(evaluation.mean, evaluation.methods()[method]) for evaluation in evaluations]
        if any(estimate["value"] is not None for estimate in found):
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
        rows.append([label, *(difference(with_interval(evaluation.mean, key)) for evaluation in evaluations)])
    rows.append(["problems that decide the gap: for and against", *map(_decided, evaluations)])
    all_wrong = [str(evaluation.mean["all_wrong_n"]) for evaluation in evaluations]
    rows.append(["sets with all candidates wrong", *all_wrong])
    for key, label in transitions.items():
        rows.append([label, *(rate(with_interval(evaluation.mean, key)) for evaluation in evaluations)])
    strong = [index for index, row in enumerate(rows) if row[0].startswith("Refinement Gap")]
    return Table(["", *(evaluation.name for evaluation in evaluations)], rows, strong)


def _decided(evaluation: Evaluation) -> str:
    for_it = evaluation.mean["decided_for_n"]
    return f"{for_it} and {evaluation.mean['decided_n'] - for_it}" if evaluation.has_gap else "-"


def dataset_table(evaluations: Sequence[Evaluation]) -> Table:
    """Models by benchmarks, with the mean over the benchmarks first."""
    datasets = sorted({name for evaluation in evaluations for name in evaluation.by_dataset})
    rows: list[list[str]] = []
    strong: list[int] = []
    for evaluation in evaluations:
        columns = [evaluation.mean, *(evaluation.by_dataset.get(name) for name in datasets)]
        strong.append(len(rows))
        gaps = ["-" if cell is None else difference(with_interval(cell, "refinement_gap")) for cell in columns]
        rows.append([evaluation.name, "gap, points", *gaps])
        for method in (f"selfref@{evaluation.k}", f"maj@{evaluation.k}", "pass@1"):
            rows.append(["", method, *("-" if cell is None else rate(with_interval(cell, method)) for cell in columns)])
        rows.append(["", "problems", *("-" if cell is None else f"{cell['n']}" for cell in columns)])
    return Table(["model", "", "mean of benchmarks", *datasets], rows, strong)


def responses_table(evaluations: Sequence[Evaluation]) -> Table:
    """pass@k and maj@k by k: every k up to 10, then powers of 2 and the largest k."""
    most = max(evaluation.pool for evaluation in evaluations)
    shown = [k for k in range(1, most + 1) if k <= 10 or k & (k - 1) == 0 or k == most]
    rows: list[list[str]] = []
    for evaluation in evaluations:
        by_k = evaluation.mean["by_k"]
        for method in ("pass@k", "maj@k"):
            cells = [percent(by_k[str(k)][method]["value"]) if k <= evaluation.pool else "-" for k in shown]
            rows.append([evaluation.name if method == "pass@k" else "", method, *cells])
    return Table(["model", "", *(f"k = {k}" for k in shown)], rows)


def correct_table(evaluations: Sequence[Evaluation]) -> Table:
    """Accuracy with its interval, and number of sets, by the number of correct candidates."""
    rows = [
        [str(count), *(_of_sets(evaluation.mean["by_correct"].get(str(count))) for evaluation in evaluations)]
        for count in range(max(evaluation.k for evaluation in evaluations) + 1)
    ]
    return Table(["correct candidates", *(evaluation.name for evaluation in evaluations)], rows)


def _of_sets(results: Results | None) -> str:
    return f"{rate(results['accuracy'])} of {results['n']}" if results and results["n"] else "-"


def refiner_table(evaluations: Sequence[Evaluation]) -> Table:
    """Whether the refiner copies the vote or solves the problem again, and how long responses are."""
    swapped = max(evaluation.mean["controls"]["swapped_n"] for evaluation in evaluations)
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
    rows = [
        [label, *(rate(_at(evaluation.mean, path)) for evaluation in evaluations)] for path, label in labels.items()
    ]
    costs = {
        "lengths/candidates/tokens": "tokens of a candidate",
        "lengths/refinements/tokens": "tokens of a refinement",
    }
    for path, label in costs.items():
        rows.append([label, *(number(_at(evaluation.mean, path)) for evaluation in evaluations)])
    for method in ("maj@K", "maj@(K+1)", "selfref@K"):
        spent = [evaluation.mean["tokens"][evaluation.methods()[method]] for evaluation in evaluations]
        rows.append([f"tokens that {method} spends on a problem", *map(number, spent)])
    known = [row for row in rows if any(cell != "-" for cell in row[1:])]
    return Table(["", *(evaluation.name for evaluation in evaluations)], known)


def _at(results: Results, path: str) -> Results:
    for part in path.split("/"):
        results = results[part]
    return results


def round_table(evaluations: Sequence[Evaluation]) -> Table:
    """The rounds of a recursion, in which each round refines the answers of the round before it."""
    rows = [
        [
            "" if index else evaluation.name,
            number,
            *(rate(results[name]) for name in (f"maj@{evaluation.k}", f"selfref@{evaluation.k}")),
            *(difference(results[name]) for name in ("refinement_gap", "gap_to_first_vote")),
        ]
        for evaluation in evaluations
        for index, (number, results) in enumerate(evaluation.mean["rounds"].items())
    ]
    return Table(["model", "round", "maj@K of its candidates", "selfref@K", "gap", "gap to the first vote"], rows)


def curve_table(log: Sequence[LogRow]) -> Table:
    """The first, the middle and the last logged value of each of CURVES."""
    rows: list[list[str]] = []
    for key in CURVES:
        logged = [(row["step"], row["data"][key]) for row in log if row["stage"] == "train" and key in row["data"]]
        if logged:
            picked = (logged[0], logged[(len(logged) - 1) // 2], logged[-1])
            rows.append([key, *("-" if value is None else f"{value:.4g} (step {step})" for step, value in picked)])
    return Table(["", "first", "middle", "last"], rows)


def run_table(runs: Sequence[Results]) -> Table:
    """A row for every stage of every run; `runs` are entries of "runs" in report.json."""
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


def _trained_on(run: Results, stage: str) -> str:
    count = {SFT: run["sft_tokens"], GRPO: run["grpo_tokens"]}.get(stage)
    return "-" if count is None else f"{count:,}"


def difference_table(first: str, rows: Sequence[Results]) -> Table:
    """The differences of each run to the first run, with a row for each stage."""
    labels = {"pass@1": "pass@1", "maj@k": "maj@K", "maj@k+1": "maj@(K+1)", "selfref@k": "selfref@K"}
    labels["rival"] = f"selfref@K of {first} - maj@(K+1) of the run"
    cells = [[row["run"], row["name"], str(row["pass@1"]["n"]), *(_change(row[key]) for key in labels)] for row in rows]
    return Table(["run", "stage", "problems", *labels.values()], cells)


def _change(change: Results) -> str:
    return difference({**change, "value": change["change"]})
