"""Metrics of a training step by stage, and names of validation metrics."""

from pathlib import Path
from typing import Any

from pytest import approx

from gsr_rl.metrics.logged import STAGES, TABLE, TRAINER_METRICS, VERL_METRICS, train_metrics, val_metrics


def tag(stage: str, reward: float, length: int = 10, **more: Any) -> dict[str, Any]:
    flags = {"cut_off": False, "no_answer": False, "reward_failed": False}
    lengths = {"response_len": length, "prompt_len": 20 if stage == "candidate" else 60}
    return {"stage": stage, "reward": reward, "correct": reward > 0.5} | lengths | flags | more


def step(*groups: tuple[str, list[dict[str, Any]]]) -> dict[str, float]:
    keys = [f"{uid}_{i}_0" for uid, tags in groups for i in range(len(tags))]
    return train_metrics(keys, [tag for _, tags in groups for tag in tags])


def test_a_step_worked_out_by_hand() -> None:
    metrics = step(
        # one right of four, and both refinements right: no signal in them
        (
            "a",
            [
                tag("candidate", 1.0, 10),
                tag("candidate", 0.0, 20, cut_off=True),
                tag("candidate", 0.0, 30, no_answer=True),
                tag("candidate", 0.0, 40, reward_failed=True),
                tag("refinement", 1.0, 50),
                tag("refinement", 1.0, 70),
            ],
        ),
        # all wrong, and not refined
        ("b", [tag("candidate", 0.0, 5), tag("candidate", 0.0, 15)]),
        ("c", [tag("failed", 0.0)]),
    )
    assert metrics == approx(
        {
            "gsr/train/failed_episodes": 1,
            "gsr/train/all_wrong": 0.5,
            "gsr/train/refined_sets": 0.5,
            "gsr/train/candidate/rows": 6,
            "gsr/train/candidate/reward": 1 / 6,
            "gsr/train/candidate/accuracy": 1 / 6,
            "gsr/train/candidate/response_length": 20.0,
            "gsr/train/candidate/prompt_length": 20.0,
            "gsr/train/candidate/cut_off": 1 / 6,
            "gsr/train/candidate/no_answer": 1 / 6,
            "gsr/train/candidate/reward_failed": 1,
            "gsr/train/candidate/no_signal_groups": 0.5,
            "gsr/train/refinement/rows": 2,
            "gsr/train/refinement/reward": 1.0,
            "gsr/train/refinement/accuracy": 1.0,
            "gsr/train/refinement/response_length": 60.0,
            "gsr/train/refinement/prompt_length": 60.0,
            "gsr/train/refinement/cut_off": 0.0,
            "gsr/train/refinement/no_answer": 0.0,
            "gsr/train/refinement/reward_failed": 0,
            "gsr/train/refinement/no_signal_groups": 1.0,
        }
    )


def test_what_the_reward_says_beside_its_score_is_averaged() -> None:
    """The mean is over the rows that have the value. A row on which the reward failed has none."""
    rows = [
        tag("candidate", 1.0, **{"reward/timeout": 0.0, "reward/pool_restarts": 0.0}),
        tag("candidate", 0.0, **{"reward/timeout": 1.0, "reward/pool_restarts": 2.0}),
        tag("candidate", 0.0, reward_failed=True),
    ]
    metrics = step(("a", rows))
    assert metrics["gsr/train/candidate/reward/timeout"] == 0.5
    assert metrics["gsr/train/candidate/reward/pool_restarts"] == 1.0


def test_a_graded_reward_gives_signal_where_nothing_is_right() -> None:
    metrics = step(("a", [tag("candidate", 0.1), tag("candidate", 0.2)]))
    assert metrics["gsr/train/candidate/no_signal_groups"] == 0.0
    assert metrics["gsr/train/all_wrong"] == 1.0
    assert metrics["gsr/train/candidate/reward"] == approx(0.15)


def test_a_stage_without_rows_has_a_count_and_no_means() -> None:
    metrics = step(("a", [tag("candidate", 1.0)]))
    assert metrics["gsr/train/refinement/rows"] == 0
    assert metrics["gsr/train/refined_sets"] == 0.0
    assert [key for key in metrics if key.startswith("gsr/train/refinement/")] == ["gsr/train/refinement/rows"]


def test_a_step_in_which_everything_failed() -> None:
    assert step(("a", [tag("failed", 0.0)]), ("b", [tag("failed", 0.0)])) == {
        "gsr/train/failed_episodes": 2,
        "gsr/train/candidate/rows": 0,
        "gsr/train/refinement/rows": 0,
    }


def test_validation_metrics_are_named_by_dataset_and_undefined_ones_left_out() -> None:
    summary = {
        "sums": {"n": 3, "pass@1": 0.5, "refinement_gap": -0.25, "all_wrong_recovery": None},
        "macro": {"n": 3, "pass@1": 0.5},
    }
    assert val_metrics(summary, {"sums": 2}) == {
        "gsr/val/sums/failed_episodes": 2.0,
        "gsr/val/sums/n": 3.0,
        "gsr/val/sums/pass@1": 0.5,
        "gsr/val/sums/refinement_gap": -0.25,
        "gsr/val/macro/n": 3.0,
        "gsr/val/macro/pass@1": 0.5,
    }


def test_names_that_trainers_log() -> None:
    assert TRAINER_METRICS == ("gsr/train/skipped_steps", "gsr/train/idle_steps", "gsr/train/rows_left_out")
    assert VERL_METRICS == (
        "training/rollout_actor_probs_pearson_corr",
        "perf/total_num_tokens",
        "train/loss",
        "train/global_tokens",
    )
    assert (TABLE, STAGES) == ("gsr/val/episodes", ("candidate", "refinement"))


def test_every_name_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    _, names = page.split("## Names in the logs")
    logged = step(("a", [tag("candidate", 1.0), tag("refinement", 0.0)]))
    missing = [name for name in (*logged, *TRAINER_METRICS) if f"`{name.rpartition('/')[2]}`" not in names]
    missing += [name for name in (*VERL_METRICS, TABLE) if f"`{name}`" not in names]
    assert missing == []
