"""The page of `report.md`: pure functions from figures, episodes and logs to Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gsr_rl.episode import Episode, Response
from gsr_rl.metrics import accuracy_by_correct, episode_scores
from gsr_rl.stages.logs import LogRow
from gsr_rl.verl_plugin.sync_guard import CORRELATION

Figures = dict[str, Any]

CURVES = (
    *(
        f"gsr/train/{stage}/{name}"
        for name in ("reward", "response_length", "cut_off", "no_signal_groups")
        for stage in ("candidate", "refinement")
    ),
    CORRELATION,
)
FILES = (
    ("report.json", "the figures above, as numbers"),
    ("episodes/", "every problem with its candidates and refinements, one JSON object a line, a file a stage"),
    ("metrics.jsonl", "what was logged at every step of warmup, sft and train"),
    ("config.yaml", "the configuration"),
    ("data/", "the problems: train, dev (for tuning), held_out (for this page)"),
    ("model/", "the trained model, an ordinary Hugging Face folder"),
    ("plots/", "the pictures"),
)


def page(
    title: str,
    report: Mapping[str, Any],
    episodes: Mapping[str, Sequence[Episode]],
    log: Sequence[LogRow],
    plots: Sequence[tuple[str, str]],
    files: Sequence[tuple[str, str]] = FILES,
) -> str:
    """The whole page. `plots`: caption and file of each picture; `files`: name and content; relative to the page."""
    stages: list[Figures] = report["stages"]
    refined = [stage["name"] for stage in stages if stage["refinement_gap"] is not None]
    sections = [
        f"# {title}",
        _run_facts(report),
        "## Stages side by side",
        stage_table(stages),
        "\n".join(f"- {line}" for line in [*map(verdict, stages), *map(change, report["selfref_changes"])]),
        _same_problems(episodes),
        *(f"![{caption}]({file})" for caption, file in plots),
        "## What the refiner does",
        _by_correct(episodes),
        _agreement(stages),
        *(["## Training", _curves(log)] if any(row["stage"] == "train" for row in log) else []),
        *(["## Episodes", _episodes(refined[-1], episodes[refined[-1]])] if refined else []),
        "## Where everything lies",
        "\n".join(f"- [{name}]({name}): {what}" for name, what in files),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _run_facts(report: Mapping[str, Any]) -> str:
    facts = [f"Seed {report['seed']}"]
    if report["wall_s"] is not None:
        facts.append(f"{report['wall_s'] / 60:.0f} minutes")
    if report["peak_rss_gb"] is not None:
        facts.append(f"at most {report['peak_rss_gb']:.1f} GB of memory")
    if report["rollout_actor_corr_min"] is not None:
        facts.append(f"rollout and actor probabilities correlated by {report['rollout_actor_corr_min']:.4f} or more")
    return "; ".join(facts) + "."


def stage_table(stages: Sequence[Figures]) -> str:
    k = stages[0]["k"]
    rates = {
        "pass@1: one candidate": "pass@1",
        f"pass@{k}: any of {k} candidates": f"pass@{k}",
        f"maj@{k}: their vote": f"maj@{k}",
        f"maj@{k + 1}: a vote with as many responses as selfref@{k}": f"maj@{k + 1}",
        f"**selfref@{k}: the refinement**": f"selfref@{k}",
    }
    rows = [["problems", *(f"{stage['n']:.0f}" for stage in stages)]]
    rows += [[label, *(percent(stage[key]) for stage in stages)] for label, key in rates.items()]
    rows += [
        [f"**Refinement Gap: selfref@{k} - maj@{k}**, points", *(points(stage["refinement_gap"]) for stage in stages)],
        ["its 95 % interval", *(interval(stage) for stage in stages)],
        ["sets with all candidates wrong", *(f"{stage['all_wrong_n']:.0f}" for stage in stages)],
        ["... of which recovered", *(percent(stage["all_wrong_recovery"]) for stage in stages)],
        ["vote right, refinement wrong", *(percent(stage["right_to_wrong"]) for stage in stages)],
        ["vote wrong, refinement right", *(percent(stage["wrong_to_right"]) for stage in stages)],
    ]
    return table(["", *(stage["name"] for stage in stages)], rows)


def verdict(stage: Figures) -> str:
    """What the gap and its interval say, in words that claim no more than they do."""
    name, k, low, high = stage["name"], stage["k"], stage["ci_low"], stage["ci_high"]
    if low is None or high is None:
        return f"{name}: no refinements, so no gap."
    gap = f"a gap of {points(stage['refinement_gap'])} points, interval {interval(stage)}"
    if low > 0:
        text = f"{name}: the refinement beats the vote over the same candidates: {gap}."
    elif high < 0:
        text = f"{name}: the refinement is worse than the vote over the same candidates: {gap}."
    else:
        text = f"{name}: a gap has not been shown: {gap}, which includes 0."
    rival = stage[f"maj@{k + 1}"]
    if rival is not None:
        refined = stage[f"selfref@{k}"]
        text += f" Equal number of responses: selfref@{k} {percent(refined)}, maj@{k + 1} {percent(rival)}."
    return text


def change(step: Figures) -> str:
    """What a stage has changed of selfref, likewise."""
    if step["change"] is None:
        return f"{step['from']} to {step['to']}: nothing to compare."
    moved = f"{points(step['change'])} points, interval {interval(step)}, over {step['n']} problems"
    shown = "" if step["ci_low"] > 0 or step["ci_high"] < 0 else ": a change has not been shown"
    return f"selfref from {step['from']} to {step['to']}: {moved}{shown}."


def _same_problems(episodes: Mapping[str, Sequence[Episode]]) -> str:
    asked = {frozenset((one.dataset, one.id) for one in rows) for rows in episodes.values()}
    return "" if len(asked) == 1 else "**The stages were evaluated on different problems: do not compare them.**"


def _by_correct(episodes: Mapping[str, Sequence[Episode]]) -> str:
    columns = [accuracy_by_correct(rows) for rows in episodes.values()]
    rows = [
        [str(count), *(f"{percent(row['accuracy'])} ({row['n']})" for row in cells)]
        for count, cells in enumerate(zip(*columns, strict=True))
    ]
    text = "Accuracy of the refinement by the number of correct candidates (in brackets the number of sets):"
    return f"{text}\n\n{table(['correct candidates', *episodes], rows)}"


def _agreement(stages: Sequence[Figures]) -> str:
    k = stages[0]["k"]
    labels = (
        ("share that give the majority's answer", "agrees_with_majority"),
        ("share that give the answer of no candidate", "agrees_with_none"),
        ("accuracy of a second direct response instead", "direct_again"),
        (f"accuracy with another problem's candidates ({stages[-1]['swapped_n']} tried)", f"selfref_swapped@{k}"),
        (f"accuracy with its own: selfref@{k}", f"selfref@{k}"),
    )
    rows = [[label, *(percent(stage[key]) for stage in stages)] for label, key in labels]
    text = "A refiner may just copy the vote, or solve the problem anew. Of the refinements:"
    return f"{text}\n\n{table(['', *(stage['name'] for stage in stages)], rows)}"


def _curves(log: Sequence[LogRow]) -> str:
    rows: list[list[str]] = []
    for key in CURVES:
        logged = [(row["step"], row["data"][key]) for row in log if row["stage"] == "train" and key in row["data"]]
        if logged:
            picked = (logged[0], logged[(len(logged) - 1) // 2], logged[-1])
            rows.append([key, *("-" if value is None else f"{value:.4g} (step {step})" for step, value in picked)])
    return f"Single steps of GRPO, and as noisy as such:\n\n{table(['', 'first', 'middle', 'last'], rows)}"


def _episodes(name: str, episodes: Sequence[Episode]) -> str:
    """Three episodes, the first in the file of its kind, in the order of KINDS; and how many there are of each kind."""
    refined = [(one, episode_scores(one)) for one in episodes if one.refinements]
    of_kind = {label: [one for one, scores in refined if holds(scores)] for label, holds in KINDS.items()}
    counts = "; ".join(f"{label}: {len(found)}" for label, found in of_kind.items())
    shown = [(label, found[0]) for label, found in of_kind.items() if found][:3]
    return "\n\n".join(
        [f"Of the {len(refined)} sets of {name}: {counts}. The first of a kind, not a chosen one, of three kinds:"]
        + [f"### {label.capitalize()}\n\n{_episode(one)}" for label, one in shown]
    )


Scores = Mapping[str, Any]
KINDS: dict[str, Callable[[Scores], bool]] = {
    "all wrong, and recovered": lambda s: s["pass@k"] == 0 and s["selfref@k"] > 0,
    "vote wrong, and mended": lambda s: s["pass@k"] == 1 and s["maj@k"] < 0.5 and s["selfref@k"] > 0,
    "vote right, and lost": lambda s: s["maj@k"] > 0.5 and s["selfref@k"] < 1,
    "vote right, and kept": lambda s: s["maj@k"] > 0.5 and s["selfref@k"] == 1,
    "vote wrong, and not mended": lambda s: s["maj@k"] < 0.5 and s["selfref@k"] == 0,
    "vote tied": lambda s: s["maj@k"] == 0.5,
}


def _episode(episode: Episode) -> str:
    parts = [f"Problem `{episode.id}`, gold answer `{episode.gold}`:", _fenced(episode.problem)]
    for kind, responses in (("Candidate", episode.candidates), ("Refinement", episode.refinements)):
        for number, response in enumerate(responses, start=1):
            parts += [f"{kind} {number}: {_judged(response)}", _fenced(response.text)]
    return "\n\n".join(parts)


def _judged(response: Response) -> str:
    answer = "no answer" if response.answer is None else f"answer `{response.answer}`"
    return f"{answer}, **{'right' if response.correct else 'wrong'}**{', cut off' if response.cut_off else ''}"


def _fenced(text: str) -> str:
    """A code block whose fence is longer than any run of backticks in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [list(head), ["---", *("---:" for _ in head[1:])], *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(rate: float | None) -> str:
    return "-" if rate is None else f"{100 * rate:.1f} %"


def points(difference: float | None) -> str:
    return "-" if difference is None else f"{100 * difference:+.1f}"


def interval(stage: Figures) -> str:
    low, high = stage["ci_low"], stage["ci_high"]
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"
