"""The report's sentences about results, and the cells of its tables, as plain text."""

from collections.abc import Mapping, Sequence
from typing import Any

from gsr_rl.metrics.all_metrics import Results
from gsr_rl.metrics.logged import IDLE_STEPS
from gsr_rl.report.results import Evaluation, with_interval
from gsr_rl.stages.logs import LogRow

# --- sentences --------------------------------------------------------------------------------------------------------


def run_facts(report: Mapping[str, Any]) -> list[str]:
    """Facts about a run: seed, duration, memory, and the correlation that the sync guard watches."""
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


def finding(results: Results) -> str:
    """What the interval of the gap shows, and no more than that."""
    low, high = results["ci_low"], results["ci_high"]
    if "no_vote" in results:
        return results["no_vote"]
    if low is None or high is None:
        return "no refinements, so no gap"
    if low > 0:
        return "the refinement beats the vote over the same candidates"
    if high < 0:
        return "the refinement is worse than the vote over the same candidates"
    return "a gap has not been shown"


def verdict(evaluation: Evaluation) -> str:
    """`finding` with its numbers, and the comparison with a vote of equal cost."""
    results, text = evaluation.mean, f"{evaluation.name}: {finding(evaluation.mean)}"
    if not evaluation.has_gap:
        return f"{text}."
    text += f": a gap of {points(results['refinement_gap'])} points, interval {interval(results)}"
    text += ", which includes 0" if results["ci_low"] <= 0 <= results["ci_high"] else ""
    decided, for_it = results["decided_n"], results["decided_for_n"]
    text += f"; {decided} of {results['n']} problems decide it"
    text += f", {for_it} for the refinement." if decided else "."
    equal_budget = with_interval(results, "equal_budget_gap")
    if equal_budget["value"] is not None:
        text += f" Against a vote of equally many responses, maj@{evaluation.k + 1}: {difference(equal_budget)}."
    return text


def idle_steps(log: Sequence[LogRow]) -> list[str]:
    """A note if some GRPO steps had no signal."""
    steps = [row["data"][IDLE_STEPS] for row in log if row["stage"] == "train" and IDLE_STEPS in row["data"]]
    if not any(steps):
        return []
    idle = f"In {sum(steps):g} of {len(steps)} steps"
    return [f"{idle} all groups had equal rewards, all right or all wrong: the rewards taught nothing."]


def change(step: Results) -> str:
    """The change of selfref that a stage made, with no stronger claim than its interval allows."""
    if step["change"] is None:
        return f"{step['from']} to {step['to']}: nothing to compare."
    moved = f"{points(step['change'])} points, interval {interval(step)}, over {step['n']} problems"
    shown = "" if step["ci_low"] > 0 or step["ci_high"] < 0 else ": a change has not been shown"
    return f"selfref from {step['from']} to {step['to']}: {moved}{shown}."


# --- cells ------------------------------------------------------------------------------------------------------------


def percent(rate: float | None) -> str:
    """A rate in per cent, "-" if it is undefined."""
    return "-" if rate is None else f"{100 * rate:.1f} %"


def points(difference: float | None) -> str:
    """A difference of rates in points, with its sign, "-" if it is undefined."""
    return "-" if difference is None else f"{100 * difference:+.1f}"


def interval(estimate: Results) -> str:
    """The interval of a difference, in points."""
    low, high = estimate["ci_low"], estimate["ci_high"]
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"


def difference(estimate: Results) -> str:
    """A difference with its interval, in points."""
    return "-" if estimate["value"] is None else f"{points(estimate['value'])} ({interval(estimate)})"


def rate(estimate: Results) -> str:
    """A rate with its interval, in per cent."""
    value, low, high = (estimate[key] for key in ("value", "ci_low", "ci_high"))
    return percent(value) if value is None or low is None else f"{percent(value)} ({100 * low:.1f} to {100 * high:.1f})"


def number(estimate: Results) -> str:
    """An amount without its interval, such as tokens."""
    return "-" if estimate["value"] is None else f"{estimate['value']:,.0f}"
