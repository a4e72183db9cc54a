"""What the report says of figures: sentences, and the cells of tables, as plain text."""

from collections.abc import Mapping, Sequence
from typing import Any

from gsr_rl.report.figures import Evaluation, Figures, estimate
from gsr_rl.stages.logs import LogRow

# --- sentences --------------------------------------------------------------------------------------------------------


def run_facts(report: Mapping[str, Any]) -> list[str]:
    facts: list[str] = []
    if report["seed"] is not None:
        facts.append(f"seed {report['seed']}")
    if report["wall_s"] is not None:
        facts.append(f"{report['wall_s'] / 60:.0f} minutes")
    if report["peak_rss_gb"] is not None:
        facts.append(f"at most {report['peak_rss_gb']:.1f} GB of memory")
    if report["rollout_actor_corr_min"] is not None:
        facts.append(f"rollout and actor probabilities correlated by {report['rollout_actor_corr_min']:.4f} or more")
    return facts


def finding(figures: Figures) -> str:
    """What the interval of the gap says, in words that claim no more than it does."""
    low, high = figures["ci_low"], figures["ci_high"]
    if low is None or high is None:
        return "no refinements, so no gap"
    if low > 0:
        return "the refinement beats the vote over the same candidates"
    if high < 0:
        return "the refinement is worse than the vote over the same candidates"
    return "a gap has not been shown"


def verdict(one: Evaluation) -> str:
    """`finding` with its figures, and the rival of equal cost."""
    figures, text = one.mean, f"{one.name}: {finding(one.mean)}"
    if not one.is_refined:
        return f"{text}."
    text += f": a gap of {points(figures['refinement_gap'])} points, interval {interval(figures)}"
    text += ", which includes 0" if figures["ci_low"] <= 0 <= figures["ci_high"] else ""
    decided, for_it = figures["decided_n"], figures["decided_for_n"]
    text += f"; {decided} of {figures['n']} problems decide it"
    text += f", {for_it} for the refinement." if decided else "."
    more = estimate(figures, "equal_budget_gap")
    if more["value"] is not None:
        text += f" Against a vote of equally many responses, maj@{one.k + 1}: {difference(more)}."
    return text


def idle_steps(log: Sequence[LogRow]) -> list[str]:
    """That GRPO had nothing to learn from in some of its steps, if so."""
    key = "gsr/train/idle_steps"
    steps = [row["data"][key] for row in log if row["stage"] == "train" and key in row["data"]]
    if not any(steps):
        return []
    idle = f"In {sum(steps):g} of {len(steps)} steps"
    return [f"{idle} all groups had equal rewards, all right or all wrong: rewards taught nothing."]


def change(step: Figures) -> str:
    """What a stage has changed of selfref, likewise."""
    if step["change"] is None:
        return f"{step['from']} to {step['to']}: nothing to compare."
    moved = f"{points(step['change'])} points, interval {interval(step)}, over {step['n']} problems"
    shown = "" if step["ci_low"] > 0 or step["ci_high"] < 0 else ": a change has not been shown"
    return f"selfref from {step['from']} to {step['to']}: {moved}{shown}."


# --- cells ------------------------------------------------------------------------------------------------------------


def percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f} %"


def points(difference: float | None) -> str:
    return "-" if difference is None else f"{100 * difference:+.1f}"


def interval(of: Figures) -> str:
    low, high = of["ci_low"], of["ci_high"]
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"


def difference(of: Figures) -> str:
    return "-" if of["value"] is None else f"{points(of['value'])} ({interval(of)})"


def rate(of: Figures) -> str:
    if of["value"] is None or of["ci_low"] is None:
        return percent(of["value"])
    return f"{percent(of['value'])} ({100 * of['ci_low']:.1f} to {100 * of['ci_high']:.1f})"


def number(of: Figures) -> str:
    return "-" if of["value"] is None else f"{of['value']:,.0f}"
