"""What training logs: the names of the metrics, and their values for one step or one validation. Pure Python.

These names have their one home here: the trainers log them, `report` and `tools` read them, docs/metrics.md explains
them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from gsr_rl.errors import UsageError

# The stage of a row of a training batch, in the row's tag: one of the two stages of an episode, or FAILED for the row
# that stands for an episode that failed.
CANDIDATE, REFINEMENT = "candidate", "refinement"
STAGES = (CANDIDATE, REFINEMENT)
FAILED = "failed"

FAILED_EPISODES = "gsr/train/failed_episodes"
ALL_WRONG = "gsr/train/all_wrong"
REFINED_SETS = "gsr/train/refined_sets"

# The trainer itself logs these three.
SKIPPED = "gsr/train/skipped_steps"
IDLE_STEPS = "gsr/train/idle_steps"
ROWS_LEFT_OUT = "gsr/train/rows_left_out"
TRAINER_METRICS = (SKIPPED, IDLE_STEPS, ROWS_LEFT_OUT)

# verl logs these four, under its own names.
CORRELATION = "training/rollout_actor_probs_pearson_corr"
GRPO_TOKENS = "perf/total_num_tokens"
SFT_LOSS = "train/loss"
SFT_TOKENS = "train/global_tokens"
VERL_METRICS = (CORRELATION, GRPO_TOKENS, SFT_LOSS, SFT_TOKENS)

# The W&B table with the episodes of a validation.
TABLE = "gsr/val/episodes"


def stage_metric(stage: str, name: str) -> str:
    """Name of a metric of one of STAGES in a training step."""
    return f"gsr/train/{stage}/{name}"


def both_stages(name: str) -> tuple[str, ...]:
    """Names of the same metric of each of STAGES, in their order."""
    return tuple(stage_metric(stage, name) for stage in STAGES)


def validation_metric(dataset: str, name: str) -> str:
    """Name of a metric of a validation; `dataset` may be `gsr_rl.metrics.gap.MACRO`."""
    return f"gsr/val/{dataset}/{name}"


def prompt_of(key: str) -> str:
    """The prompt of a row of a training batch, by the row's key `{prompt}_{row}_0`."""
    return key.split("_")[0]


def train_metrics(keys: Sequence[str], tags: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The `gsr/train/...` metrics of one step.

    Args:
        keys: of the rows of the batch; `{prompt}_{row}_0`.
        tags: of the same rows, with the row's stage, reward and so on.
    """
    metrics: dict[str, float] = {FAILED_EPISODES: sum(tag["stage"] == FAILED for tag in tags)}
    groups: dict[str, dict[str, list[Mapping[str, Any]]]] = {stage: defaultdict(list) for stage in STAGES}
    for key, tag in zip(keys, tags, strict=True):
        if tag["stage"] in groups:
            groups[tag["stage"]][prompt_of(key)].append(tag)
    for stage, by_prompt in groups.items():
        rows = [tag for group in by_prompt.values() for tag in group]
        metrics[stage_metric(stage, "rows")] = len(rows)
        if rows:
            metrics |= {stage_metric(stage, name): value for name, value in _stage_metrics(rows).items()}
            constant = [len({tag["reward"] for tag in group}) == 1 for group in by_prompt.values()]
            metrics[stage_metric(stage, "no_signal_groups")] = fmean(constant)
    candidates = groups[CANDIDATE].values()
    if candidates:
        all_wrong = [not any(tag["correct"] for tag in group) for group in candidates]
        metrics[ALL_WRONG] = fmean(all_wrong)
        metrics[REFINED_SETS] = len(groups[REFINEMENT]) / len(candidates)
    return metrics


def check_votes(selection: str, tags: Iterable[Mapping[str, Any]]) -> None:
    """A selection by the vote needs candidates with answers.

    Args:
        selection: `gsr.selection`.
        tags: of the rows of a step.

    Raises:
        UsageError: the selection is by the vote, and candidates are correct, but none has an answer: the reward
            function looks for no answer in a box, so there is nothing to vote on.
    """
    candidates = [tag for tag in tags if tag["stage"] == CANDIDATE]
    correct = sum(bool(tag["correct"]) for tag in candidates)
    if selection == "hard_first" and correct and all(tag["no_answer"] for tag in candidates):
        raise UsageError(
            f"gsr.selection=hard_first: none of {len(candidates)} candidates has an answer to vote with, though the "
            f'reward function calls {correct} correct; let it return its "answer", or set gsr.selection=all'
        )


def _stage_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    # What the reward function returned beside its score, such as why it is 0. A row on which it failed has none of it.
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
    """The `gsr/val/<dataset>/...` metrics of one validation.

    Args:
        summary: as `gsr_rl.metrics.gap.summarize` returns it. Undefined statistics are left out.
        failed: number of failed episodes of each dataset.
    """
    metrics = {validation_metric(dataset, "failed_episodes"): float(n) for dataset, n in failed.items()}
    for dataset, statistics in summary.items():
        metrics |= {validation_metric(dataset, name): float(value) for name, value in _defined(statistics)}
    return metrics


def _defined(statistics: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in statistics.items() if value is not None)
