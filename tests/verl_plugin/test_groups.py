"""From the rows that the worker writes, through a real TransferQueue, to verl's own advantage and batch steps."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transfer_queue as tq
from queued import advantages, lengths_of, make_trainer, read, store, stored, together, update
from stub_engine import make_training_worker
from tensordict import TensorDict
from verl.utils import tensordict_utils as tu

from gsr_rl.metrics.logged import SKIPPED
from gsr_rl.verl_plugin.actor import GsrTrainingWorker
from gsr_rl.verl_plugin.trainer import NoTrainableRows

pytestmark = pytest.mark.usefixtures("transfer_queue")


def test_each_stage_is_a_group_of_its_own(tokenizer: Any) -> None:
    batch = store(tokenizer, [1, 0, 0, 0], [1, 0])
    rows = advantages(make_trainer(tokenizer), batch)
    # (r - mean) / std with n - 1: (1 - 1/4) / 1/2 and -(1/4) / 1/2; (1 - 1/2) / sqrt(1/2)
    assert [rows[key][0] for key in batch.keys] == pytest.approx([1.5, -0.5, -0.5, -0.5, 0.7071, -0.7071], abs=1e-4)
    assert [rows[key][1] for key in batch.keys] == [2, 3, 4, 5, 6, 7]  # one value per token


def test_prompts_are_groups_of_their_own(tokenizer: Any) -> None:
    first, second = store(tokenizer, [1, 0, 0, 0], [1, 1]), store(tokenizer, [1, 1, 1, 0], [0, 1])
    rows = advantages(make_trainer(tokenizer), together(first, second))
    assert [rows[key][0] for key in first.keys] == pytest.approx([1.5, -0.5, -0.5, -0.5, 0, 0], abs=1e-4)
    assert [rows[key][0] for key in second.keys] == pytest.approx([0.5, 0.5, 0.5, -1.5, -0.7071, 0.7071], abs=1e-4)


def test_a_set_that_was_not_refined_leaves_its_candidates_their_group(tokenizer: Any) -> None:
    batch = store(tokenizer, [1, 0, 0, 0], [])
    rows = advantages(make_trainer(tokenizer), batch)
    assert [rows[key][0] for key in batch.keys] == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-4)


def test_padding_and_dealing_leave_the_advantages_alone(tokenizer: Any) -> None:
    batch = store(tokenizer, [1, 0, 0, 0], [1, 0, 0])
    trainer = make_trainer(tokenizer, ranks=2, mini_batches=2)
    balanced = trainer._balance_batch(batch, {})
    assert len(balanced) == 8
    rows = advantages(trainer, balanced)
    wanted = [1.5, -0.5, -0.5, -0.5, 1.1547, -0.5774, -0.5774]
    assert [rows[key][0] for key in batch.keys] == pytest.approx(wanted, abs=1e-4)
    (padding,) = set(balanced.keys) - set(batch.keys)
    assert rows[padding] == [0, 1]


@pytest.mark.parametrize(("ranks", "mini_batches"), [(1, 2), (1, 3), (2, 2), (2, 4)])
def test_padding_stays_below_a_row_a_rank_and_mini_batch(tokenizer: Any, ranks: int, mini_batches: int) -> None:
    trainer = make_trainer(tokenizer, ranks=ranks, mini_batches=mini_batches)
    batch = together(*(store(tokenizer, [1, 0, 0, 0], [1]) for _ in range(2)))
    balanced = trainer._balance_batch(batch, {})
    cells = ranks * mini_batches
    assert len(balanced) % cells == 0
    assert len(balanced) - len(batch) < cells
    assert set(batch.keys) <= set(balanced.keys)
    # As verl deals: each rank has a contiguous share, and in it each mini-batch has one.
    size = len(balanced) // cells
    real = [not tag.get("is_padding") for tag in balanced.tags]
    per_mini = [
        sum(sum(real[(rank * mini_batches + mini) * size :][:size]) for rank in range(ranks))
        for mini in range(mini_batches)
    ]
    assert max(per_mini) - min(per_mini) <= 1


def test_padding_rows_train_nothing(tokenizer: Any) -> None:
    balanced = make_trainer(tokenizer, mini_batches=4)._balance_batch(store(tokenizer, [1, 0, 0, 0], [1]), {})
    padding = [bool(tag.get("is_padding")) for tag in balanced.tags]
    assert sum(padding) == 3
    assert [sum(row) == 0 for row in read(balanced, "loss_mask")] == padding


@pytest.mark.parametrize(("refine_weight", "stage"), [(0.0, "candidate"), (1.0, "refinement")])
def test_rows_of_a_stage_without_weight_are_dropped(tokenizer: Any, refine_weight: float, stage: str) -> None:
    batch = store(tokenizer, [1, 0, 0, 0], [1, 0])
    metrics: dict[str, Any] = {}
    balanced = make_trainer(tokenizer, refine_weight)._balance_batch(batch, metrics)
    assert {tag["stage"] for tag in balanced.tags} == {stage}
    assert len(balanced) == {"candidate": 4, "refinement": 2}[stage]
    # The dropped rows are counted, and they are gone from the queue.
    assert (metrics["gsr/train/candidate/rows"], metrics["gsr/train/refinement/rows"]) == (4, 2)
    assert set(stored([batch.keys[0].split("_")[0]]).keys) == set(balanced.keys)


def test_failed_episodes_are_dropped_and_counted(tokenizer: Any) -> None:
    failed, good = store(tokenizer, [], []), store(tokenizer, [1, 0, 0, 0], [])
    metrics: dict[str, Any] = {}
    balanced = make_trainer(tokenizer)._balance_batch(together(failed, good), metrics)
    assert sorted(balanced.keys) == sorted(good.keys)
    assert metrics["gsr/train/failed_episodes"] == 1


def test_a_step_without_trainable_rows_is_skipped_and_counted(tokenizer: Any) -> None:
    batch = store(tokenizer, [], [])
    trainer: Any = make_trainer(tokenizer)
    with pytest.raises(NoTrainableRows) as raised:
        trainer._balance_batch(batch, {})
    assert raised.value.batch.keys == batch.keys

    trainer.config.actor_rollout_ref.rollout.temperature = 1.0
    trainer.replay_buffer = SimpleNamespace(sample=lambda **_: (batch, {}))
    trainer.checkpoint_manager = SimpleNamespace(sleep_replicas=lambda: None)
    trainer.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=[])
    trainer.curr_step_profile, trainer.global_steps = False, 3
    metrics: dict[str, Any] = {}
    after = trainer._step_once(metrics, {}, 1)
    assert after.keys == batch.keys  # for the trainer to clear
    assert (metrics[SKIPPED], metrics["gsr/train/failed_episodes"]) == (1, 1)
    trainer._compute_metrics(after, metrics, {}, global_steps=3, epoch=0)
    assert metrics["training/global_step"] == 3


def test_what_the_loss_needs_survives_the_queue(tokenizer: Any) -> None:
    batch = store(tokenizer, [1, 0, 0, 0], [1, 0])
    data: TensorDict = tq.kv_batch_get(keys=batch.keys, partition_id="train")
    assert [int(flag) for flag in data["is_refinement"].reshape(-1)] == [0, 0, 0, 0, 1, 1]
    assert [int(row.sum()) for row in data["loss_mask"].unbind()] == [2, 3, 4, 5, 6, 7]
    assert [float(row.sum()) for row in data["rm_scores"].unbind()] == [1, 0, 0, 0, 1, 0]
    assert torch.allclose(data["rollout_log_probs"].values(), torch.tensor(-0.5))


def test_the_actor_s_worker_gets_its_settings_beside_the_rows(tokenizer: Any) -> None:
    trainer = make_trainer(tokenizer, refine_weight=0.3, mini_batches=2)
    data, metrics = update(trainer, trainer._balance_batch(store(tokenizer, [1, 0, 0, 0], [1]), {}))
    assert metrics["gsr/train/rows_left_out"] == 0
    worker, engine = make_training_worker(GsrTrainingWorker)
    del data["input_ids"]  # verl would count its tokens over all ranks, which takes a process group
    worker.train_mini_batch(data)
    # The prompt's candidates of 2, 3, 4 and 5 tokens are cut in two, then come the refinement of 6, and padding.
    lengths = [[int(row.sum()) for row in batch["response_mask"].unbind()] for batch in engine.batches]
    assert lengths == [[2, 3, 6], [4, 5, 0]]
    assert [float(batch["refine_weight"]) for batch in engine.batches] == [0.3, 0.3]
    # 14 tokens in 4 candidates and 6 tokens in one refinement, divided by two mini-batches.
    totals = [tu.get_non_tensor_data(batch, "stage_totals", None) for batch in engine.batches]
    assert totals == [((7, 2), (3, 0.5))] * 2


def test_rows_without_an_advantage_are_left_out_of_the_update(tokenizer: Any) -> None:
    # Rows of 2, 3, 4, 5 tokens (all right), 6 and 7 (one of two); and of 2, 3, 4, 5 (one right), 6 and 7 (both wrong).
    batch = together(store(tokenizer, [1, 1, 1, 1], [1, 0]), store(tokenizer, [0, 1, 0, 0], [0, 0]))
    trainer = make_trainer(tokenizer, mini_batches=2)
    balanced = trainer._balance_batch(batch, {})
    data, metrics = update(trainer, balanced)
    assert sorted(lengths_of(data)) == [2, 3, 4, 5, 6, 7]
    assert all(row.any() for row in data["advantages"].unbind())
    assert metrics["gsr/train/rows_left_out"] == 6
    assert metrics["gsr/train/idle_steps"] == 0
    # The rows that were left out still count in the mean over the tokens of their stage.
    assert tu.get_non_tensor_data(data, "stage_totals", None) == ((28 / 2, 8 / 2), (26 / 2, 4 / 2))
    # One row more makes an odd number even.
    data, _ = update(trainer, trainer._balance_batch(store(tokenizer, [1, 1, 1, 1], [1, 0, 0]), {}))
    assert len(data) == 4 and {6, 7, 8} < set(lengths_of(data))


@pytest.mark.parametrize("use_kl_loss", [False, True])
@pytest.mark.parametrize(("refine_weight", "idle"), [(0.5, 0), (1.0, 1)])
def test_a_step_is_idle_if_no_row_with_weight_has_an_advantage(
    tokenizer: Any, refine_weight: float, idle: int, use_kl_loss: bool
) -> None:
    trainer = make_trainer(tokenizer, refine_weight=refine_weight)
    batch = trainer._balance_batch(store(tokenizer, [1, 0], [1, 1]), {})
    _, metrics = update(trainer, batch, use_kl_loss=use_kl_loss)
    assert metrics["gsr/train/idle_steps"] == idle


@pytest.mark.parametrize(
    "more", [{"use_kl_loss": True}, {"entropy_coeff": 0.1}, {"policy_loss": {"loss_mode": "clip_cov"}}]
)
def test_rows_stay_where_another_loss_looks_at_them(tokenizer: Any, more: dict[str, Any]) -> None:
    trainer = make_trainer(tokenizer, mini_batches=2)
    data, _ = update(trainer, trainer._balance_batch(store(tokenizer, [1, 1, 1, 1], [1, 0]), {}), **more)
    assert sorted(lengths_of(data)) == [2, 3, 4, 5, 6, 7]
