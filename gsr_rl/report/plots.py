"""The report's plots. Each panel is small, so that many models stay legible and a phone shows them one by one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gsr_rl.metrics.all_metrics import Results
from gsr_rl.metrics.gap import MACRO
from gsr_rl.metrics.logged import CORRELATION, SFT_LOSS, STAGES, both_stages, validation_metric
from gsr_rl.report.plotting import BLUE, GREY, ORANGE, Panel, Plot
from gsr_rl.report.results import Evaluation, with_interval
from gsr_rl.stages.logs import LogRow

_LONGEST_NAME = 56  # characters that fit a panel
Logs = Mapping[str, Sequence[LogRow]]
_Series = tuple[str, str, str]  # training stage, label, name of the metric
_Line = tuple[str, Sequence[int], Sequence[float]]  # label, steps, values


def _both(name: str) -> tuple[_Series, ...]:
    return tuple(("train", stage, metric) for stage, metric in zip(STAGES, both_stages(name), strict=True))


# title, scale, series
_CURVES: tuple[tuple[str, float, tuple[_Series, ...]], ...] = (
    ("SFT: loss", 1, (("warmup", "warmup", SFT_LOSS), ("sft", "sft", SFT_LOSS))),
    ("GRPO: reward", 1, _both("reward")),
    ("GRPO: tokens of a response", 1, _both("response_length")),
    ("GRPO: share of responses cut off", 1, _both("cut_off")),
    ("GRPO: share of groups with equal rewards", 1, _both("no_signal_groups")),
    ("GRPO: correlation of rollout and actor", 1, (("train", "", CORRELATION),)),
    ("Validation: Refinement Gap, points", 100, (("train", "", validation_metric(MACRO, "refinement_gap")),)),
)


def side_by_side(evaluations: Sequence[Evaluation]) -> Plot:
    """Accuracy of each method, and the gap, of all models."""
    height = 0.9 + 0.45 * len(evaluations)
    panels = [
        Panel("Accuracy", partial(_accuracy, evaluations), height + 0.4),
        Panel("Refinement Gap with its 95 % interval", partial(_gaps, evaluations), height),
    ]
    return Plot("stages", "Accuracy of each method, and the gap with its 95 % interval", panels)


def _accuracy(evaluations: Sequence[Evaluation], axes: Axes) -> None:
    methods = (
        ("pass@1", "o", GREY, "full"),
        ("maj@K", "s", BLUE, "full"),
        ("maj@(K+1)", "s", BLUE, "none"),
        ("selfref@K", "o", ORANGE, "full"),
        ("pass@K", "D", GREY, "none"),
    )
    for method, marker, colour, fill in methods:
        rates = [evaluation.mean[evaluation.methods()[method]] for evaluation in evaluations]
        known = [(rate, at) for at, rate in enumerate(rates) if rate is not None]
        if known:
            axes.plot(*zip(*known, strict=True), marker, label=method, color=colour, fillstyle=fill, clip_on=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set(xlim=(0, 1))
    _rows(axes, [evaluation.name for evaluation in evaluations])


def _gaps(evaluations: Sequence[Evaluation], axes: Axes) -> None:
    for at, evaluation in enumerate(evaluations):
        axes.plot([0, 0], [at - 0.2, at + 0.2], color=GREY, linewidth=1)
        if evaluation.has_gap:
            low, gap, high = (100 * evaluation.mean[key] for key in ("ci_low", "refinement_gap", "ci_high"))
            axes.errorbar(gap, at, xerr=[[gap - low], [high - gap]], fmt="o", capsize=4, color=ORANGE)
    axes.set(xlabel="selfref@K - maj@K, points")
    _rows(axes, [evaluation.name for evaluation in evaluations])


def _rows(axes: Axes, names: Sequence[str]) -> None:
    """A row for each name. The name is above its markers, because a long name beside them would leave no room."""
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.6, -0.9)
    axes.spines["left"].set_visible(False)
    for at, name in enumerate(names):
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        axes.text(0, at - 0.3, short, transform=axes.get_yaxis_transform(), va="bottom", color=GREY)


def by_responses(evaluations: Sequence[Evaluation]) -> Plot:
    """pass@k and maj@k by k, with the refinement at its cost, K + 1 responses."""
    panels = [Panel(evaluation.name, partial(_by_responses, evaluation), 3.1) for evaluation in evaluations]
    return Plot("responses", "Accuracy by the number of responses that a method spends", panels)


def _by_responses(evaluation: Evaluation, axes: Axes) -> None:
    for method, line, colour in (("pass@k", ".--", GREY), ("maj@k", "s-", BLUE)):
        by_k = evaluation.mean["by_k"]
        sizes = [k for k in range(1, evaluation.pool + 1) if by_k[str(k)][method]["value"] is not None]
        if not sizes:  # without answers there is no vote
            continue
        estimates = [by_k[str(k)][method] for k in sizes]
        axes.plot(sizes, [estimate["value"] for estimate in estimates], line, label=method, color=colour, markersize=4)
        low, high = ([estimate[end] for estimate in estimates] for end in ("ci_low", "ci_high"))
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15)
    if evaluation.is_refined:
        method = f"selfref@{evaluation.k}"
        _with_errors(axes, [evaluation.k + 1], [with_interval(evaluation.mean, method)], "o", label=method)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="responses")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _with_errors(
    axes: Axes, at: Sequence[float], estimates: Sequence[Results], line: str, scale: int = 1, **style: Any
) -> None:
    values, lows, highs = ([scale * estimate[key] for estimate in estimates] for key in ("value", "ci_low", "ci_high"))
    # Because of rounding a value may lie outside its interval by a tiny amount.
    below = [max(value - low, 0.0) for value, low in zip(values, lows, strict=True)]
    above = [max(high - value, 0.0) for value, high in zip(values, highs, strict=True)]
    axes.errorbar(at, values, yerr=[below, above], fmt=line, **{"capsize": 4, "color": ORANGE, **style})


def gap_by_k(evaluations: Sequence[Evaluation]) -> Plot | None:
    """The gap by K of the models that were evaluated at several K; None if there are none.

    The evaluations of one model are called `<model>-k<K>`.
    """
    models: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.has_gap:
            models.setdefault(evaluation.name.removesuffix(f"-k{evaluation.k}"), []).append(evaluation)
    panels = [
        Panel(name, partial(_gap_by_k, sorted(sweep, key=lambda evaluation: evaluation.k)))
        for name, sweep in models.items()
        if len({evaluation.k for evaluation in sweep}) > 1
    ]
    return Plot("gap_by_k", "The gap by the number of candidates, with its 95 % interval", panels) if panels else None


def _gap_by_k(sweep: Sequence[Evaluation], axes: Axes) -> None:
    axes.axhline(0, color=GREY, linewidth=0.8)
    gaps = [with_interval(evaluation.mean, "refinement_gap") for evaluation in sweep]
    _with_errors(axes, [evaluation.k for evaluation in sweep], gaps, "o-", 100)
    axes.set(xlabel="candidates (K)", ylabel="selfref@K - maj@K, points")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def by_round(evaluations: Sequence[Evaluation]) -> Plot:
    """Vote and refinement in each round, of evaluations that have rounds."""
    panels = [Panel(evaluation.name, partial(_by_round, evaluation)) for evaluation in evaluations]
    return Plot("rounds", "Accuracy round by round", panels)


def _by_round(evaluation: Evaluation, axes: Axes) -> None:
    rounds = evaluation.mean["rounds"]
    for method, colour in ((f"maj@{evaluation.k}", BLUE), (f"selfref@{evaluation.k}", ORANGE)):
        found = {int(number): row[method] for number, row in rounds.items() if row[method]["value"] is not None}
        _with_errors(axes, list(found), list(found.values()), "o-", color=colour, label=method)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set(xlabel="round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def by_correct(evaluations: Sequence[Evaluation]) -> Plot:
    """Accuracy of the refinement by the number of correct candidates, of evaluations with refinements."""
    panels = [Panel(evaluation.name, partial(_by_correct, evaluation), 3.1) for evaluation in evaluations]
    return Plot("by_correct", "Accuracy of the refinement by the number of correct candidates", panels)


def _by_correct(evaluation: Evaluation, axes: Axes) -> None:
    known = {int(count): row["accuracy"] for count, row in evaluation.mean["by_correct"].items() if row["n"]}
    heights = [accuracy["value"] for accuracy in known.values()]
    axes.bar(list(known), heights, color=ORANGE, alpha=0.8, label="refinement")
    _with_errors(axes, list(known), list(known.values()), "none", color=GREY)
    axes.plot([0, evaluation.k], [0, 1], ":", color=GREY, label="random candidate", zorder=3)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xticks(range(evaluation.k + 1))
    axes.set(xlabel=f"correct candidates of {evaluation.k}", ylim=(0, 1.05))


def training(logs: Logs) -> Plot | None:
    """Training curves of all runs; None if nothing was logged. `logs`: the log of each run, by the run's name."""
    panels = [
        Panel(title, partial(_curves, lines))
        for title, scale, series in _CURVES
        if (lines := [line for run in logs for line in _lines(run, logs, scale, series)])
    ]
    return Plot("training", "Training curves", panels) if panels else None


def _lines(run: str, logs: Logs, scale: float, series: Sequence[_Series]) -> Iterator[_Line]:
    for stage, label, key in series:
        rows = [row for row in logs[run] if row["stage"] == stage and row["data"].get(key) is not None]
        if rows:
            named = ": ".join(part for part in (run if len(logs) > 1 else "", label) if part)
            yield named, [row["step"] for row in rows], [scale * row["data"][key] for row in rows]


def _curves(lines: Sequence[_Line], axes: Axes) -> None:
    for label, steps, values in lines:
        axes.plot(steps, values, ".-", label=label)
    axes.set(xlabel="step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
