"""The pictures of the report, as PNG files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gsr_rl.episode import Episode
from gsr_rl.files import replacing
from gsr_rl.metrics import accuracy_by_correct
from gsr_rl.stages.report_page import Figures, LogRow


def draw(
    folder: Path, stages: Sequence[Figures], episodes: Mapping[str, Sequence[Episode]], log: Sequence[LogRow]
) -> list[tuple[str, str]]:
    """Draw what there is data for into `folder`; returns caption and path, relative to the page, of each picture."""
    pictures = {
        "stages": ("Stages side by side, and the gap with its 95 % interval", lambda fig: _stages(fig, stages)),
        "by_correct": ("Refinement by number of correct candidates", lambda fig: _by_correct(fig, episodes)),
    }
    if log:
        pictures["training"] = ("Training curves", lambda fig: _training(fig, log))
    for name, (_, paint) in pictures.items():
        _save(folder / f"{name}.png", paint)
    return [(caption, f"{folder.name}/{name}.png") for name, (caption, _) in pictures.items()]


def draw_runs(folder: Path, runs: Sequence[Figures]) -> str:
    """Draw the gap of every stage of every run; returns the picture's path, relative to the page."""
    rows = [(run["name"], stage) for run in runs for stage in run["stages"] if stage["refinement_gap"] is not None]
    _save(folder / "gaps.png", lambda figure: _gaps(figure, rows))
    return f"{folder.name}/gaps.png"


def _gaps(figure: Figure, rows: Sequence[tuple[str, Figures]]) -> None:
    axes = figure.subplots()
    axes.axvline(0, color="grey", linewidth=0.8)
    for at, (_, stage) in enumerate(rows):
        _gap(axes, at, stage, across="x")
    axes.set_yticks(range(len(rows)), [f"{name}: {stage['name']}" for name, stage in rows])
    axes.invert_yaxis()
    axes.set(xlabel="Refinement Gap, points")


def _gap(axes: Axes, at: float, stage: Figures, across: str) -> None:
    low, gap, high = (100 * stage[key] for key in ("ci_low", "refinement_gap", "ci_high"))
    error = [[gap - low], [high - gap]]
    if across == "x":
        axes.errorbar(gap, at, xerr=error, fmt="o", capsize=4)
    else:
        axes.errorbar(at, gap, yerr=error, fmt="o", capsize=4)


def _save(path: Path, paint: Callable[[Figure], None]) -> None:
    figure = Figure(figsize=(10, 4), layout="constrained")
    paint(figure)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _stages(figure: Figure, stages: Sequence[Figures]) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 1))
    k = stages[0]["k"]
    keys = ["pass@1", f"maj@{k}", f"maj@{k + 1}", f"selfref@{k}", f"pass@{k}"]
    width = 0.8 / len(stages)
    for number, stage in enumerate(stages):
        bars = [(at, stage[key]) for at, key in enumerate(keys) if stage[key] is not None]
        left.bar([at + number * width for at, _ in bars], [rate for _, rate in bars], width, label=stage["name"])
    left.set_xticks([at + 0.4 - width / 2 for at in range(len(keys))], keys)
    left.set(ylabel="accuracy", ylim=(0, 1))
    left.legend(frameon=False)
    right.axhline(0, color="grey", linewidth=0.8)
    for number, stage in enumerate(stages):
        if stage["refinement_gap"] is not None:
            _gap(right, number, stage, across="y")
    right.set_xticks(range(len(stages)), [stage["name"] for stage in stages])
    right.set(ylabel=f"Refinement Gap: selfref@{k} - maj@{k}, points", xlim=(-0.5, len(stages) - 0.5))


def _by_correct(figure: Figure, episodes: Mapping[str, Sequence[Episode]]) -> None:
    axes = figure.subplots()
    k = 1
    for name, rows in episodes.items():
        points = [row for row in accuracy_by_correct(rows) if row["accuracy"] is not None]
        k = max(k, len(rows[0].candidates))
        axes.plot([row["correct"] or 0 for row in points], [row["accuracy"] or 0 for row in points], "o-", label=name)
    axes.plot([0, k], [0, 1], ":", color="grey", label="a candidate drawn at random")
    axes.set_xticks(range(k + 1))
    axes.set(xlabel="correct candidates", ylabel="accuracy of the refinement", ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def _training(figure: Figure, log: Sequence[LogRow]) -> None:
    left, middle, right = figure.subplots(1, 3)
    for stage in ("warmup", "sft"):
        _curve(left, [row for row in log if row["stage"] == stage], "train/loss", stage)
    train = [row for row in log if row["stage"] == "train"]
    for axes, name in ((middle, "reward"), (right, "response_length")):
        for stage in ("candidate", "refinement"):
            _curve(axes, train, f"gsr/train/{stage}/{name}", stage)
    for axes, label in ((left, "SFT: loss"), (middle, "GRPO: reward"), (right, "GRPO: tokens in a response")):
        axes.set(xlabel="step", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if axes.lines:
            axes.legend(frameon=False)


def _curve(axes: Axes, rows: Sequence[LogRow], key: str, label: str) -> None:
    points = [(row["step"], row["data"][key]) for row in rows if row["data"].get(key) is not None]
    if points:
        axes.plot([step for step, _ in points], [value for _, value in points], ".-", label=label)
