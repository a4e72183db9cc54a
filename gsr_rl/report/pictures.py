"""What the report draws: a small panel each, so that many models stay legible, and a phone shows them one by one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gsr_rl.report.drawing import BLUE, GREY, ORANGE, Panel, Picture
from gsr_rl.report.figures import Evaluation, Figures, estimate
from gsr_rl.stages.logs import LogRow
from gsr_rl.verl_plugin.sync_guard import CORRELATION

_LONGEST_NAME = 56  # characters that fit a panel
Logs = Mapping[str, Sequence[LogRow]]
_Series = tuple[str, str, str]  # stage of training, label, name in its log
_Line = tuple[str, Sequence[int], Sequence[float]]  # label, steps, values


def _both(name: str) -> tuple[_Series, ...]:
    return tuple(("train", stage, f"gsr/train/{stage}/{name}") for stage in ("candidate", "refinement"))


# title, scale, series
_CURVES: tuple[tuple[str, float, tuple[_Series, ...]], ...] = (
    ("SFT: loss", 1, (("warmup", "warmup", "train/loss"), ("sft", "sft", "train/loss"))),
    ("GRPO: reward", 1, _both("reward")),
    ("GRPO: tokens of a response", 1, _both("response_length")),
    ("GRPO: share of responses cut off", 1, _both("cut_off")),
    ("GRPO: share of groups with equal rewards", 1, _both("no_signal_groups")),
    ("GRPO: correlation of rollout and actor", 1, (("train", "", CORRELATION),)),
    ("Validation: Refinement Gap, points", 100, (("train", "", "gsr/val/macro/refinement_gap"),)),
)


def side_by_side(evaluations: Sequence[Evaluation]) -> Picture:
    height = 0.9 + 0.45 * len(evaluations)
    panels = [
        Panel("Accuracy", partial(_accuracy, evaluations), height + 0.4),
        Panel("Refinement Gap with its 95 % interval", partial(_gaps, evaluations), height),
    ]
    return Picture("stages", "Accuracy of each method, and the gap with its 95 % interval", panels)


def _accuracy(evaluations: Sequence[Evaluation], axes: Axes) -> None:
    methods = (
        ("pass@1", "o", GREY, "full"),
        ("maj@K", "s", BLUE, "full"),
        ("maj@(K+1)", "s", BLUE, "none"),
        ("selfref@K", "o", ORANGE, "full"),
        ("pass@K", "D", GREY, "none"),
    )
    for method, marker, colour, fill in methods:
        rates = [one.mean[one.methods()[method]] for one in evaluations]
        known = [(rate, at) for at, rate in enumerate(rates) if rate is not None]
        if known:
            axes.plot(*zip(*known, strict=True), marker, label=method, color=colour, fillstyle=fill, clip_on=False)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set(xlim=(0, 1))
    _rows(axes, [one.name for one in evaluations])


def _gaps(evaluations: Sequence[Evaluation], axes: Axes) -> None:
    for at, one in enumerate(evaluations):
        axes.plot([0, 0], [at - 0.2, at + 0.2], color=GREY, linewidth=1)
        if one.is_refined:
            low, gap, high = (100 * one.mean[key] for key in ("ci_low", "refinement_gap", "ci_high"))
            axes.errorbar(gap, at, xerr=[[gap - low], [high - gap]], fmt="o", capsize=4, color=ORANGE)
    axes.set(xlabel="selfref@K - maj@K, points")
    _rows(axes, [one.name for one in evaluations])


def _rows(axes: Axes, names: Sequence[str]) -> None:
    """A row a name, which stands above its markers: beside them a long one would leave no room."""
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.6, -0.9)
    axes.spines["left"].set_visible(False)
    for at, name in enumerate(names):
        short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        axes.text(0, at - 0.3, short, transform=axes.get_yaxis_transform(), va="bottom", color=GREY)


def by_responses(evaluations: Sequence[Evaluation]) -> Picture:
    panels = [Panel(one.name, partial(_by_responses, one), 3.1) for one in evaluations]
    return Picture("responses", "Accuracy by the number of responses that a method spends", panels)


def _by_responses(one: Evaluation, axes: Axes) -> None:
    k = list(range(1, one.pool + 1))
    for method, line, colour in (("pass@k", ".--", GREY), ("maj@k", "s-", BLUE)):
        found = [one.mean["by_k"][str(each)][method] for each in k]
        axes.plot(k, [each["value"] for each in found], line, label=method, color=colour, markersize=4)
        low, high = ([each[end] for each in found] for end in ("ci_low", "ci_high"))
        axes.fill_between(k, low, high, color=colour, alpha=0.15)
    if one.is_refined:
        method = f"selfref@{one.k}"
        _with_errors(axes, [one.k + 1], [estimate(one.mean, method)], "o", label=method)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="responses")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _with_errors(
    axes: Axes, at: Sequence[float], found: Sequence[Figures], line: str, scale: int = 1, **style: Any
) -> None:
    value, low, high = ([scale * one[key] for one in found] for key in ("value", "ci_low", "ci_high"))
    # a value that was rounded may be outside by a hair
    below = [max(v - a, 0.0) for v, a in zip(value, low, strict=True)]
    above = [max(b - v, 0.0) for v, b in zip(value, high, strict=True)]
    axes.errorbar(at, value, yerr=[below, above], fmt=line, **{"capsize": 4, "color": ORANGE, **style})


def gap_by_k(evaluations: Sequence[Evaluation]) -> Picture | None:
    """The gap of models that were evaluated at several K, or None if none was.

    The evaluations of one model are called `<model>-k<K>`.
    """
    models: dict[str, list[Evaluation]] = {}
    for one in evaluations:
        if one.is_refined:
            models.setdefault(one.name.removesuffix(f"-k{one.k}"), []).append(one)
    panels = [
        Panel(name, partial(_gap_by_k, sorted(rows, key=lambda one: one.k)))
        for name, rows in models.items()
        if len({one.k for one in rows}) > 1
    ]
    return (
        Picture("gap_by_k", "The gap by the number of candidates, with its 95 % interval", panels) if panels else None
    )


def _gap_by_k(rows: Sequence[Evaluation], axes: Axes) -> None:
    axes.axhline(0, color=GREY, linewidth=0.8)
    _with_errors(axes, [one.k for one in rows], [estimate(one.mean, "refinement_gap") for one in rows], "o-", 100)
    axes.set(xlabel="candidates (K)", ylabel="selfref@K - maj@K, points")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def by_round(evaluations: Sequence[Evaluation]) -> Picture:
    """Of evaluations that have rounds."""
    panels = [Panel(one.name, partial(_by_round, one)) for one in evaluations]
    return Picture("rounds", "Accuracy round by round", panels)


def _by_round(one: Evaluation, axes: Axes) -> None:
    rounds = one.mean["rounds"]
    for method, colour in ((f"maj@{one.k}", BLUE), (f"selfref@{one.k}", ORANGE)):
        found = {int(number): row[method] for number, row in rounds.items() if row[method]["value"] is not None}
        _with_errors(axes, list(found), list(found.values()), "o-", color=colour, label=method)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set(xlabel="round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def by_correct(evaluations: Sequence[Evaluation]) -> Picture:
    """Of evaluations with refinements."""
    panels = [Panel(one.name, partial(_by_correct, one), 3.1) for one in evaluations]
    return Picture("by_correct", "Accuracy of the refinement by the number of correct candidates", panels)


def _by_correct(one: Evaluation, axes: Axes) -> None:
    known = {int(count): row["accuracy"] for count, row in one.mean["by_correct"].items() if row["n"]}
    axes.bar(list(known), [row["value"] for row in known.values()], color=ORANGE, alpha=0.8, label="refinement")
    _with_errors(axes, list(known), list(known.values()), "none", color=GREY)
    axes.plot([0, one.k], [0, 1], ":", color=GREY, label="random candidate", zorder=3)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_xticks(range(one.k + 1))
    axes.set(xlabel=f"correct candidates of {one.k}", ylim=(0, 1.05))


def training(logs: Logs) -> Picture | None:
    """Curves of all runs, or None without any. `logs`: what each run has logged, by its name."""
    panels = [
        Panel(title, partial(_curves, lines))
        for title, scale, series in _CURVES
        if (lines := [line for run in logs for line in _lines(run, logs, scale, series)])
    ]
    return Picture("training", "Training curves", panels) if panels else None


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
