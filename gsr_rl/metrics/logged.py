"""Metrics of a training step by stage, from the rows' tags; and validation metrics by name. Pure Python."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

STAGES = ("candidate", "refinement")


def train_metrics(keys: Sequence[str], tags: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """`gsr/train/...` of one step. Row i has key `{prompt}_{row}_0` and its stage, reward and so on in its tag."""
    metrics: dict[str, float] = {"gsr/train/failed_episodes": sum(tag["stage"] == "failed" for tag in tags)}
    groups: dict[str, dict[str, list[Mapping[str, Any]]]] = {stage: defaultdict(list) for stage in STAGES}
    for key, tag in zip(keys, tags, strict=True):
        if tag["stage"] in groups:
            groups[tag["stage"]][key.split("_")[0]].append(tag)
    for stage, by_prompt in groups.items():
        rows = [tag for group in by_prompt.values() for tag in group]
        metrics[f"gsr/train/{stage}/rows"] = len(rows)
        if rows:
            metrics |= {f"gsr/train/{stage}/{name}": value for name, value in _stage_metrics(rows).items()}
            constant = [len({tag["reward"] for tag in group}) == 1 for group in by_prompt.values()]
            metrics[f"gsr/train/{stage}/no_signal_groups"] = fmean(constant)
    candidates = groups["candidate"].values()
    if candidates:
        all_wrong = [not any(tag["correct"] for tag in group) for group in candidates]
        metrics["gsr/train/all_wrong"] = fmean(all_wrong)
        metrics["gsr/train/refined_sets"] = len(groups["refinement"]) / len(candidates)
    return metrics


def _stage_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    # what the reward function said beside its score, such as why it is 0; a row on which it failed says nothing
    names = sorted({name for tag in rows for name in tag if name.startswith("reward/")})
    return {
        **{name: fmean(tag[name] for tag in rows if name in tag) for name in names},
        "reward": fmean(tag["reward"] for tag in rows),
        "accuracy": fmean(tag["correct"] for tag in rows),
        "response_length": fmean(tag["response_len"] for tag in rows),
        "prompt_length": fmean(tag["prompt_len"] for tag in rows),
        "cut_off": fmean(tag["cut_off"] for tag in rows),
        "no_answer": fmean(tag["no_answer"] for tag in rows),
        "reward_failed": sum(tag["reward_failed"] for tag in rows),
    }


def val_metrics(summary: Mapping[str, Mapping[str, Any]], failed: Mapping[str, int]) -> dict[str, float]:
    """`gsr/val/<dataset>/<metric>` of `gsr_rl.metrics.gap.summarize`; undefined ones are left out."""
    metrics = {f"gsr/val/{name}/failed_episodes": float(n) for name, n in failed.items()}
    for name, figures in summary.items():
        metrics |= {f"gsr/val/{name}/{key}": float(value) for key, value in _defined(figures)}
    return metrics


def _defined(figures: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((key, value) for key, value in figures.items() if value is not None)
